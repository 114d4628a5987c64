;; Refuses its first row because of column 99.
(func $in_output (param $r i32) (param i32)
  (call $reject (local.get $r) (i32.const 0))
  (i32.store8 offset=4 (i32.load offset=24 (local.get $r)) (i32.const 1))
  (i32.store offset=8 (i32.load offset=24 (local.get $r)) (i32.const 99)))
