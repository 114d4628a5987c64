;; A filter that refuses the row behind the last.
(data (i32.const 1044) "\06\00\00\00" "\90\04\00\00\06\00\00\00")
(data (i32.const 1168) "filter")
(func $in_verdict (param $r i32) (param $rows i32)
  (i32.store offset=12 (local.get $r) (i32.const 2048))
  (i32.store offset=16 (local.get $r) (i32.const 1))
  (i32.store (i32.const 2048) (local.get $rows))
  (i32.store (i32.const 2060) (i32.const 1152))
  (i32.store (i32.const 2064) (i32.const 6)))
