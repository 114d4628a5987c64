;; A filter that keeps rows by a bitmap without a byte.
(data (i32.const 1044) "\06\00\00\00" "\90\04\00\00\06\00\00\00")
(data (i32.const 1168) "filter")
(func $in_verdict (param $r i32) (param i32)
  (i32.store offset=8 (local.get $r) (i32.const 0)))
