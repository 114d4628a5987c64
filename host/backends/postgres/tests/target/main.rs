//! PostgreSQL as a target, on a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod commits;
mod conflicts;
mod created;
mod naming;
mod policies;
mod refusals;
mod support;
mod tables;
