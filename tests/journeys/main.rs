//! Records that travel over several kinds of stores and come back: what left is what arrives.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[path = "../postgres/support.rs"]
#[allow(dead_code, reason = "shared with the tests of tables")]
mod support;
#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod world;

#[path = "../cli/apply/applying.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod applying;
mod customers;
mod dataknobs;
mod exported;
mod hostile;
mod made_up;
#[path = "../../host/engine/tests/random_versions/versions.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod random_versions;
mod rounds;
mod stores;
mod versions;
