;; Wants environment of the system.
(component (import "wasi:cli/environment@0.2.3" (instance)))
