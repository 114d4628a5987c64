;; What `base.wat` needs to be a migration instead: `user` 1.0.0 to 2.0.0, both ways, that changes nothing.

  (data (i32.const 1168) "migration")
  ;; list<step> at 2048, its one step at 2064: plugin, schema, from, to, reversible, lossless.
  (data (i32.const 2048) "\10\08\00\00\01\00\00\00")
  (data (i32.const 2064) "\80\04\00\00\06\00\00\00" "\98\08\00\00\04\00\00\00" "\a0\08\00\00\05\00\00\00"
    "\a8\08\00\00\05\00\00\00" "\01\01\00\00")
  (data (i32.const 2200) "user")
  (data (i32.const 2208) "1.0.0")
  (data (i32.const 2216) "2.0.0")

  ;; 0 up, 1 down.
  (global $direction (mut i32) (i32.const 0))

  (func (export "dkhost:plugin/migration@0.1.0#steps") (result i32)
    (call $in_steps)
    (i32.const 2048))

  (func (export "dkhost:plugin/migration@0.1.0#open")
    (param i32) (param $direction i32) (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (global.set $direction (local.get $direction))
    (call $open (local.get 2) (local.get 3) (local.get 4) (local.get 5)
      (local.get 6) (local.get 7) (local.get 8) (local.get 9)))
  (func (export "cabi_post_dkhost:plugin/migration@0.1.0#open") (param i32) (call $forget))

  (func (export "dkhost:plugin/migration@0.1.0#apply")
    (param $rows i32) (param $columns i32) (param $width i32) (result i32)
    (call $apply (local.get $rows) (local.get $columns) (local.get $width)))
  (func (export "cabi_post_dkhost:plugin/migration@0.1.0#apply") (param i32)
    (call $in_post)
    (call $forget))
