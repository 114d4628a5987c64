;; Counts under ten thousand names, all of 8 digits, and one beyond every sum.
(data (i32.const 1300) "00000000")
(func $in_apply (param i32 i32)
  (local $i i32) (local $n i32) (local $at i32)
  (call $count (i32.const 1152) (i32.const 6) (i64.const -1))
  (call $count (i32.const 1152) (i32.const 6) (i64.const -1))
  (loop $more
    (local.set $n (local.get $i))
    (local.set $at (i32.const 1307))
    (loop $digit
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $digit (i32.ge_u (local.tee $at (i32.sub (local.get $at) (i32.const 1))) (i32.const 1300))))
    (call $count (i32.const 1300) (i32.const 8) (i64.const 1))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000)))))
