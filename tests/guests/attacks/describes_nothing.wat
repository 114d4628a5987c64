;; Describes no plugin.
(data (i32.const 1028) "\00")
