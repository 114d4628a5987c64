//! The layouts of `dataknobs-data` stores, as pure conversions every backend's
//! `layout = "dataknobs"` shares.
//!
//! A record has an id, fields with a declared type and metadata, and metadata of its own. Two
//! forms exist: *record* (file, S3) keeps all of it, *flat* (SQLite, PostgreSQL) keeps bare values
//! and, of field types, only vectors. Here both become plain JSON fields, an id and metadata, as
//! [`crate::json::Decoder::push_document`] takes them, and come back from columns.
//!
//! What plain fields cannot say travels beside them:
//! * the type most of a column's values declare, in [`crate::Field::source_type`]
//!   (`dataknobs:datetime`), found by [`Inference`];
//! * what one field of one record says otherwise (another type, metadata, dimensions), in the
//!   metadata under the reserved key [`FIELDS`]; there, too, the kind of a value that is null or
//!   does not fit its declared type, under [`KIND`]; members of the record itself that dataknobs
//!   does not know, or an inner id that differs from the key, under [`RECORD`].
//!
//! So record → record is exact, but for the order of fields, which follows the schema. Flat cannot
//! hold types and metadata of fields, vectors excepted: [`lost_when_flat`] says so in the plan.
//!
//! NaN and infinity: dataknobs writes them bare into records. They are read as values of float
//! columns and written back bare ([`Form::is_bare_nan`]); inside nested values, and in columns of
//! other types, a record that has them is refused, because nothing here could hold it exactly.
//! Flat refuses them, as dataknobs does.
//!
//! *Source* – `dataknobs-data` 0.4.13 and 0.11.0: `records.py`, `fields.py`, `backends/file.py`,
//! `backends/sql_base.py`. Field types are detected as in `fields.py`.

mod infer;
mod python;
mod read;
mod table;
mod types;
mod write;

#[cfg(test)]
mod tests;

pub use infer::Inference;
pub use python::{Style, restyle};
pub use read::{Plain, Reader};
pub use table::{column, with_times};
pub use write::{BoundWriter, Writer};

use crate::json::Kind;
use crate::{Field, Schema};

/// The key in a record's metadata under which its fields' exceptions travel.
pub const FIELDS: &str = "$fields";

/// The key in a record's metadata under which the record's own unknown members travel.
pub const RECORD: &str = "$record";

/// The key in a field's exception under which the kind of its value travels, where the type says
/// nothing about it: the value is null, or of a kind the type does not fit.
pub const KIND: &str = "$kind";

/// What precedes a dataknobs type in [`crate::Field::source_type`].
pub const TYPE_PREFIX: &str = "dataknobs:";

/// The form of a dataknobs record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One member of a store file: indented by two, non-ASCII as it is.
    File,
    /// A body of its own (S3): compact, ASCII.
    Object,
    /// `data` and `metadata` of a table: bare values, compact, ASCII.
    Flat,
}

impl Form {
    /// Whether NaN and infinity stand in this form as Python writes them.
    pub fn is_bare_nan(self) -> bool {
        self != Form::Flat
    }
}

/// Whether a value of this kind in this column declares this type when nothing is said about it:
/// a bare value then says as much as a field.
pub fn is_usual(field: &Field, kind: &Kind<'_>, declared: &str) -> bool {
    types::usual(types::declared(field), kind) == declared
}

/// A sentence for each column whose declared type a flat store does not keep, for the plan.
pub fn lost_when_flat(schema: &Schema) -> Vec<String> {
    let mut lost: Vec<String> = schema
        .data_fields()
        .filter_map(|(_, field)| Some((field, types::declared(field)?)))
        .filter(|(_, declared)| {
            matches!(*declared, "datetime" | "text" | "binary" | "sparse_vector")
        })
        .map(|(field, declared)| {
            format!(
                "`{}` is read back as a string or json, not as {declared}",
                field.name
            )
        })
        .collect();
    if schema
        .data_fields()
        .any(|(_, field)| types::declared(field).is_some())
    {
        lost.push("metadata of single fields is not kept, vectors excepted".to_owned());
    }
    lost
}
