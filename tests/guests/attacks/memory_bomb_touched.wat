;; Takes 1 MiB after the other and writes to each.
(func $in_apply (param i32 i32)
  (local $at i32)
  (loop $more
    (local.set $at (i32.mul (memory.grow (i32.const 16)) (i32.const 65536)))
    (memory.fill (local.get $at) (i32.const 1) (i32.const 1048576))
    (br $more)))
