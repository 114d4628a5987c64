;; Has a version of 10 MB, which is a valid one.
(memory $memory 320)
(data (i32.const 65536) "1.0.0-")
(func $in_describe
  (memory.fill (i32.const 65542) (i32.const 97) (i32.const 10000000))
  (i32.store (i32.const 1056) (i32.const 65536))
  (i32.store (i32.const 1060) (i32.const 10000006)))
