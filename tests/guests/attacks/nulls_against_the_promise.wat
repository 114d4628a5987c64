;; Promises a column without nulls and returns one of nothing else.
(func $in_opened (param $r i32)
  (i32.store8 offset=44 (i32.load offset=4 (local.get $r)) (i32.const 0)))
(func $in_output (param $r i32) (param i32)
  (memory.fill (i32.add (i32.load offset=16 (local.get $r)) (i32.const 32)) (i32.const 0) (i32.const 24)))
