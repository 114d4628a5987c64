;; Refuses the row behind each that begins with `!` (the last one: itself), and repeats a reject.
(func $in_output (param $r i32) (param $rows i32)
  (local $i i32) (local $data i32) (local $offsets i32) (local $to i32)
  (local.set $data (i32.load offset=32 (i32.load offset=16 (local.get $r))))
  (local.set $offsets (i32.load offset=40 (i32.load offset=16 (local.get $r))))
  (loop $next
    (if (i32.eq (i32.const 33) (i32.load8_u (i32.add (local.get $data)
          (i32.load (i32.add (local.get $offsets) (i32.mul (local.get $i) (i32.const 4)))))))
      (then
        (local.set $to (i32.add (local.get $i) (i32.lt_u (i32.add (local.get $i) (i32.const 1)) (local.get $rows))))
        (call $reject (local.get $r) (local.get $to))
        (if (i32.ge_u (local.get $rows) (i32.const 8)) (then
          (call $reject (local.get $r) (local.get $to))))))
    (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $rows)))))
