;; migration
;; Its schema is called by a way out of the folder and an escape sequence.
(data (i32.const 2072) "\14\05\00\00\0a")
(data (i32.const 1300) "../\1b[2Juse")
