;; Wants a query of its own.
;; world: import acme:db/query@1.0.0;
;; package: package acme:db@1.0.0 { interface query { run: func() -> u32; } }
(import "acme:db/query@1.0.0" "run" (func $run (result i32)))
(func $in_apply (param i32 i32) (drop (call $run)))
