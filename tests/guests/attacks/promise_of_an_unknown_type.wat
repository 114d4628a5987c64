;; Promises a column of a type that nobody knows.
(data (i32.const 1300) "dream")
(func $in_opened (param $r i32)
  (i32.store offset=36 (i32.load offset=4 (local.get $r)) (i32.const 1300))
  (i32.store offset=40 (i32.load offset=4 (local.get $r)) (i32.const 5)))
