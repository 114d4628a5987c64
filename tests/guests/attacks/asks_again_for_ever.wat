;; Asks to be tried again, however often it is.
(data (i32.const 1300) "retry")
(func $in_output (param $r i32) (param i32)
  (call $fail (local.get $r) (i32.const 1200) (i32.const 8))
  (i32.store offset=4 (local.get $r) (i32.const 1300))
  (i32.store offset=8 (local.get $r) (i32.const 5)))
