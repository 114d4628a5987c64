;; Wants to read its second column twice.
(data (i32.const 1300) "\01\00\00\00\01\00\00\00")
(func $in_opened (param $r i32)
  (i32.store offset=12 (local.get $r) (i32.const 1300))
  (i32.store offset=16 (local.get $r) (i32.const 2)))
