//! The rules of columns that are text: UTF-8, JSON, exact numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use serde::de::IgnoredAny;

/// Rebuilds a text column from its valid rows, for when the whole buffer is not UTF-8: what lies
/// under a null is nobody's business, a valid row that is not UTF-8 is an error.
pub(super) fn row_by_row(
    offsets: &OffsetBuffer<i32>,
    data: &Buffer,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, String> {
    let rows = offsets.len() - 1;
    let mut text = StringBuilder::with_capacity(rows, data.len());
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            text.append_null();
            continue;
        }
        let bytes = &data[offsets[row] as usize..offsets[row + 1] as usize];
        match simdutf8::basic::from_utf8(bytes) {
            Ok(value) => text.append_value(value),
            Err(_) => return Err(format!("row {row} is not UTF-8")),
        }
    }
    Ok(text.finish())
}

/// A column of JSON texts.
pub(super) fn json(array: StringArray) -> Result<ArrayRef, String> {
    each(array, "JSON", |text| {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    })
}

/// Whether every value of a column of JSON texts is an object: what a record's metadata and the rest
/// of a document are.
pub(super) fn objects(column: &ArrayRef) -> Result<(), String> {
    let Some(array) = column.as_string_opt::<i32>() else {
        return Err("is no text".into());
    };
    // It was read as JSON before, so the first character that counts decides.
    let is_object = |text: &str| text.trim_ascii_start().starts_with('{');
    match (0..array.len()).find(|row| array.is_valid(*row) && !is_object(array.value(*row))) {
        Some(row) => Err(format!("row {row} is not a JSON object")),
        None => Ok(()),
    }
}

/// A column of exact numbers.
pub(super) fn number(array: StringArray) -> Result<ArrayRef, String> {
    each(array, "a number", is_number)
}

fn each(
    array: StringArray,
    what: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<ArrayRef, String> {
    let wrong = (0..array.len()).find(|row| array.is_valid(*row) && !is_right(array.value(*row)));
    match wrong {
        Some(row) => Err(format!("row {row} is not {what}")),
        None => Ok(Arc::new(array)),
    }
}

/// Digits, maybe a sign, a fraction and an exponent: `-12.50`, `1e-7`.
fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_have_one_grammar() {
        for right in [
            "0",
            "-1",
            "12.50",
            "1e-7",
            "123456789012345678901234567890.1",
        ] {
            assert!(is_number(right), "{right}");
        }
        for wrong in ["", "-", "01", "1.", ".5", "1e", "NaN", "+1", " 1", "1_000"] {
            assert!(!is_number(wrong), "{wrong}");
        }
    }
}
