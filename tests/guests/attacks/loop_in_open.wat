;; Never comes back from `open`.
(func $in_open (loop $forever (br $forever)))
