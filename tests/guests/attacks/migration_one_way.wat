;; migration
;; Has no way down, and would go it.
(data (i32.const 2096) "\00\00")
