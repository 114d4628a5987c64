;; Crashes before anybody calls it.
(func $begin (unreachable))
(start $begin)
