;; Says why and crashes.
(func $in_apply (param i32 i32)
  (call $log (i32.const 4) (i32.const 1200) (i32.const 8) (i32.const 0) (i32.const 0))
  (unreachable))
