;; Describes the same plugin a million times.
(memory $memory 960)
(func $in_describe
  (memory.copy (i32.const 65536) (i32.const 1040) (i32.const 56))
  (memory.copy (i32.const 65592) (i32.const 65536) (i32.const 56))
  (i32.store (i32.const 1024) (i32.const 65536))
  (i32.store (i32.const 1028) (i32.const 1000000)))
