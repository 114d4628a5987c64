;; Refuses its first row with 10 MB of reasons.
(memory $memory 320)
(func $in_output (param $r i32) (param i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (call $reject (local.get $r) (i32.const 0))
  (i32.store offset=20 (i32.load offset=24 (local.get $r)) (i32.const 65536))
  (i32.store offset=24 (i32.load offset=24 (local.get $r)) (i32.const 10000000)))
