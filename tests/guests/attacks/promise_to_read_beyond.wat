;; Wants to read column 99.
(func $in_opened (param $r i32)
  (i32.store (i32.load offset=12 (local.get $r)) (i32.const 99)))
