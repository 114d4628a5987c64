;; Refuses a row with a message that is not UTF-8.
(data (i32.const 1300) "\ff\fe\c0\80")
(func $in_output (param $r i32) (param i32)
  (call $reject (local.get $r) (i32.const 0))
  (i32.store offset=20 (i32.load offset=24 (local.get $r)) (i32.const 1300))
  (i32.store offset=24 (i32.load offset=24 (local.get $r)) (i32.const 4)))
