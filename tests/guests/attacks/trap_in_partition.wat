;; Opens for the plan and crashes when a partition opens it.
(func $in_open (if (i32.eq (global.get $extras) (i32.const 2)) (then (unreachable))))
