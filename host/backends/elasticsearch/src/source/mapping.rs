//! How the mapping types a field, and what its documents hold in it.
//!
//! A mapping says how a value is searched for, not what the document has there: an array passes for
//! a scalar, `"5"` for a number, a text for a date. So the mapping gives the types that may be right,
//! in order, and a sample of documents takes away those that are not; what comes later and does not
//! fit stays in the rest of its record. Without a sample the first is taken.
//!
//! *Source* – Elasticsearch 8.19 and OpenSearch 2.19, "Field data types".

use std::sync::Arc;

use dkhost_core::LogicalType;
use dkhost_core::json::{Kind, Token, unescape};
use dkhost_core::text::fits;
use serde_json::Value as Json;

/// A field at the top of the documents, as the mapping of one or more indices has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mapped {
    pub name: String,
    /// Its type in the mapping's words; `object` where it has members, `mixed` where indices differ.
    pub kind: String,
    /// All the mapping says of it.
    pub definition: Json,
    /// Whether every index has it, with the same definition.
    pub everywhere: bool,
}

/// The fields of some mappings, in the order in which the server gives them.
pub(super) fn fields<'a>(mappings: impl Iterator<Item = &'a Json> + Clone) -> Vec<Mapped> {
    let mut found: Vec<Mapped> = Vec::new();
    for mapping in mappings.clone() {
        for (name, definition) in mapping["properties"].as_object().into_iter().flatten() {
            let kind = definition["type"].as_str().unwrap_or("object");
            // Another name for a field: no document has it.
            if kind == "alias" {
                continue;
            }
            match found.iter_mut().find(|known| known.name == *name) {
                None => found.push(Mapped {
                    name: name.clone(),
                    kind: kind.to_owned(),
                    definition: definition.clone(),
                    everywhere: mappings
                        .clone()
                        .all(|m| m["properties"][name] == *definition),
                }),
                Some(known) if known.kind != kind => "mixed".clone_into(&mut known.kind),
                Some(_) => {}
            }
        }
    }
    found
}

/// The types that can hold what the documents have in a field, the likeliest first.
pub(super) fn candidates(mapped: &Mapped) -> Vec<LogicalType> {
    use LogicalType::*;
    let utc = || Timestamp(Some(Arc::from("UTC")));
    let mut types = match mapped.kind.as_str() {
        "text"
        | "keyword"
        | "constant_keyword"
        | "wildcard"
        | "match_only_text"
        | "ip"
        | "version"
        | "search_as_you_type"
        | "annotated_text"
        | "icu_collation_keyword"
        | "counted_keyword" => vec![Utf8],
        "boolean" => vec![Boolean],
        "byte" | "short" | "integer" | "token_count" => vec![Int32, Int64],
        "long" => vec![Int64],
        "unsigned_long" => vec![UInt64, Number],
        // The document has what was sent, whatever is left of it in the index.
        "float" | "half_float" | "double" | "scaled_float" | "rank_feature" => {
            vec![Float64, Number]
        }
        "date" => match Dates::of(&mapped.definition) {
            Dates::Iso => vec![utc(), Timestamp(None), Date32, Int64, Utf8],
            Dates::Days => vec![Date32, Utf8],
            Dates::Numbers => vec![Int64, Utf8],
            Dates::Other => vec![Utf8],
        },
        // Finer than a timestamp holds.
        "date_nanos" => vec![Utf8, utc()],
        "binary" => vec![Binary, Utf8],
        "dense_vector" => vector(&mapped.definition["dims"]),
        "knn_vector" => vector(&mapped.definition["dimension"]),
        _ => Vec::new(),
    };
    types.push(Json);
    types
}

/// Whether values of a field that is defined so may be read as a type.
pub(crate) fn would_be_read_as(definition: &Json, logical: &LogicalType) -> bool {
    let mapped = Mapped {
        name: String::new(),
        kind: definition["type"].as_str().unwrap_or("object").to_owned(),
        definition: definition.clone(),
        everywhere: true,
    };
    candidates(&mapped).contains(logical)
}

