;; Wants random of the system.
(component (import "wasi:random/random@0.2.3" (instance)))
