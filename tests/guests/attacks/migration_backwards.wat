;; migration
;; Its step leads from 3.0.0 to 2.0.0.
(data (i32.const 2208) "3.0.0")
