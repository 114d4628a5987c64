//! The program `dkhost` from outside: what people type, what comes out, what is in the files then.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod world;

mod applications;
mod apply;
mod authors;
mod databases;
mod documents;
mod drift;
mod escapes;
mod evolving;
mod help;
mod incremental;
mod interruptions;
mod jobs;
mod letters;
mod looking;
mod migrations;
mod mistakes;
mod paths;
mod real;
mod rude;
mod schemas;
mod state_postgres;
mod stores;
mod texts;
mod unsampled;
