//! How a column is indexed, and what an index that is there makes of it.
//!
//! A document is kept as it was sent, so reading it back gives every value as it was. What a field's
//! type decides is what can be found, sorted and summed, and which values are refused. A new index
//! says it for every column, since the server's own choice (32-bit floats, the first value decides)
//! refuses values it could hold.

use dkhost_core::{Field, LogicalType, Role};
use serde_json::{Value as Json, json};

use crate::client::{Kind, Product};

/// What a server can index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    pub kind: Kind,
    /// Whether it has whole numbers up to 2^64.
    pub unsigned: bool,
}

impl Abilities {
    /// Of a product that says which of its modules are installed.
    pub fn of(product: &Product, modules: &[String]) -> Self {
        Abilities {
            kind: product.kind,
            unsigned: product.kind == Kind::OpenSearch
                || modules
                    .iter()
                    .any(|module| module.contains("unsigned-long")),
        }
    }
}

/// The definition of a field that holds every value of a column, and how it does.
pub(super) fn definition(field: &Field, is_id: bool, can: Abilities) -> (Json, Option<String>) {
    const WHOLE: &str = "kept whole; nothing inside is searchable";
    const DIGITS: &str = "found by its digits; not ordered as numbers are";
    let plain = |kind: &str| (json!({"type": kind}), None);
    let told = |kind: &str, how: &str| (json!({"type": kind}), Some(how.to_owned()));
    // Beyond that a term is too long for the index, and the whole document refused.
    let keyword = json!({"type": "keyword", "ignore_above": 8191});
    if matches!(field.role, Some(Role::Meta | Role::Rest)) {
        return (
            json!({"type": "object", "enabled": false}),
            Some(WHOLE.to_owned()),
        );
    }
    match &field.logical {
        LogicalType::Boolean => plain("boolean"),
        LogicalType::Int32 => plain("integer"),
        LogicalType::Int64 => plain("long"),
        LogicalType::UInt64 if can.unsigned => plain("unsigned_long"),
        LogicalType::Float32 => plain("float"),
        LogicalType::Float64 => plain("double"),
        LogicalType::Decimal(digits, 0) if *digits <= 18 => plain("long"),
        LogicalType::Decimal(digits, _) if *digits <= 15 => plain("double"),
        LogicalType::UInt64 | LogicalType::Decimal(..) | LogicalType::Number => {
            (keyword, Some(DIGITS.to_owned()))
        }
        LogicalType::Utf8 if is_id => (keyword, None),
        LogicalType::Utf8 => {
            let mut text = json!({"type": "text"});
            text["fields"] = json!({"keyword": {"type": "keyword", "ignore_above": 256}});
            (
                text,
                Some("by its words, and whole as `.keyword` up to 256 characters".to_owned()),
            )
        }
        LogicalType::Uuid => plain("keyword"),
        LogicalType::Time64 => told("keyword", "as ISO 8601 text"),
        LogicalType::Date32 => plain("date"),
        LogicalType::Timestamp(_) => {
            told("date", "found by the millisecond, kept to the microsecond")
        }
        LogicalType::Binary => told("binary", "as base64; not searchable"),
        LogicalType::Json | LogicalType::Null => (
            json!({"type": "object", "enabled": false}),
            Some(WHOLE.to_owned()),
        ),
        LogicalType::Vector(length) if can.kind == Kind::Elasticsearch && *length <= 4096 => {
            let vector = json!({"type": "dense_vector", "dims": length, "index": false});
            (
                vector,
                Some("compared one by one; without an index for neighbours".to_owned()),
            )
        }
        LogicalType::Vector(_) => {
            let numbers = json!({"type": "float", "index": false, "doc_values": false});
            (numbers, Some("kept; not searchable".to_owned()))
        }
    }
}

/// What a field that is there makes of a column's values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fit {
    /// Values it refuses.
    pub refuses: Option<&'static str>,
    /// Values it finds and sums as others.
    pub changes: Option<&'static str>,
}

