;; Says that its columns lie at an odd address.
(func $in_output (param $r i32) (param i32)
  (i32.store offset=16 (local.get $r) (i32.add (i32.load offset=16 (local.get $r)) (i32.const 1))))
