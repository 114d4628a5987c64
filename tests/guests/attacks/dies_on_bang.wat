;; Crashes on every batch that holds a `!`.
(func $in_apply (param i32) (param $columns i32)
  (if (call $finds (local.get $columns) (i32.const 33)) (then (unreachable))))
