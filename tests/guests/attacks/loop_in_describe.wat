;; Never comes back from `describe`.
(func $in_describe (loop $forever (br $forever)))
