;; Is called something a terminal obeys.
(data (i32.const 1152) "\1b[31m\n")
