;; Promises two columns of one name.
(func $in_opened (param $r i32)
  (memory.copy
    (i32.add (i32.load offset=4 (local.get $r)) (i32.const 28))
    (i32.load offset=4 (local.get $r)) (i32.const 8)))
