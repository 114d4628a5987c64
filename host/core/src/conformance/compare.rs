//! Comparing rows: exactly in the plan's schema, by meaning across schemas.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::{Failure, Verdict, ensure};
use crate::content::row_hashes;
use crate::json::{self, Encoder, Kind, Scanner, Token, unescape};
use crate::text::same_number;
use crate::{Nulls, Schema};

/// The same rows in whatever order, types and all.
pub(super) fn same_rows(what: &str, expected: &[RecordBatch], actual: &[RecordBatch]) -> Verdict {
    let (expected, actual) = (hashed(expected)?, hashed(actual)?);
    let missing = expected
        .iter()
        .find(|(hash, row)| actual.get(hash).is_none_or(|a| a.1 < row.1));
    let surplus = actual
        .iter()
        .find(|(hash, row)| expected.get(hash).is_none_or(|e| e.1 < row.1));
    ensure(missing.is_none() && surplus.is_none(), || {
        let show = |row: Option<(&u128, &(String, usize))>| {
            row.map_or("none".to_owned(), |(_, row)| row.0.clone())
        };
        format!(
            "{what}: missing {}; surplus {}",
            show(missing),
            show(surplus)
        )
    })
}

fn hashed(batches: &[RecordBatch]) -> Result<BTreeMap<u128, (String, usize)>, Failure> {
    let mut rows = BTreeMap::new();
    for records in batches {
        for (row, hash) in row_hashes(records)?.into_iter().enumerate() {
            rows.entry(hash)
                .or_insert_with(|| (json::row(records, row), 0))
                .1 += 1;
        }
    }
    Ok(rows)
}

/// Every row as the document it stands for.
pub(super) fn documents(schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<String>, Failure> {
    let encoder = Encoder::new(schema, Nulls::Keep).bare_nan(true);
    let mut documents = Vec::new();
    for records in batches {
        let bound = encoder.bind(records)?;
        for row in 0..records.num_rows() {
            let mut document = Vec::new();
            bound.row(row, &mut document)?;
            documents.push(String::from_utf8_lossy(&document).into_owned());
        }
    }
    Ok(documents)
}

/// The same documents in the same order, or, without `ordered`, in any.
pub(super) fn same_documents(
    what: &str,
    expected: &[String],
    actual: &[String],
    ordered: bool,
    nulls: Nulls,
) -> Verdict {
    ensure(expected.len() == actual.len(), || {
        format!(
            "{what}: {} documents instead of {}",
            actual.len(),
            expected.len()
        )
    })?;
    let mut left: Vec<&String> = actual.iter().collect();
    for document in expected {
        let found = match ordered {
            true => same_document(document, left[0], nulls).then_some(0),
            false => left
                .iter()
                .position(|other| same_document(document, other, nulls)),
        };
        let Some(found) = found else {
            return Err(Failure(format!(
                "{what}: expected {document}, found {}",
                left[0]
            )));
        };
        left.remove(found);
    }
    Ok(())
}

/// Whether two objects mean the same; with [`Nulls::Omit`] a null field is as good as none.
fn same_document(a: &str, b: &str, nulls: Nulls) -> bool {
    let keeps = |value: &Token<'_>| nulls == Nulls::Keep || !matches!(value.kind, Kind::Null);
    let (Some(mut a), Some(mut b)) = (members(a), members(b)) else {
        return false;
    };
    a.retain(|_, value| keeps(value));
    b.retain(|_, value| keeps(value));
    same_members(&a, &b)
}

fn same_members(a: &BTreeMap<String, Token<'_>>, b: &BTreeMap<String, Token<'_>>) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((name, a), (other, b))| name == other && same_value(a, b))
}

/// Whether two JSON texts mean the same: whatever the order of keys, the digits of a number, the
/// escapes of a string. Bare NaN is the same as itself.
pub fn same_json(a: &str, b: &str) -> bool {
    let value = |text| Scanner::new(text).bare_nan(true).value();
    matches!((value(a), value(b)), (Ok(a), Ok(b)) if same_value(&a, &b))
}

fn same_value(a: &Token<'_>, b: &Token<'_>) -> bool {
    match (a.kind, b.kind) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Boolean(a), Kind::Boolean(b)) => a == b,
        (Kind::Number(a), Kind::Number(b)) => same_number(a.text, b.text),
        (Kind::NotFinite(a), Kind::NotFinite(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Kind::Text(a, a_escaped), Kind::Text(b, b_escaped)) => {
            unescape(a, a_escaped) == unescape(b, b_escaped)
        }
        (Kind::Array, Kind::Array) => match (items(a.raw), items(b.raw)) {
            (Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same_value(a, b))
            }
            _ => false,
        },
        (Kind::Object, Kind::Object) => match (members(a.raw), members(b.raw)) {
            (Some(a), Some(b)) => same_members(&a, &b),
            _ => false,
        },
        _ => false,
    }
}

fn members(object: &str) -> Option<BTreeMap<String, Token<'_>>> {
    let mut members = BTreeMap::new();
    let mut scanner = Scanner::new(object).bare_nan(true);
    let mut more = scanner.enter_object().ok()?;
    while more {
        let (name, escaped) = scanner.key().ok()?;
        members.insert(unescape(name, escaped).into_owned(), scanner.value().ok()?);
        more = scanner.next_member().ok()?;
    }
    Some(members)
}

fn items(array: &str) -> Option<Vec<Token<'_>>> {
    let mut items = Vec::new();
    let mut scanner = Scanner::new(array);
    let mut more = scanner.enter_array().ok()?;
    while more {
        items.push(scanner.value().ok()?);
        more = scanner.next_item().ok()?;
    }
    Some(items)
}
