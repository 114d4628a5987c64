;; Answers rightly and crashes while it cleans up.
(func $in_post (unreachable))
