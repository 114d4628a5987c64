;; Returns a text whose second offset lies behind its last.
(func $in_output (param $r i32) (param i32)
  (i32.store offset=4 (i32.load offset=40 (i32.load offset=16 (local.get $r))) (i32.const 0x7fffffff)))
