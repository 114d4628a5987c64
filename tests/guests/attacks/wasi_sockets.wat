;; Wants sockets of the system.
(component (import "wasi:sockets/tcp@0.2.3" (instance)))
