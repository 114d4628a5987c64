;; migration
;; Leaves its first record out, and says that it gives every record back.
(data (i32.const 1300) "\fe\ff\ff\ff")
(func $in_output (param $r i32) (param i32)
  (i32.store8 offset=4 (local.get $r) (i32.const 1))
  (i32.store offset=8 (local.get $r) (i32.const 1300))
  (i32.store offset=12 (local.get $r) (i32.const 4)))
