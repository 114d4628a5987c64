;; Publishes 10 MB that are no JSON.
(memory $memory 320)
(func $in_describe
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (i32.store (i32.const 1072) (i32.const 65536))
  (i32.store (i32.const 1076) (i32.const 10000000)))
