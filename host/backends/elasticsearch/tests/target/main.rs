//! Elasticsearch and OpenSearch as a target, on real servers of both products.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod server;
mod support;

mod conflicts;
mod documents;
mod interrupted;
mod mappings;
mod swaps;
mod versions;
