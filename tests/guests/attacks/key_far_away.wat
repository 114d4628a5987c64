;; Says that its column is the four thousand millionth of the record's key.
(data (i32.const 1304) "key4294967295")
(data (i32.const 1320) "\18\05\00\00\03\00\00\00\1b\05\00\00\0a\00\00\00")
(func $in_opened (param $r i32)
  (i32.store offset=48 (i32.load offset=4 (local.get $r)) (i32.const 1320))
  (i32.store offset=52 (i32.load offset=4 (local.get $r)) (i32.const 1)))
