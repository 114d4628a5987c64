//! Elasticsearch as a target.

use dkhost_core::{Error, OpenTarget, Options, Result, Sink};

/// Opens a target.
pub(crate) fn open(options: Options, _open: &OpenTarget) -> Result<Box<dyn Sink>> {
    Err(Error::config(
        "job::later",
        "the backend `elasticsearch` cannot be written to in this version of dkhost",
    )
    .at(options.span.clone(), "not available yet"))
}
