;; Leaves out every third row and returns every fourth one twice, its own column empty.
(func $in_output (param $r i32) (param $rows i32)
  (local $i i32) (local $at i32) (local $n i32)
  (local.set $at (call $alloc (i32.mul (local.get $rows) (i32.const 8))))
  (i32.store offset=8 (local.get $r) (local.get $at))
  (loop $next
    (if (i32.rem_u (local.get $i) (i32.const 3)) (then
      (i32.store (i32.add (local.get $at) (i32.mul (local.get $n) (i32.const 4))) (local.get $i))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 4))) (then
      (i32.store (i32.add (local.get $at) (i32.mul (local.get $n) (i32.const 4))) (local.get $i))
      (i32.store offset=4 (i32.add (local.get $at) (i32.mul (local.get $n) (i32.const 4))) (local.get $i))
      (local.set $n (i32.add (local.get $n) (i32.const 2)))))
    (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $rows))))
  (call $origin (local.get $r) (local.get $at) (local.get $n))
  (memory.fill (i32.add (i32.load offset=16 (local.get $r)) (i32.const 32)) (i32.const 0) (i32.const 24)))
