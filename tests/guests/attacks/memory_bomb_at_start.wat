;; Begins with 2 GiB.
(memory $memory 32768)
