;; Is of a kind whose name has 10 MB.
(memory $memory 320)
(func $in_describe
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (i32.store (i32.const 1048) (i32.const 65536))
  (i32.store (i32.const 1052) (i32.const 10000000)))
