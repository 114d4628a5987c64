//! The source against real servers: Elasticsearch and OpenSearch, each test on both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod dataknobs;
mod filter;
mod reading;
mod resume;
mod secured;
mod since;
mod support;
