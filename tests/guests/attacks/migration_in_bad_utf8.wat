;; migration
;; Its schema's name is not UTF-8.
(data (i32.const 2200) "\ff\fe\c0\80")
