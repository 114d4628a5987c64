;; Has eighty small tables.
;; times 80: (table 1 funcref)
