;; migration
;; Its step leads from what is no version.
(data (i32.const 2208) "first")
