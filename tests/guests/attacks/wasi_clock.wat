;; Wants clock of the system.
(component (import "wasi:clocks/wall-clock@0.2.3" (instance)))
