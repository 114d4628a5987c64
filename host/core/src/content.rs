//! The order-free content sum that compares what was sent with what is held.
//!
//! Sum modulo 2^128 of a 128-bit hash per canonical row. Not XOR, which cancels pairs: a target
//! that lost two equal rows would look complete.
//!
//! *Source* – row encoding: `arrow::row`; hash: XXH3-128.

mod canonical;

use std::ops::{Add, AddAssign, Sub};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::row::{RowConverter, SortField};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use crate::dataknobs::{FIELDS, RECORD, Style, restyle};
use crate::{LogicalType, Result, Role, Schema};

/// The content of a set of rows, whatever their order. Serialised as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentSum(pub u128);

impl ContentSum {
    /// The content of every row of `records`.
    pub fn of(records: &RecordBatch) -> Result<Self> {
        Ok(row_hashes(records)?
            .into_iter()
            .fold(ContentSum::default(), |sum, hash| {
                ContentSum(sum.0.wrapping_add(hash))
            }))
    }
}

impl Add for ContentSum {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        ContentSum(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for ContentSum {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for ContentSum {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        ContentSum(self.0.wrapping_sub(other.0))
    }
}

impl Serialize for ContentSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for ContentSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(ContentSum)
            .map_err(serde::de::Error::custom)
    }
}

/// A 128-bit hash of every row. Equal rows of the same columns hash equal in every process.
pub fn row_hashes(records: &RecordBatch) -> Result<Vec<u128>> {
    let schema = Schema::from_arrow(&records.schema())?;
    let (rest, meta) = (schema.role(Role::Rest), schema.role(Role::Meta));
    let columns: Vec<ArrayRef> = records
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| match schema.fields[i].logical {
            _ if Some(i) == rest => {
                canonical_json(&canonical_object(column, |_, value| value != "null"))
            }
            _ if Some(i) == meta => canonical_json(&canonical_object(column, |name, _| {
                ![FIELDS, RECORD].contains(&name)
            })),
            LogicalType::Json => canonical_json(column),
            LogicalType::Number => canonical_numbers(column),
            _ => column.clone(),
        })
        .collect();
    if columns.is_empty() {
        return Ok(vec![xxh3_128(b""); records.num_rows()]);
    }
    let sort_fields = columns
        .iter()
        .map(|c| SortField::new(c.data_type().clone()))
        .collect();
    let rows = RowConverter::new(sort_fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| xxh3_128(row.as_ref())).collect())
}

/// JSON on one line, with one way to escape and one order of members: a store may lay it out as it
/// likes.
fn canonical_json(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column
        .as_string_opt::<i32>()
        .filter(|texts| texts.null_count() < texts.len())
    else {
        return column.clone();
    };
    let mut out = Vec::new();
    let canonical: StringArray = texts
        .iter()
        .map(|text| {
            out.clear();
            restyle(text?, Style::Ascii, &mut out);
            Some(canonical::arranged(&String::from_utf8_lossy(&out)))
        })
        .collect();
    Arc::new(canonical)
}

/// Numbers without exponents: Python writes `1e+400`, PostgreSQL every digit of it.
fn canonical_numbers(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else {
        return column.clone();
    };
    if !texts
        .value_data()
        .iter()
        .any(|b| matches!(b, b'e' | b'E' | b'-'))
    {
        return column.clone();
    }
    Arc::new(
        texts
            .iter()
            .map(|text| text.map(without_exponent))
            .collect::<StringArray>(),
    )
}

/// More digits are not written out; such numbers are compared as they are spelled.
const WRITTEN_OUT: i64 = 200_000;

