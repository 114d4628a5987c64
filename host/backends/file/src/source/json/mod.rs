//! JSON: finding the records in a text, and the documents' way into columns.

mod cursor;
mod documents;
mod pointer;
mod scan;
mod split;

pub use cursor::unescape;
pub use documents::{Documents, id_of, no_id};
pub use pointer::parse_pointer;
pub use split::{Container, JsonSplitter, Nesting};
