;; A plugin that behaves: it reads its second column, a text, and gives every row back as it was.
;;
;; Every attack is this module with one thing replaced: a hook (`$in_open` …), `$realloc`, the
;; memory, or the static data. `mod.rs` leaves out what an attack defines itself.

(module
  (import "dkhost:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
  (import "dkhost:plugin/counters@0.1.0" "add" (func $count (param i32 i32 i64)))
  (import "dkhost:plugin/lookup@0.1.0" "[static]table.open" (func $table_open (param i32 i32 i32)))
  (import "dkhost:plugin/lookup@0.1.0" "[method]table.schema" (func $table_schema (param i32 i32)))
  (import "dkhost:plugin/lookup@0.1.0" "[resource-drop]table" (func $table_drop (param i32)))
  ;; IMPORTS

  ;; list<descriptor> at 1024, its one descriptor at 1040: name, kind, version, summary,
  ;; config-schema, requests, extra.
  (data (i32.const 1024) "\10\04\00\00\01\00\00\00")
  (data (i32.const 1040) "\80\04\00\00\06\00\00\00" "\90\04\00\00\09\00\00\00" "\a0\04\00\00\05\00\00\00")
  (data (i32.const 1152) "attack")
  (data (i32.const 1168) "transform")
  (data (i32.const 1184) "1.0.0")
  (data (i32.const 1200) "me again")

  (global $bump (mut i32) (i32.const 8192))
  ;; Columns of the input.
  (global $width (mut i32) (i32.const 0))
  ;; Pairs beside the stage: 1 for the plan, 2 with the partition.
  (global $extras (mut i32) (i32.const 0))

  (func $alloc (param $bytes i32) (result i32)
    (local $at i32) (local $lack i32)
    (local.set $at (global.get $bump))
    (global.set $bump (i32.and
      (i32.add (i32.add (local.get $at) (local.get $bytes)) (i32.const 15)) (i32.const -16)))
    (local.set $lack (i32.sub (global.get $bump) (i32.mul (memory.size) (i32.const 65536))))
    (if (i32.gt_s (local.get $lack) (i32.const 0))
      (then (drop (memory.grow (i32.add (i32.div_u (local.get $lack) (i32.const 65536)) (i32.const 1))))))
    (local.get $at))
  (func $forget (global.set $bump (i32.const 8192)))

  ;; Whether the text of the column at `columns` holds `byte`.
  (func $finds (param $columns i32) (param $byte i32) (result i32)
    (local $at i32) (local $end i32)
    (local.set $at (i32.load (local.get $columns)))
    (local.set $end (i32.add (local.get $at) (i32.load offset=4 (local.get $columns))))
    (loop $next
      (if (i32.eq (local.get $at) (local.get $end)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load8_u (local.get $at)) (local.get $byte)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; The result of a call at `r` becomes a failure: "internal", with `bytes` of text at `text`.
  (func $fail (param $r i32) (param $text i32) (param $bytes i32)
    (i32.store8 (local.get $r) (i32.const 1))
    (i32.store offset=4 (local.get $r) (i32.const 1152))
    (i32.store offset=8 (local.get $r) (i32.const 6))
    (i32.store offset=12 (local.get $r) (local.get $text))
    (i32.store offset=16 (local.get $r) (local.get $bytes))
    (i32.store offset=20 (local.get $r) (i32.const 0)))

  ;; The output at `r` names its rows by origin: `count` rows of uint32 at `origin`.
  (func $origin (param $r i32) (param $origin i32) (param $count i32)
    (i32.store8 offset=4 (local.get $r) (i32.const 2))
    (i32.store offset=8 (local.get $r) (local.get $origin))
    (i32.store offset=12 (local.get $r) (i32.mul (local.get $count) (i32.const 4))))

  ;; One more reject at the end of the output at `r`: `row`, code "attack".
  (func $reject (param $r i32) (param $row i32)
    (local $old i32) (local $bytes i32) (local $new i32)
    (local.set $old (i32.load offset=24 (local.get $r)))
    (local.set $bytes (i32.mul (i32.load offset=28 (local.get $r)) (i32.const 28)))
    (local.set $new (call $alloc (i32.add (local.get $bytes) (i32.const 28))))
    (memory.copy (local.get $new) (local.get $old) (local.get $bytes))
    (i32.store offset=24 (local.get $r) (local.get $new))
    (i32.store offset=28 (local.get $r) (i32.add (i32.load offset=28 (local.get $r)) (i32.const 1)))
    (local.set $new (i32.add (local.get $new) (local.get $bytes)))
    (memory.fill (local.get $new) (i32.const 0) (i32.const 28))
    (i32.store (local.get $new) (local.get $row))
    (i32.store offset=12 (local.get $new) (i32.const 1152))
    (i32.store offset=16 (local.get $new) (i32.const 6)))

  (func (export "dkhost:plugin/plugin@0.1.0#describe") (result i32)
    (call $in_describe)
    (i32.const 1024))

  ;; result<opened, failure>: output 4, reads 12, carries 20, extra 28.
  (func $open (export "dkhost:plugin/transform@0.1.0#open")
    (param i32 i32 i32 i32) (param $fields i32) (param $width i32) (param i32) (param $extras i32)
    (result i32)
    (local $r i32) (local $at i32) (local $i i32)
    (global.set $width (local.get $width))
    (global.set $extras (local.get $extras))
    (call $in_open)
    (local.set $r (call $alloc (i32.const 64)))
    (memory.fill (local.get $r) (i32.const 0) (i32.const 64))
    (i32.store offset=4 (local.get $r) (local.get $fields))
    (i32.store offset=8 (local.get $r) (local.get $width))
    (i32.store offset=12 (local.get $r) (i32.add (local.get $r) (i32.const 48)))
    (i32.store offset=16 (local.get $r) (i32.const 1))
    (i32.store offset=48 (local.get $r) (i32.const 1))
    (local.set $at (call $alloc (i32.mul (local.get $width) (i32.const 8))))
    (i32.store offset=20 (local.get $r) (local.get $at))
    (i32.store offset=24 (local.get $r) (i32.sub (local.get $width) (i32.const 1)))
    (loop $next
      (if (i32.ne (local.get $i) (i32.const 1)) (then
        (i32.store (local.get $at) (local.get $i))
        (i32.store offset=4 (local.get $at) (local.get $i))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $width))))
    (call $in_opened (local.get $r))
    (local.get $r))
  (func (export "cabi_post_dkhost:plugin/transform@0.1.0#open") (param i32) (call $forget))

  ;; result<output, failure>: rows 4, columns 16, rejects 24. An output column has 28 bytes.
  (func $apply (export "dkhost:plugin/transform@0.1.0#apply")
    (param $rows i32) (param $columns i32) (param i32) (result i32)
    (local $r i32) (local $at i32) (local $i i32)
    (call $in_apply (local.get $rows) (local.get $columns))
    (local.set $r (call $alloc (i32.const 32)))
    (memory.fill (local.get $r) (i32.const 0) (i32.const 32))
    (local.set $at (call $alloc (i32.mul (global.get $width) (i32.const 28))))
    (i32.store offset=16 (local.get $r) (local.get $at))
    (i32.store offset=20 (local.get $r) (global.get $width))
    (loop $next
      (i32.store8 (local.get $at) (i32.eq (local.get $i) (i32.const 1)))
      (if (i32.eq (local.get $i) (i32.const 1))
        (then (memory.copy (i32.add (local.get $at) (i32.const 4)) (local.get $columns) (i32.const 24)))
        (else (i32.store offset=4 (local.get $at) (local.get $i))))
      (local.set $at (i32.add (local.get $at) (i32.const 28)))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (global.get $width))))
    (call $in_output (local.get $r) (local.get $rows))
    (local.get $r))
  (func (export "cabi_post_dkhost:plugin/transform@0.1.0#apply") (param i32)
    (call $in_post)
    (call $forget))

  ;; result<opened, failure>: reads 4, extra 12. It reads the second column too.
  (func (export "dkhost:plugin/filter@0.1.0#open")
    (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $r i32)
    (local.set $r (call $alloc (i32.const 64)))
    (memory.fill (local.get $r) (i32.const 0) (i32.const 64))
    (i32.store offset=4 (local.get $r) (i32.add (local.get $r) (i32.const 48)))
    (i32.store offset=8 (local.get $r) (i32.const 1))
    (i32.store offset=48 (local.get $r) (i32.const 1))
    (local.get $r))

  ;; result<verdict, failure>: keep 4, rejects 12. It keeps every row.
  (func (export "dkhost:plugin/filter@0.1.0#apply") (param $rows i32) (param i32 i32) (result i32)
    (local $r i32) (local $bytes i32)
    (local.set $bytes (i32.div_u (i32.add (local.get $rows) (i32.const 7)) (i32.const 8)))
    (local.set $r (call $alloc (i32.add (i32.const 32) (local.get $bytes))))
    (memory.fill (local.get $r) (i32.const 0) (i32.const 32))
    (i32.store offset=4 (local.get $r) (i32.add (local.get $r) (i32.const 32)))
    (i32.store offset=8 (local.get $r) (local.get $bytes))
    (memory.fill (i32.add (local.get $r) (i32.const 32)) (i32.const 255) (local.get $bytes))
    (call $in_verdict (local.get $r) (local.get $rows))
    (local.get $r))
  (func (export "cabi_post_dkhost:plugin/filter@0.1.0#apply") (param i32) (call $forget))

  (export "cabi_realloc" (func $realloc))
  (export "memory" (memory $memory))
  ;; ATTACK
)
