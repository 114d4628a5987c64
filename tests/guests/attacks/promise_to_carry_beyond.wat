;; Promises to carry column 99.
(func $in_opened (param $r i32)
  (i32.store (i32.load offset=20 (local.get $r)) (i32.const 99)))
