//! Tables, views and queries of a real server in; records out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod filter;
mod policies;
mod reading;
mod resume;
mod since;
mod slices;
mod support;
