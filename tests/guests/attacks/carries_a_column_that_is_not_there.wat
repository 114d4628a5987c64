;; Carries column 99.
(func $in_output (param $r i32) (param i32)
  (i32.store8 offset=28 (i32.load offset=16 (local.get $r)) (i32.const 0))
  (i32.store offset=32 (i32.load offset=16 (local.get $r)) (i32.const 99)))
