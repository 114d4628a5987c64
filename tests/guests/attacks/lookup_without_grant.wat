;; Opens a lookup nobody granted, and takes the refusal for a table.
(func $in_apply (param i32 i32)
  (call $table_open (i32.const 1152) (i32.const 6) (i32.const 4096))
  (call $table_schema (i32.load (i32.const 4100)) (i32.const 4096)))
