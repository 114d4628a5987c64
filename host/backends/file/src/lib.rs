//! Files as source and target: JSON, JSON Lines, CSV, TSV, Parquet and Arrow IPC, plain or
//! compressed, one file, a folder or a glob.
//!
//! ```text
//! backend  the name, and how either end is opened
//! options  the keys of [source] and [target]           format       which format a name means
//! compression  gzip and zstd, checked by magic bytes   identity     is it still the same file?
//! store  files that lie elsewhere      handle  an open file, here or there
//! source   finds the files, cuts records out of the decoded bytes, decodes them into columns
//! sink     writes parts, commits them with their checkpoint, swaps them in at the end
//! ```
//!
//! A file may be changed by others at any time. Everything read is therefore tied to an
//! [`identity::Identity`] of the file, and a file that is no longer the same one is refused.

mod backend;
pub mod compression;
pub mod format;
pub mod handle;
pub mod identity;
pub mod options;
mod sink;
mod source;
pub mod store;

pub use backend::FileBackend;
pub use sink::parts;
pub use source::{open_files, records};
