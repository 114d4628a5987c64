;; Crashes when it is asked for its plugins.
(func $in_describe (unreachable))
