;; Is a component without anything.
(component)