/// A number's digits around its point, as many behind it as were given; zero has no sign.
fn without_exponent(text: &str) -> String {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i64>().ok()),
        None => (text, Some(0)),
    };
    let Some(exponent) = exponent.filter(|exponent| exponent.abs() <= WRITTEN_OUT) else {
        return text.replace('E', "e").replace("e+", "e");
    };
    let digits = number.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = format!("{whole}{fraction}");
    let mut point = whole.len() as i64 + exponent;
    if point < 1 {
        all.insert_str(0, &"0".repeat((1 - point) as usize));
        point = 1;
    }
    let missing = point - all.len() as i64;
    all.push_str(&"0".repeat(missing.max(0) as usize));
    let (whole, fraction) = all.split_at(point as usize);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let sign = match number.starts_with('-') && all.bytes().any(|b| b != b'0') {
        true => "-",
        false => "",
    };
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Objects with their keys sorted and only the members to `keep`; an empty one is null.
///
/// Two stores may keep a document's unknown fields in another order, and `nulls` decides whether a
/// null in the rest is written at all. What fields of dataknobs records say beside their values
/// ([`FIELDS`], [`RECORD`] in the metadata) only some of its stores hold; the plan says which.
fn canonical_object(objects: &ArrayRef, keep: fn(&str, &str) -> bool) -> ArrayRef {
    if objects.null_count() == objects.len() {
        return objects.clone();
    }
    let sorted: StringArray = objects
        .as_string::<i32>()
        .iter()
        .map(|object| {
            object.map(|text| {
                use std::collections::BTreeMap;
                match serde_json::from_str::<BTreeMap<String, &serde_json::value::RawValue>>(text) {
                    Ok(mut fields) => {
                        fields.retain(|name, value| keep(name, value.get()));
                        serde_json::to_string(&fields).unwrap_or_else(|_| text.to_owned())
                    }
                    Err(_) => text.to_owned(),
                }
            })
        })
        .map(|object| object.filter(|text| text != "{}"))
        .collect();
    Arc::new(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    fn hash(logical: LogicalType, text: &str) -> u128 {
        let schema = Schema::new(vec![Field::new("c", logical)]);
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        row_hashes(&RecordBatch::try_new(schema.to_arrow(), vec![column]).unwrap()).unwrap()[0]
    }

    #[test]
    fn json_is_compared_by_its_tokens_and_text_by_its_bytes() {
        let json = |text| hash(LogicalType::Json, text);
        assert_eq!(
            json("{\"a\":[1,\"\u{e9}\"]}"),
            json("{ \"a\" : [\n 1, \"\\u00e9\" ] }")
        );
        assert_ne!(json("[1, 2]"), json("[12]"));
        assert_ne!(json("[1.0]"), json("[1.00]"));
        let written_out = format!(r#"{{"a":{{"b":2,"c":1}},"z":1{}}}"#, "0".repeat(400));
        assert_eq!(json(r#"{"z":1e400,"a":{"c":1,"b":2}}"#), json(&written_out));
        assert_ne!(json(r#"{"a":1,"b":2}"#), json(r#"{"a":2,"b":1}"#));
        assert_ne!(
            hash(LogicalType::Utf8, "[1, 2]"),
            hash(LogicalType::Utf8, "[1,2]")
        );
    }

    #[test]
    fn a_number_is_the_same_however_its_exponent_is_spelled() {
        let number = |text| hash(LogicalType::Number, text);
        assert_eq!(number("1e400"), number("1E+400"));
        assert_ne!(number("1e400"), number("1e-400"));
        assert_ne!(number("1.0"), number("1.00"));
        for (spelled, out) in [
            ("1.5e3", "1500"),
            ("-1.50e-2", "-0.0150"),
            ("12.345e1", "123.45"),
            ("-0.0", "0.0"),
            ("1E+2", "100"),
            ("0e5", "0"),
        ] {
            assert_eq!(number(spelled), number(out), "{spelled}");
        }
        assert_eq!(number("1E999999999"), number("1e+999999999"));
    }

    #[test]
    fn the_rest_has_no_nulls_and_the_metadata_no_exceptions() {
        let reserved = |role, text: &str| {
            let schema = Schema::new(vec![Field::reserved(role)]);
            let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
            row_hashes(&RecordBatch::try_new(schema.to_arrow(), vec![column]).unwrap()).unwrap()[0]
        };
        let rest = |text| reserved(Role::Rest, text);
        assert_eq!(
            rest(r#"{"b":1,"a":null,"c":{"x":null}}"#),
            rest(r#"{"c":{"x": null},"b":1}"#)
        );
        assert_ne!(rest(r#"{"b":1}"#), rest(r#"{"b":2}"#));
        let meta = |text| reserved(Role::Meta, text);
        assert_eq!(
            meta(r#"{"$fields":{"a":{"type":"text"}},"s":null}"#),
            meta(r#"{"s":null}"#)
        );
        assert_ne!(meta(r#"{"s":null}"#), meta(r#"{}"#));
    }
}
