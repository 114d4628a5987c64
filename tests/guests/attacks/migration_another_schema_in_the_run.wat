;; migration
;; Promises one column to the plan and another to the partition.
(func $in_opened (param $r i32)
  (if (i32.eq (global.get $extras) (i32.const 2)) (then
    (i32.store offset=32 (i32.load offset=4 (local.get $r))
      (i32.sub (i32.load offset=32 (i32.load offset=4 (local.get $r))) (i32.const 1))))))
