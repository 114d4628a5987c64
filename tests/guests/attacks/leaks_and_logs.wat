;; Loses 16 MiB in every batch, so that it is replaced again and again, and logs 200 lines in each.
(func $in_apply (param i32 i32)
  (local $i i32)
  (drop (memory.grow (i32.const 256)))
  (loop $more
    (call $log (i32.const 2) (i32.const 1200) (i32.const 8) (i32.const 0) (i32.const 0))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200)))))
