;; Publishes a config-schema that is its own condition, which any config meets.
(data (i32.const 1300) "{\"allOf\":[{\"$ref\":\"#\"}]}")
(data (i32.const 1072) "\14\05\00\00\18\00\00\00")
