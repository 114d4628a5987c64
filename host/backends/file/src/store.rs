//! Files that lie somewhere else – objects of a store – read as this crate reads files.
//!
//! The backend of such a store lists them and reads their bytes; finding records in those is done
//! here, with [`crate::open_files`].

use std::fmt::Debug;
use std::io::Read;

use dkhost_core::Result;

use crate::identity::Identity;

/// Where files lie that are not on this machine's disk.
pub trait Store: Debug + Send + Sync {
    /// Which file has this label now.
    ///
    /// *Errors* – `source::changed` when there is none any more.
    fn look(&self, label: &str) -> Result<Identity>;

    /// The bytes of a file from `from` to before `to`, which lie within it.
    ///
    /// *Errors* – `source::changed` when the file is no longer this one. A reader says what is wrong
    /// by an [`std::io::Error`] around a [`dkhost_core::Error`]; after one that may be tried again
    /// the rest is asked for anew.
    fn read(&self, file: &Identity, from: u64, to: u64) -> Result<Box<dyn Read + Send>>;

    /// Says that exactly these bytes will be read soon, as [`Store::read`] asks for them, in this
    /// order; whoever can ask for many at once begins. Nothing need come of it.
    fn expect(&self, _soon: &[(&Identity, u64, u64)]) {}
}
