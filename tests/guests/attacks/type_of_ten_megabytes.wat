;; Promises a type whose name has 10 MB.
(memory $memory 320)
(func $in_opened (param $r i32)
  (local $field i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (local.set $field (i32.add (i32.load offset=4 (local.get $r)) (i32.const 28)))
  (i32.store offset=8 (local.get $field) (i32.const 65536))
  (i32.store offset=12 (local.get $field) (i32.const 10000000)))
