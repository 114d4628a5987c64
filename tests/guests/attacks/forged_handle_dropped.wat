;; Drops a lookup table that nobody gave it.
(func $in_apply (param i32 i32) (call $table_drop (i32.const 7)))
