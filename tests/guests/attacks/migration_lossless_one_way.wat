;; migration
;; Gives every record back, it says, and has no way to.
(data (i32.const 2096) "\00\01")
