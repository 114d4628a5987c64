//! Tables of a PostgreSQL server through the program: every type there is, to another database and
//! through files and back; what the plan says of them; and thousands of records that are refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod world;

mod beyond;
mod encodings;
mod in_place;
mod migrations;
mod refusals;
mod support;
mod zoo;
