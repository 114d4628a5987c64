;; Asks to be granted 10 MB.
(memory $memory 320)
(func $in_describe
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000000))
  (i32.store (i32.const 4096) (i32.const 65536))
  (i32.store (i32.const 4100) (i32.const 10000000))
  (i32.store (i32.const 1080) (i32.const 4096))
  (i32.store (i32.const 1084) (i32.const 1)))
