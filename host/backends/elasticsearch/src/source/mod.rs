//! Elasticsearch as a source.

use dkhost_core::{Error, OpenSource, Options, Result, Source};

/// Opens a source.
pub(crate) fn open(options: Options, _open: &OpenSource) -> Result<Box<dyn Source>> {
    Err(Error::config("job::later", "not yet").at(options.span.clone(), "not available yet"))
}
