;; Promises five thousand columns.
(memory $memory 8)
(func $in_opened (param $r i32)
  (i32.store offset=4 (local.get $r) (i32.const 65536))
  (i32.store offset=8 (local.get $r) (i32.const 5000)))
