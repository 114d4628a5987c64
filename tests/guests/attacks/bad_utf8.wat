;; Returns a text that is not UTF-8.
(func $in_output (param $r i32) (param i32)
  (i32.store8 (i32.load offset=32 (i32.load offset=16 (local.get $r))) (i32.const 0xff)))
