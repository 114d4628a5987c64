;; migration
;; Crashes when asked for its migrations.
(func $in_steps (unreachable))
