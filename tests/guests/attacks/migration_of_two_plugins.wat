;; migration
;; Two of its plugins offer the same step.
(data (i32.const 1028) "\02")
(data (i32.const 2052) "\02")
(data (i32.const 1300) "second")
(func $in_describe
  (memory.copy (i32.const 1096) (i32.const 1040) (i32.const 56))
  (i32.store (i32.const 1096) (i32.const 1300)))
(func $in_steps
  (memory.copy (i32.const 2100) (i32.const 2064) (i32.const 36))
  (i32.store (i32.const 2100) (i32.const 1300)))
