;; Never comes back from `post_return`.
(func $in_post (loop $forever (br $forever)))
