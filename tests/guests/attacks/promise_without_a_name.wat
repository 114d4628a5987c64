;; Promises a column without a name.
(func $in_opened (param $r i32)
  (i32.store offset=32 (i32.load offset=4 (local.get $r)) (i32.const 0)))
