//! What is left after a fault: crash and resume must equal one clean run.
//!
//! ```text
//! targets   every kind of target         world    one job in a folder of its own
//! oracle    what must hold after a fault faults   how a process is disturbed
//! kills     at random moments            points   at every step of the protocol
//! nth       the Nth system call fails    full     the disk is full, the file too large
//! states    history and checkpoint are damaged    rivals   two processes, one target
//! doubts    whether the oracle notices what it is there for
//! sources   the source changes in between             retries  dead letters are taken in again
//! servers   a server is stopped, ended, full             connections   and how it is reached is cut
//! server_sources   a server is read from, through a pooler too
//! places    where on a server a target is: tables, indices (documents), objects
//! outages   a cluster or an S3 server is ended    remote_sources   and read from
//! in_place  a store is source and target at once    applied   and brought to another version   applications   and gets another version
//! in_database   a table of SQLite is all that         moments   a version is applied to tables, at random moments
//! ```
//!
//! A fixed sample runs in `cargo test`; `DKHOST_SEEDS=200`, which `cargo xtask torture` sets, runs all.
//! What failed is printed as a variable that plays it alone: `DKHOST_SEED=17`, `DKHOST_FAIL=…`,
//! `DKHOST_NTH=…`, for `cargo test --test recovery NAME`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod applications;
mod applied;
mod connections;
mod doubts;
mod faults;
mod full;
mod in_database;
mod in_place;
mod indices;
mod kills;
mod moments;
mod nth;
mod objects;
mod oracle;
mod outages;
mod places;
mod points;
mod remote_sources;
mod retries;
mod rivals;
mod server_sources;
mod servers;
mod sources;
mod states;
mod targets;
mod world;

/// How many seeds the torture command runs; without it every test takes its sample.
fn seeds() -> Option<u64> {
    let seeds = std::env::var("DKHOST_SEEDS").ok()?;
    Some(seeds.parse().expect("DKHOST_SEEDS is a number"))
}
