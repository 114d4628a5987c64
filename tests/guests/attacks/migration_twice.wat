;; migration
;; Offers the same step twice.
(data (i32.const 2052) "\02")
(func $in_steps (memory.copy (i32.const 2100) (i32.const 2064) (i32.const 36)))
