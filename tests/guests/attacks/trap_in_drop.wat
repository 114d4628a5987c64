;; Has a resource of its own and crashes when it drops one.
;; world: export spare: interface { resource thing; }
(import "[export]spare" "[resource-new]thing" (func $new (param i32) (result i32)))
(import "[export]spare" "[resource-drop]thing" (func $drop_thing (param i32)))
(func (export "spare#[dtor]thing") (param i32) (unreachable))
(func $in_apply (param i32 i32) (call $drop_thing (call $new (i32.const 7))))
