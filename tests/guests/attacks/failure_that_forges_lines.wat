;; Fails with a text that clears the screen and writes lines of its own.
(data (i32.const 1300) "\1b[2Jnothing\nmovies done, nothing lost\r\nerror[data::gone]: \u{202e}pay")
(func $in_output (param $r i32) (param i32)
  (call $fail (local.get $r) (i32.const 1300) (i32.const 64))
  (i32.store offset=20 (local.get $r) (i32.const 1))
  (i32.store offset=24 (local.get $r) (i32.const 1300))
  (i32.store offset=28 (local.get $r) (i32.const 20)))
