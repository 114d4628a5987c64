;; Logs what clears a screen, sets a title, turns the reading direction and begins a line of its own.
(data (i32.const 1300) "\1b[2J\1b]0;owned\07\u{9b}31m\u{202e}\u{2066}\r\nmovies done, nothing lost")
(func $in_apply (param i32 i32)
  (i32.store (i32.const 1400) (i32.const 1300))
  (i32.store (i32.const 1404) (i32.const 14))
  (i32.store (i32.const 1408) (i32.const 1300))
  (i32.store (i32.const 1412) (i32.const 14))
  (call $log (i32.const 4) (i32.const 1300) (i32.const 52) (i32.const 1400) (i32.const 1))
  (unreachable))
