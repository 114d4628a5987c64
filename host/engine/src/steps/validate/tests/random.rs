//! Random columns against a plain judgement, value by value.
