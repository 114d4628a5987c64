;; Gives the host an odd address for its arguments.
(func $realloc (param i32 i32 i32 i32) (result i32) (i32.add (call $alloc (i32.add (local.get 3) (i32.const 1))) (i32.const 1)))
