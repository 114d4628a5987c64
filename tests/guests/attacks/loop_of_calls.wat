;; Never comes back, without a loop in any function: it calls and returns and calls.
(func $a (param $n i32) (if (local.get $n) (then
  (call $a (i32.sub (local.get $n) (i32.const 1)))
  (call $a (i32.sub (local.get $n) (i32.const 1))))))
(func $in_apply (param i32 i32) (call $a (i32.const 60)))
