;; migration
;; Goes up, and crashes when it is opened to go down.
(func $in_open (if (global.get $direction) (then (unreachable))))
