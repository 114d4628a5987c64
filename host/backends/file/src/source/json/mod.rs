//! JSON: finding the records in a text, and the documents' way into columns.

mod documents;
mod scan;
mod split;

pub use documents::{Documents, id_of};
pub use split::{Container, JsonSplitter, Nesting, parse_pointer, unescape};
