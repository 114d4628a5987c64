;; migration
;; Never comes back from the first batch.
(func $in_apply (param i32 i32) (loop $forever (br $forever)))
