;; Makes 200 MB of its first row and nothing of the others.
(memory $memory 3100)
(func $in_output (param $r i32) (param $rows i32)
  (local $column i32) (local $at i32) (local $i i32)
  (local.set $column (i32.add (i32.load offset=16 (local.get $r)) (i32.const 32)))
  (i32.store (local.get $column) (i32.const 65536))
  (i32.store offset=4 (local.get $column) (i32.const 200000000))
  (local.set $at (call $alloc (i32.mul (i32.const 4) (i32.add (local.get $rows) (i32.const 1)))))
  (i32.store offset=8 (local.get $column) (local.get $at))
  (i32.store (local.get $at) (i32.const 0))
  (loop $next
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (i32.store (local.get $at) (i32.const 200000000))
    (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $rows)))))
