;; Wants a bare function of its host.
;; world: import shell: func(command: string);
(import "$root" "shell" (func $shell (param i32 i32)))
(func $in_apply (param i32 i32) (call $shell (i32.const 1152) (i32.const 6)))
