;; Never comes back from `apply`.
(func $in_apply (param i32 i32) (loop $forever (br $forever)))
