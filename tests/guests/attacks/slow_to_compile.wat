;; Takes the compiler minutes: loops in loops, around values that change in the innermost, so that
;; every loop has to carry every value.
(func $slow (param i32)
  ;; times 1500: (local i64)
  ;; times 1500: loop
  ;; times 1500: local.get {i} i64.const 3 i64.mul local.get 1 i64.add local.set {i}
  ;; times 1500: local.get 0 br_if 0 end
)
