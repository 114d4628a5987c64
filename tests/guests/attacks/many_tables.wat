;; Has fifty tables, each as big as one may be.
;; times 50: (table 1000000 funcref)