/// What a field of type `kind` makes of values of type `logical`.
pub(super) fn fit(logical: &LogicalType, kind: &str) -> Fit {
    use LogicalType as L;
    const ROUNDED: &str = "as a float of 32 bits";
    const DOUBLE: &str = "as a float of 64 bits";
    const SCALED: &str = "rounded to its scaling factor";
    const WHOLE: &str = "without their fraction";
    let refuses = |what| Fit {
        refuses: Some(what),
        changes: None,
    };
    let changes = |what| Fit {
        refuses: None,
        changes: Some(what),
    };
    match (logical, kind) {
        (
            L::Float64 | L::Int64 | L::UInt64 | L::Decimal(..) | L::Number,
            "float" | "half_float",
        ) => changes(ROUNDED),
        (L::Int32, "float" | "half_float") | (L::Float32, "half_float") => changes(ROUNDED),
        (L::Int64 | L::UInt64 | L::Number, "double") => changes(DOUBLE),
        (L::Decimal(digits, _), "double") if *digits > 15 => changes(DOUBLE),
        (kind, "scaled_float") if kind.is_numeric() => changes(SCALED),
        (
            L::Float32 | L::Float64 | L::Number,
            "byte" | "short" | "integer" | "long" | "unsigned_long",
        ) => changes(WHOLE),
        (L::Decimal(_, scale), "byte" | "short" | "integer" | "long" | "unsigned_long")
            if *scale > 0 =>
        {
            changes(WHOLE)
        }
        (L::Int64 | L::UInt64 | L::Decimal(..), "integer" | "short" | "byte")
        | (L::Int32, "short" | "byte") => refuses("numbers outside its range"),
        (L::UInt64, "long") => refuses("numbers from 2^63"),
        (L::Int32 | L::Int64, "unsigned_long") => refuses("negative numbers"),
        (
            L::Utf8 | L::Uuid | L::Time64 | L::Json,
            "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float"
            | "unsigned_long" | "scaled_float",
        ) => refuses("text that is no number"),
        (L::Utf8 | L::Json | L::Uuid | L::Time64, "date" | "date_nanos") => {
            refuses("text that is no date")
        }
        (L::Utf8, "ip") => refuses("text that is no address"),
        (L::Date32 | L::Timestamp(_), "date_nanos") => refuses("times before 1970 and after 2262"),
        (L::Date32 | L::Timestamp(_), "long" | "integer" | "double" | "float") => {
            refuses("all values")
        }
        (_, "boolean") if *logical != L::Boolean => refuses("values other than true and false"),
        (L::Json, "text" | "keyword") => refuses("objects"),
        (logical, "object" | "nested") if *logical != L::Json => {
            refuses("values that are no objects")
        }
        _ => Fit::default(),
    }
}

/// What the server makes of a field that no mapping names, by its first value.
pub(super) fn dynamic(logical: &LogicalType) -> &'static str {
    use LogicalType as L;
    match logical {
        L::Boolean => "boolean",
        L::Int32 | L::Int64 | L::UInt64 => "long (2^63 and more is refused)",
        L::Float32 | L::Float64 | L::Decimal(..) | L::Number => "float (32 bits)",
        L::Date32 | L::Timestamp(_) => "date",
        L::Json => "whatever its first value is; others are refused",
        L::Vector(_) => "float",
        _ => "text, or date if the first one looks like one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(logical: &str, unsigned: bool, kind: Kind) -> String {
        let field = Field::new("f", logical.parse().unwrap());
        let (definition, _) = definition(&field, false, Abilities { kind, unsigned });
        definition["type"].as_str().unwrap().to_owned()
    }

    #[test]
    fn numbers_get_a_type_that_holds_them() {
        for (logical, expected) in [
            ("int32", "integer"),
            ("int64", "long"),
            ("uint64", "unsigned_long"),
            ("float32", "float"),
            ("float64", "double"),
            ("decimal(18, 0)", "long"),
            ("decimal(15, 4)", "double"),
            ("decimal(16, 4)", "keyword"),
            ("number", "keyword"),
            ("timestamp(us, UTC)", "date"),
            ("json", "object"),
            ("binary", "binary"),
            ("vector(3)", "dense_vector"),
            ("vector(5000)", "float"),
        ] {
            assert_eq!(
                kind(logical, true, Kind::Elasticsearch),
                expected,
                "{logical}"
            );
        }
        assert_eq!(kind("uint64", false, Kind::Elasticsearch), "keyword");
        assert_eq!(kind("vector(3)", true, Kind::OpenSearch), "float");
    }

    #[test]
    fn a_mapping_that_changes_values_is_told_from_one_that_refuses_some() {
        let fit = |logical: &str, kind| fit(&logical.parse().unwrap(), kind);
        assert_eq!(
            fit("float64", "float").changes,
            Some("as a float of 32 bits")
        );
        assert_eq!(
            fit("number", "double").changes,
            Some("as a float of 64 bits")
        );
        assert_eq!(
            fit("decimal(10, 2)", "long").changes,
            Some("without their fraction")
        );
        assert_eq!(fit("uint64", "long").refuses, Some("numbers from 2^63"));
        assert_eq!(fit("utf8", "long").refuses, Some("text that is no number"));
        for (logical, kind) in [
            ("float64", "double"),
            ("int32", "long"),
            ("int64", "keyword"),
            ("json", "object"),
            ("utf8", "text"),
        ] {
            assert_eq!(fit(logical, kind), Fit::default(), "{logical} in {kind}");
        }
    }
}
