;; Gives the host the same memory for every argument, its own answer included.
(func $realloc (param i32 i32 i32 i32) (result i32) (i32.const 4096))
