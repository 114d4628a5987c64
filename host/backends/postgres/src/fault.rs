//! What the server's errors mean to the engine: tried again, a record's own, or the end of the run.

use dkhost_core::{Class, Error};

/// An error of the driver as one of ours.
///
/// *Source* – "PostgreSQL Error Codes", by class.
pub(crate) fn fault(doing: &str, cause: tokio_postgres::Error) -> Error {
    let message = format!("cannot {doing}");
    Error::new(Class::Infrastructure, "postgres::failed", message).caused_by(cause)
}
