//! Both ends of a backend driven by hand, as the engine would, and everything as text: for the
//! tests of backends.
//!
//! ```text
//! read(source)  →  ["{\"id\":1}", …]                       all of a source
//! Run::start(sink, 1) → write(&rows(…)) → commit() → finish()   a run, step by step
//! ```
//!
//! Nothing here says what must hold: that is `dkhost_core::conformance` and the tests themselves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it serves tests")]

mod interrupt;
mod read;
mod rows;
mod write;

pub use interrupt::{Points, interrupted_anywhere, points_in};
pub use read::{all, batches, lines, read, refused, said, small, types};
pub use rows::{Cells, rows, schema};
pub use write::{Run, batch, fates, partition, scan, whys};
