;; Promises to carry its first column, a number, into its second, a text.
(func $in_opened (param $r i32)
  (i32.store offset=4 (i32.load offset=20 (local.get $r)) (i32.const 1)))