fn vector(dimensions: &Json) -> Vec<LogicalType> {
    let dimensions = dimensions.as_i64().and_then(|n| i32::try_from(n).ok());
    dimensions
        .filter(|n| *n > 0)
        .map(LogicalType::Vector)
        .into_iter()
        .collect()
}

/// How dates are written, as far as it decides about their type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dates {
    /// In ISO 8601, with or without a time.
    Iso,
    Days,
    /// As a number since 1970.
    Numbers,
    /// In a way of its own, which a timestamp would not keep.
    Other,
}

impl Dates {
    pub fn of(definition: &Json) -> Self {
        let format = definition["format"]
            .as_str()
            .unwrap_or("strict_date_optional_time||epoch_millis");
        let words: Vec<&str> = format.split("||").map(str::trim).collect();
        let iso = |word: &&str| {
            matches!(
                word.strip_prefix("strict_").unwrap_or(word),
                "date_optional_time"
                    | "date_optional_time_nanos"
                    | "date_time"
                    | "date_time_no_millis"
                    | "iso8601"
                    | "rfc3339_lenient"
            )
        };
        let days = |word: &&str| {
            matches!(
                word.strip_prefix("strict_").unwrap_or(word),
                "date" | "year_month_day" | "yyyy-MM-dd" | "uuuu-MM-dd"
            )
        };
        let number = |word: &&str| matches!(*word, "epoch_millis" | "epoch_second");
        match () {
            () if words.iter().any(iso) => Dates::Iso,
            () if words.iter().all(days) => Dates::Days,
            () if words.iter().all(number) => Dates::Numbers,
            () => Dates::Other,
        }
    }
}

/// Which of some types hold all that was seen.
#[derive(Debug, Clone)]
pub(super) struct Fitting {
    types: Vec<LogicalType>,
    fits: Vec<bool>,
}

impl Fitting {
    pub fn of(types: Vec<LogicalType>) -> Self {
        Fitting {
            fits: vec![true; types.len()],
            types,
        }
    }

    /// Takes a value of the sample into account.
    pub fn observe(&mut self, token: &Token<'_>) {
        for (logical, fits) in self.types.iter().zip(&mut self.fits) {
            *fits = *fits && holds(logical, token);
        }
    }

    /// The likeliest that is left.
    pub fn best(&self) -> LogicalType {
        let left = self.types.iter().zip(&self.fits).find(|(_, fits)| **fits);
        left.map_or(LogicalType::Json, |(logical, _)| logical.clone())
    }
}

