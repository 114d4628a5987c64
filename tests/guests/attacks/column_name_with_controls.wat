;; Calls its column something a terminal obeys, and promises a type that is none.
(data (i32.const 1300) "\1b[2J\nmovies done\u{202e}")
(func $in_opened (param $r i32)
  (local $field i32)
  (local.set $field (i32.add (i32.load offset=4 (local.get $r)) (i32.const 28)))
  (i32.store (local.get $field) (i32.const 1300))
  (i32.store offset=4 (local.get $field) (i32.const 19))
  (i32.store offset=8 (local.get $field) (i32.const 1300))
  (i32.store offset=12 (local.get $field) (i32.const 19)))
