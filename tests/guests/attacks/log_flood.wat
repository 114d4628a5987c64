;; Logs five thousand lines in a call and then does its work.
(func $in_apply (param i32 i32)
  (local $i i32)
  (loop $more
    (call $log (i32.const 2) (i32.const 1200) (i32.const 8) (i32.const 0) (i32.const 0))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5000)))))
