//! JSON documents to columns and back, without a value tree in between.
//!
//! [`Decoder`] appends the fields of an object straight to the columns of a schema; [`Encoder`]
//! writes rows of columns as objects; [`Inference`] finds the schema of a sample. A document that
//! went in comes out the same: what a column cannot hold exactly stays as text in the rest column
//! (see [`crate::Role::Rest`]), nothing is rounded. The text itself may come out differently:
//! `1e2` as `100.0`, an escape as the character it stands for, known fields before unknown ones.
//!
//! How each type looks in JSON, both ways; anything else is a misfit and goes to the rest:
//!
//! | type | JSON |
//! |---|---|
//! | int32, int64, uint64 | number without fraction or exponent; not `-0` |
//! | float32, float64 | number whose shortest text is numerically the same: `0.1`, but not 2^53+1 |
//! | number | any number; its text is kept |
//! | decimal | number with at most as many digits |
//! | utf8 | string |
//! | json | anything but null; the text is kept |
//! | date32, time64, timestamp, uuid, binary, vector | as in [`crate::text`], in quotes but for vector |
//!
//! Depth is limited to [`MAX_DEPTH`]. Duplicate keys are refused at the top; inside nested values,
//! whose text is kept, they are not looked for.
//!
//! *Source* – RFC 8259, strict: no comments, no trailing commas, no lone surrogates. Python's bare
//! `NaN` and `Infinity` are read and written on request only ([`DecodeOptions::bare_nan`]).

mod append;
mod decode;
mod encode;
mod infer;
mod names;
mod scan;
mod strings;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::RowReject;

pub(crate) use append::parse_vector;
pub use decode::{DecodeOptions, Decoder};
pub use encode::{Bound, Encoder, row};
pub use infer::Inference;
pub(crate) use scan::valid;
pub use scan::{Kind, Scanner, Token};
pub(crate) use strings::escape_inner;
pub use strings::{escape, unescape};

/// How deep objects and arrays may be nested, the document itself included.
pub const MAX_DEPTH: u32 = 128;

/// Why a document cannot become a row, or a row a document.
///
/// *Codes* – malformed: `json::` `unexpected_end`, `unexpected_character`, `trailing_characters`,
/// `invalid_number`, `invalid_escape`, `lone_surrogate`, `control_character`, `not_utf8`,
/// `too_deep`, `not_an_object`, `duplicate_key`; not for this schema: `unknown_field`,
/// `type_mismatch`, `missing_value`, `too_large`; either way: `not_a_number`; on the way out:
/// `bad_rest`, `name_taken`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The column or field to blame, if it is one.
    pub column: Option<String>,
    /// Stable: `json::duplicate_key`.
    pub code: &'static str,
    /// For people, with the position in bytes from the start of the document.
    pub message: String,
}

impl RowError {
    /// An error without a column.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        RowError {
            column: None,
            code,
            message: message.into(),
        }
    }

    /// The same error, blaming a column.
    #[must_use]
    pub fn in_column(self, column: impl Into<String>) -> Self {
        RowError {
            column: Some(column.into()),
            ..self
        }
    }

    /// As the reject of row `row`.
    pub fn reject(self, row: u32) -> RowReject {
        RowReject {
            row,
            column: self.column,
            code: self.code.to_owned(),
            message: self.message,
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RowError {}

/// The same on the way up through the hot path, where a result must be small.
pub(crate) type Stop = Box<RowError>;

impl From<Stop> for RowError {
    fn from(stop: Stop) -> Self {
        *stop
    }
}
