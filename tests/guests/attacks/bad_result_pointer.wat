;; Says that its result lies beyond its memory.
(func $in_output (param $r i32) (param i32)
  (i32.store offset=16 (local.get $r) (i32.const 0x7fff0000)))
