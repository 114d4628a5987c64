//! dataknobs stores: what dataknobs wrote is read, and dataknobs reads what we write.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod python;
mod reading;
#[path = "../source/support.rs"]
#[allow(dead_code, reason = "shared with the tests of tables")]
mod source;
mod support;
#[path = "../target/support.rs"]
#[allow(dead_code, reason = "shared with the tests of tables")]
mod target;
mod writing;
