;; migration
;; Promises numbers to the newer version and returns the text it was given.
(data (i32.const 1300) "int64")
(func $in_opened (param $r i32)
  (local $field i32)
  (local.set $field (i32.add (i32.load offset=4 (local.get $r)) (i32.const 28)))
  (i32.store offset=8 (local.get $field) (i32.const 1300))
  (i32.store offset=12 (local.get $field) (i32.const 5)))
(func $in_output (param $r i32) (param i32)
  (i32.store offset=36 (i32.load offset=16 (local.get $r)) (i32.const 4)))
