;; Wants stdout of the system.
(component (import "wasi:cli/stdout@0.2.3" (instance)))
