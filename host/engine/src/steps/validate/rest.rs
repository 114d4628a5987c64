//! What the rest of documents says of a version's fields: values that are in no column.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use dkhost_core::text::Appender;
use dkhost_core::{Error, LogicalType, Result};

use super::bind::Bound;
use crate::drift::Fields;

/// The rest of a batch, as far as a version is concerned.
#[derive(Default)]
pub(super) struct Rest {
    /// By row: fields the version does not know, where it is not open.
    pub(super) unknown: BTreeMap<usize, Vec<String>>,
    /// By field of the version: rows, ascending, and the JSON of a value that is not in its column.
    pub(super) values: BTreeMap<usize, Vec<(usize, String)>>,
}

impl Rest {
    /// Adds the records that have a value in a column the version does not know.
    pub(super) fn add(&mut self, name: &str, column: &ArrayRef) {
        if column.logical_null_count() == column.len() {
            return;
        }
        let nulls = column.logical_nulls();
        let has_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        for row in (0..column.len()).filter(has_value) {
            self.unknown.entry(row).or_default().push(name.to_owned());
        }
    }
}

/// Looks through the rest; nulls are no values.
pub(super) fn look(column: &ArrayRef, bound: &Bound) -> Result<Rest> {
    let mut rest = Rest::default();
    if column.null_count() == column.len() {
        return Ok(rest);
    }
    for (row, text) in column.as_string::<i32>().iter().enumerate() {
        let Some(text) = text else { continue };
        let fields: Fields<'_> = serde_json::from_str(text)
            .map_err(|cause| Error::bug("a rest is no JSON object").caused_by(cause))?;
        for (name, value) in fields.0 {
            match bound.fields.iter().position(|field| field.name == name) {
                Some(_) if value.get() == "null" => {}
                Some(field) => {
                    let values = rest.values.entry(field).or_default();
                    values.push((row, value.get().to_owned()));
                }
                None if bound.is_unknown(&name) => {
                    rest.unknown.entry(row).or_default().push(name);
                }
                None => {}
            }
        }
    }
    Ok(rest)
}

/// Values as a column of JSON, null in the other rows.
pub(super) fn as_json(values: &[(usize, String)], rows: usize) -> ArrayRef {
    let mut column: Vec<Option<&str>> = vec![None; rows];
    for (row, json) in values {
        column[*row] = Some(json);
    }
    std::sync::Arc::new(StringArray::from(column))
}

/// Values as a column of a type, null in the other rows and where a value is none of the type.
pub(super) fn as_type(
    values: &[(usize, String)],
    rows: usize,
    logical: &LogicalType,
) -> Result<ArrayRef> {
    let mut column = Appender::new(logical);
    let mut values = values.iter().peekable();
    for row in 0..rows {
        match values.next_if(|(at, _)| *at == row) {
            Some((_, json)) if append(&mut column, json, logical) => {}
            _ => column.append_null(),
        }
    }
    column.finish()
}

/// Appends a JSON value that is of the type as a source would take it: nothing is converted.
fn append(column: &mut Appender, json: &str, logical: &LogicalType) -> bool {
    use LogicalType::{Boolean, Json, Vector};
    match (logical, json.as_bytes().first()) {
        (Json, _) => column.append(json),
        (Boolean, Some(b't' | b'f')) | (Vector(_), Some(b'[')) => column.append(json),
        (logical, Some(b'-' | b'0'..=b'9')) if logical.is_numeric() => column.append(json),
        (Boolean | Vector(_), _) => false,
        (logical, Some(b'"')) if !logical.is_numeric() => {
            serde_json::from_str::<String>(json).is_ok_and(|text| column.append(&text))
        }
        _ => false,
    }
}
