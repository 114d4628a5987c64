//! Plugins that attack, through the program: what it ends with, what a terminal shows of it, that no
//! record is lost, that memory stays bounded, and that a good plugin takes the run to its end.
//!
//! `host/plugin/tests/attacks` gives each guest of `tests/guests` to the library; here every family of
//! them meets a job with two partitions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../cli/world.rs"]
#[allow(dead_code)]
mod common;
#[macro_use]
#[path = "../../guests/mod.rs"]
mod guests;
mod world;

mod letters;
mod migrations;
mod stopped;
