;; migration
;; Never comes back when asked for its migrations.
(func $in_steps (loop $forever (br $forever)))
