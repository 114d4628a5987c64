;; Logs a line of 10 MB with a hundred thousand fields, and dies.
(memory $memory 320)
(func $in_apply (param i32 i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (memory.fill (i32.const 11000000) (i32.const 0) (i32.const 1600000))
  (call $log (i32.const 4) (i32.const 65536) (i32.const 10000000)
    (i32.const 11000000) (i32.const 100000))
  (unreachable))
