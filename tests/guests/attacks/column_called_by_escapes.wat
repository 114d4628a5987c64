;; Calls its column something a terminal obeys, of the type it had: an odd name, and a valid one.
(data (i32.const 1300) "\1b[2J\nmovies done\u{202e}\"; DROP TABLE t; --")
(func $in_opened (param $r i32)
  (i32.store offset=28 (i32.load offset=4 (local.get $r)) (i32.const 1300))
  (i32.store offset=32 (i32.load offset=4 (local.get $r)) (i32.const 38)))
