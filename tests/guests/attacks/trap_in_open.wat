;; Crashes when it is opened.
(func $in_open (unreachable))
