;; Refuses its first row under a code that is an escape sequence.
(data (i32.const 1300) "\1b[2Jfine\n\u{202e}")
(func $in_output (param $r i32) (param i32)
  (call $reject (local.get $r) (i32.const 0))
  (i32.store offset=12 (i32.load offset=24 (local.get $r)) (i32.const 1300))
  (i32.store offset=16 (i32.load offset=24 (local.get $r)) (i32.const 12)))
