//! Writes files.

use dkhost_core::{Capabilities, Error, OpenTarget, Result, Sink};

use crate::options::{Layout, TargetOptions};

/// What a target with these options can hold: JSON keeps every document as it is.
pub fn capabilities(options: &TargetOptions) -> Result<Capabilities> {
    let (format, _) = options.file.format_of(options.file.path.as_ref())?;
    let documents = format.is_document() && options.file.layout == Layout::Plain;
    Ok(Capabilities {
        documents,
        evolves: false,
    })
}

/// Opens a file as a target.
pub fn open(options: TargetOptions, _open: &OpenTarget) -> Result<Box<dyn Sink>> {
    Err(Error::bug(format!(
        "`{}` cannot be written yet",
        options.file.path
    )))
}
