//! Files that are not what they say, through the program: what is written, what is a dead letter,
//! what stops, and how much memory it took.
//!
//! ```text
//! world       a folder, a run that is measured, and what must be true after every one
//! csv         separated values        json        one JSON text of records
//! jsonl       JSON Lines              large       more than memory holds
//! columns     Parquet and Arrow       packed      gzip and zstd
//! ```
//!
//! Every case is bytes in and a few lines out: the exit code, the lines of the target, each dead
//! letter with its place and its bytes, and the error that stopped the run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod columns;
mod csv;
mod json;
mod jsonl;
mod large;
mod packed;
mod world;
