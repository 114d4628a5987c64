;; Fails with 10 MB of reasons.
(memory $memory 320)
(func $in_output (param $r i32) (param i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (call $fail (local.get $r) (i32.const 65536) (i32.const 10000000)))
