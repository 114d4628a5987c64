;; Is built for a contract line that does not exist yet.
;; line: 0.3.0
