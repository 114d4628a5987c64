;; Has fifty memories.
;; times 50: (memory 1)
