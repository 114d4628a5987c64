;; migration
;; Its step belongs to a plugin it does not describe.
(data (i32.const 2064) "\14\05\00\00\06")
(data (i32.const 1300) "nobody")
