;; migration
;; Offers a thousand and one steps.
(func $in_steps
  (local $i i32)
  (i32.store (i32.const 2048) (i32.const 8192))
  (i32.store (i32.const 2052) (i32.const 1001))
  (loop $more
    (memory.copy (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 36))) (i32.const 2064) (i32.const 36))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1001)))))
