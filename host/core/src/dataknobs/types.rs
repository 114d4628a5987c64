//! The types dataknobs declares for fields, and the one it detects where none is declared.

use super::TYPE_PREFIX;
use crate::Field;
use crate::json::{Kind, unescape};

/// The kind of null, see [`kind_name`].
pub(super) const NULL: &str = "null";

/// The dataknobs type most values of a column declare.
pub(super) fn declared(field: &Field) -> Option<&str> {
    field.source_type.as_deref()?.strip_prefix(TYPE_PREFIX)
}

/// The type a field has when nothing says otherwise: its column's, unless the value is of another
/// kind; then the one dataknobs detects.
pub(super) fn usual<'a>(column: Option<&'a str>, kind: &Kind<'_>) -> &'a str {
    match column {
        // dataknobs detects null as a string, whatever the column usually is.
        Some(column) if !matches!(kind, Kind::Null) && may_hold(column, kind) => column,
        _ => detected(kind),
    }
}

/// Whether a field of this type may hold a value of this kind.
pub(super) fn may_hold(declared: &str, kind: &Kind<'_>) -> bool {
    match (kind, declared) {
        (Kind::Null, _) | (_, "json") => true,
        (Kind::Boolean(_), _) => declared == "boolean",
        // A column holds `-0` as a float, or its sign would go.
        (Kind::Number(number), "integer") => number.is_integer() && number.text != "-0",
        (Kind::Number(_) | Kind::NotFinite(_), _) => declared == "float",
        (Kind::Text(..), _) => !matches!(
            declared,
            "integer" | "float" | "boolean" | "vector" | "sparse_vector"
        ),
        (Kind::Array, _) => matches!(declared, "vector" | "sparse_vector"),
        (Kind::Object, _) => declared == "sparse_vector",
    }
}

/// The kind of a value as an exception notes it: numbers are of one kind.
pub(super) fn kind_name(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Null => NULL,
        Kind::Boolean(_) => "boolean",
        Kind::Number(_) | Kind::NotFinite(_) => "number",
        Kind::Text(..) => "text",
        Kind::Array => "list",
        Kind::Object => "object",
    }
}

/// The type dataknobs gives a bare value.
fn detected(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Null => "string",
        Kind::Boolean(_) => "boolean",
        Kind::Number(number) if number.is_integer() && number.text != "-0" => "integer",
        Kind::Number(_) | Kind::NotFinite(_) => "float",
        Kind::Text(inner, escaped) => match inner.len() {
            0..=1000 => "string",
            _ if unescape(inner, *escaped).chars().count() > 1000 => "text",
            _ => "string",
        },
        Kind::Array | Kind::Object => "json",
    }
}
