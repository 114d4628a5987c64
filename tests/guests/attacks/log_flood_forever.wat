;; Spends its life in the host: it logs without end.
(func $in_apply (param i32 i32)
  (loop $forever
    (call $log (i32.const 2) (i32.const 1200) (i32.const 8) (i32.const 0) (i32.const 0))
    (br $forever)))
