//! Writes records, an object each, under keys made of their ids.
//!
//! ```text
//! codec   rows to objects and back     keys    ids to keys      send   many at once
//! known   which ids the target has     intent  what a batch met, noted before it is written
//! writer  one partition                sink    claim, publish, retire, reading back
//! ```
//!
//! Objects appear as they are written; what makes a run effectively once is that the same batch
//! writes the same objects, and that it knows from its note what was there before.

mod codec;
mod intent;
mod keys;
mod known;
mod send;
mod sink;
mod writer;

pub(crate) use self::sink::open;
