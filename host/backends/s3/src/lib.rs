//! S3, and what speaks its language, as source and target.
//!
//! ```text
//! backend  the name, and how either end is opened
//! server   the keys that say where a bucket is     who     who asks
//! client   requests, one at a time or many         tls     whom we believe
//! fault    what a refusal means: tried again, or the end
//! ```
//!
//! The driver is asynchronous and the traits are not: a [`client::Client`] owns a runtime, and
//! whoever asks waits. The driver tries nothing twice; the engine does, by the class of the error.

mod backend;
mod client;
mod fault;
mod pieces;
mod put;
mod records;
mod server;
mod source;
mod target;
mod tls;
mod upload;
mod who;

pub use backend::S3Backend;
