//! Between JSON text and everything else.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StringBuilder};
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use dkhost_core::LogicalType;
use dkhost_core::text::Number;
use serde_json::value::RawValue;

use super::{Converted, arrow_cast, convert};
use crate::expr::fault::Fault;

/// JSON values to `to`: a string gives its text, every other value its JSON text, which is then
/// converted as text is; JSON's null gives null.
pub(super) fn from_json(input: &ArrayRef, to: &LogicalType) -> Result<Converted, Fault> {
    let (texts, mut failed) = texts(input.as_string::<i32>());
    let mut converted = convert(&texts, &LogicalType::Utf8, to)?;
    if matches!(
        to,
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::UInt64
    ) && !converted.failed.is_empty()
    {
        converted = whole_floats(input, converted, to)?;
    }
    if !failed.is_empty() {
        failed.append(&mut converted.failed);
        failed.sort_unstable();
        converted.failed = failed;
    }
    Ok(converted)
}

/// The text of each value, and the rows that are not JSON.
fn texts(input: &StringArray) -> (ArrayRef, Vec<u32>) {
    let mut texts = StringBuilder::with_capacity(input.len(), input.value_data().len());
    let mut failed = Vec::new();
    for (row, json) in input.iter().enumerate() {
        let Some(json) = json.map(str::trim) else {
            texts.append_null();
            continue;
        };
        match json.as_bytes() {
            b"null" => texts.append_null(),
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
                texts.append_value(&json[1..json.len() - 1])
            }
            [b'"', ..] => match serde_json::from_str::<String>(json) {
                Ok(text) => texts.append_value(text),
                Err(_) => {
                    texts.append_null();
                    failed.push(row as u32);
                }
            },
            _ => texts.append_value(json),
        }
    }
    (Arc::new(texts.finish()), failed)
}

/// JSON writes whole numbers also as 12.0 and 1e3.
fn whole_floats(
    input: &ArrayRef,
    converted: Converted,
    to: &LogicalType,
) -> Result<Converted, Fault> {
    let json = input.as_string::<i32>();
    let whole = |row: u32| Number::parse(json.value(row as usize).trim())?.as_decimal(38, 0);
    let found: Vec<(u32, i128)> = converted
        .failed
        .iter()
        .filter_map(|row| Some((*row, whole(*row)?)))
        .collect();
    if found.is_empty() {
        return Ok(converted);
    }
    let wide = arrow_cast(&converted.values, &DataType::Utf8)?;
    let mut texts: Vec<Option<String>> = wide
        .as_string::<i32>()
        .iter()
        .map(|t| t.map(str::to_owned))
        .collect();
    for (row, value) in &found {
        texts[*row as usize] = Some(value.to_string());
    }
    let again = convert(
        &(Arc::new(StringArray::from(texts)) as ArrayRef),
        &LogicalType::Utf8,
        to,
    )?;
    let solved = |row: &u32| again.values.is_valid(*row as usize);
    let failed = converted
        .failed
        .into_iter()
        .filter(|row| !solved(row))
        .collect();
    Ok(Converted {
        values: again.values,
        failed,
    })
}

/// Text that is JSON already, kept as it is; JSON's null gives null.
pub(super) fn parsed(input: &ArrayRef) -> Result<Converted, Fault> {
    let texts = input.as_string::<i32>();
    let is_null = |text: &str| text.trim() == "null";
    let is_bad = |text: &str| serde_json::from_str::<&RawValue>(text).is_err();
    let gone: BooleanArray = texts
        .iter()
        .map(|text| text.map(|text| is_null(text) || is_bad(text)))
        .collect();
    if gone.true_count() == 0 {
        return Ok(Converted::whole(input.clone()));
    }
    let mut converted = Converted::from_nulls(input, nullif(input, &gone)?);
    converted
        .failed
        .retain(|row| !is_null(texts.value(*row as usize)));
    Ok(converted)
}

/// Text without special characters (dates, uuids) as JSON strings.
pub(super) fn quoted(texts: &ArrayRef) -> ArrayRef {
    let texts = texts.as_string::<i32>();
    let mut quoted =
        StringBuilder::with_capacity(texts.len(), texts.value_data().len() + 2 * texts.len());
    for text in texts {
        match text {
            Some(text) => {
                // A builder of text cannot fail to be written to.
                let _ = write!(quoted, "\"{text}\"");
                quoted.append_value("");
            }
            None => quoted.append_null(),
        }
    }
    Arc::new(quoted.finish())
}
