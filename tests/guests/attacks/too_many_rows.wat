;; Returns more rows than a call may.
(memory $memory 400)
(func $in_output (param $r i32) (param i32)
  (call $origin (local.get $r) (i32.const 65536) (i32.const 5000000)))
