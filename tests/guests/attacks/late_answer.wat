;; Answers rightly, long after its time: no loop and no call, only fills of 32 MiB.
(memory $memory 600)
(func $in_apply (param i32 i32)
  ;; times 2000: (memory.fill (i32.const 65536) (i32.const 1) (i32.const 33554432))
)
