;; Takes all memory it can get.
(func $in_apply (param i32 i32)
  (loop $more (drop (memory.grow (i32.const 16))) (br $more)))
