;; Refuses its first row under no code at all.
(func $in_output (param $r i32) (param i32)
  (call $reject (local.get $r) (i32.const 0))
  (i32.store offset=16 (i32.load offset=24 (local.get $r)) (i32.const 0)))
