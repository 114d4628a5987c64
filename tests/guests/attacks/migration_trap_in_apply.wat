;; migration
;; Crashes on the first batch.
(func $in_apply (param i32 i32) (unreachable))
