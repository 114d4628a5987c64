//! Reads files.

use dkhost_core::{Error, OpenSource, Result, Source};

use crate::options::SourceOptions;

/// Opens the files of a source.
pub fn open(options: SourceOptions, _open: &OpenSource) -> Result<Box<dyn Source>> {
    Err(Error::bug(format!(
        "`{}` cannot be read yet",
        options.file.path
    )))
}
