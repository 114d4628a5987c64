//! PostgreSQL as a target, on a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod commits;
mod conflicts;
mod created;
mod hanging;
mod in_place;
mod naming;
mod policies;
mod refusals;
mod reshape;
mod stamps;
mod support;
mod tables;
mod versions;
