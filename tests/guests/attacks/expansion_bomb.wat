;; Returns its first row two million times, every column carried: next to nothing crosses, and the
;; host would make gigabytes of it.
(memory $memory 400)
(func $in_output (param $r i32) (param i32)
  (memory.fill (i32.const 65536) (i32.const 0) (i32.const 8000000))
  (call $origin (local.get $r) (i32.const 65536) (i32.const 2000000))
  (i32.store8 offset=28 (i32.load offset=16 (local.get $r)) (i32.const 0))
  (i32.store offset=32 (i32.load offset=16 (local.get $r)) (i32.const 1)))
