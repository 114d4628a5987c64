;; Grows a table without end.
(table $table 1 funcref)
(func $in_apply (param i32 i32)
  (loop $more (drop (table.grow $table (ref.null func) (i32.const 10000))) (br $more)))