/// Whether a column of this type holds a value of a document; null is no value.
fn holds(logical: &LogicalType, token: &Token<'_>) -> bool {
    use LogicalType::*;
    match (&token.kind, logical) {
        (Kind::Null, _) | (_, Json) => true,
        (Kind::Text(..), Utf8) | (Kind::Boolean(_), Boolean) => true,
        (Kind::Text(inner, escaped), Binary | Date32 | Time64 | Timestamp(_) | Uuid) => {
            fits(logical, &unescape(inner, *escaped))
        }
        (Kind::Number(number), Int32) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Kind::Number(number), Int64) => number.as_i64().is_some(),
        (Kind::Number(number), UInt64) => number.as_u64().is_some(),
        (Kind::Number(number), Float64) => number.as_f64().is_some(),
        (Kind::Number(_), Number) => true,
        (Kind::Array, Vector(_)) => fits(logical, token.raw),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_core::json::Scanner;
    use serde_json::json;

    fn typed(definition: Json, values: &[&str]) -> String {
        let mappings = [json!({"properties": {"f": definition}})];
        let mapped = fields(mappings.iter()).remove(0);
        let mut fitting = Fitting::of(candidates(&mapped));
        for value in values {
            fitting.observe(&Scanner::new(value).value().unwrap());
        }
        fitting.best().to_string()
    }

    #[test]
    fn a_mapping_gives_a_type() {
        for (definition, logical) in [
            (
                json!({"type": "text", "fields": {"keyword": {"type": "keyword"}}}),
                "utf8",
            ),
            (json!({"type": "keyword"}), "utf8"),
            (json!({"type": "ip"}), "utf8"),
            (json!({"type": "byte"}), "int32"),
            (json!({"type": "integer"}), "int32"),
            (json!({"type": "long"}), "int64"),
            (json!({"type": "unsigned_long"}), "uint64"),
            (json!({"type": "half_float"}), "float64"),
            (json!({"type": "float"}), "float64"),
            (
                json!({"type": "scaled_float", "scaling_factor": 100}),
                "float64",
            ),
            (json!({"type": "boolean"}), "boolean"),
            (json!({"type": "binary"}), "binary"),
            (json!({"type": "date"}), "timestamp(us, UTC)"),
            (json!({"type": "date", "format": "yyyy-MM-dd"}), "date32"),
            (json!({"type": "date", "format": "epoch_second"}), "int64"),
            (
                json!({"type": "date", "format": "dd.MM.yyyy||epoch_millis"}),
                "utf8",
            ),
            (json!({"type": "date_nanos"}), "utf8"),
            (json!({"type": "dense_vector", "dims": 3}), "vector(3)"),
            (json!({"type": "knn_vector", "dimension": 2}), "vector(2)"),
            (json!({"type": "geo_point"}), "json"),
            (json!({"type": "nested", "properties": {}}), "json"),
            (json!({"properties": {"a": {"type": "long"}}}), "json"),
            (json!({"type": "flattened"}), "json"),
            (json!({"type": "something_new"}), "json"),
        ] {
            assert_eq!(typed(definition.clone(), &[]), logical, "{definition}");
        }
    }

    #[test]
    fn documents_have_the_last_word() {
        let (long, date) = (json!({"type": "long"}), json!({"type": "date"}));
        let keyword = json!({"type": "keyword"});
        for (definition, values, logical) in [
            (&long, &["1", "null", "-2"][..], "int64"),
            (&long, &["1", "\"2\""], "json"),
            (&long, &["1", "[1,2]"], "json"),
            (&keyword, &["\"a\"", "[\"a\",\"b\"]"], "json"),
            (&keyword, &["5"], "json"),
            (&date, &["\"2024-01-01\""], "date32"),
            (&date, &["\"2024-01-01T10:00:00\""], "timestamp(us)"),
            (
                &date,
                &["\"2024-01-01T10:00:00+02:00\"", "\"2024-01-01T10:00:00Z\""],
                "timestamp(us, UTC)",
            ),
            (
                &date,
                &["\"2024-01-01T10:00:00Z\"", "\"2024-01-01\""],
                "utf8",
            ),
            (&date, &["1700000000000"], "int64"),
            (&date, &["1700000000000", "\"2024-01-01\""], "json"),
        ] {
            assert_eq!(
                typed(definition.clone(), values),
                logical,
                "{definition} {values:?}"
            );
        }
        let unsigned = json!({"type": "unsigned_long"});
        assert_eq!(typed(unsigned.clone(), &["18446744073709551615"]), "uint64");
        assert_eq!(typed(unsigned, &["18446744073709551616"]), "number");
        let double = json!({"type": "double"});
        assert_eq!(typed(double.clone(), &["0.1", "1.5e300"]), "float64");
        assert_eq!(typed(double, &["0.12345678901234567890123"]), "number");
    }

    #[test]
    fn indices_that_differ_are_told() {
        let mappings = [
            json!({"properties": {"a": {"type": "long"}, "b": {"type": "long"}, "c": {"type": "alias", "path": "a"}}}),
            json!({"properties": {"a": {"type": "keyword"}}}),
        ];
        let found = fields(mappings.iter());
        let told: Vec<_> = found
            .iter()
            .map(|m| (m.name.as_str(), m.kind.as_str(), m.everywhere))
            .collect();
        assert_eq!(told, [("a", "mixed", false), ("b", "long", false)]);
        assert_eq!(candidates(&found[0]), [LogicalType::Json]);
    }
}
