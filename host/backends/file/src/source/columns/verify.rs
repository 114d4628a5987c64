//! Values whose layout says less than their type: JSON and numbers as text, vectors.
//!
//! A mark in a file is a claim. Text that is not JSON under a column of JSON would break whatever
//! it is copied into, so every such value is looked at; one that does not fit is null here, and its
//! row is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, StringArray};
use arrow::compute::nullif;
use dkhost_core::json::Scanner;
use dkhost_core::text::Number;
use dkhost_core::{Field, LogicalType, Result, Role};

/// The column with null where a value is not one of its type.
pub fn verified(column: ArrayRef, field: &Field) -> Result<ArrayRef> {
    let is_object = matches!(field.role, Some(Role::Meta | Role::Rest));
    match &field.logical {
        LogicalType::Json => texts(column, |text| is_json(text, is_object)),
        LogicalType::Number => texts(column, |text| {
            Number::scan(text).is_ok_and(|number| number.text.len() == text.len())
        }),
        LogicalType::Vector(length) => vectors(column, *length as usize),
        _ => Ok(column),
    }
}

fn is_json(text: &str, is_object: bool) -> bool {
    let mut scanner = Scanner::new(text);
    (!is_object || text.starts_with('{')) && scanner.value().is_ok() && scanner.end().is_ok()
}

fn texts(column: ArrayRef, fits: impl Fn(&str) -> bool) -> Result<ArrayRef> {
    let Some(texts) = column.as_string_opt::<i32>() else {
        return Ok(column);
    };
    if texts.iter().flatten().all(&fits) {
        return Ok(column);
    }
    let kept: StringArray = texts
        .iter()
        .map(|text| text.filter(|text| fits(text)))
        .collect();
    Ok(Arc::new(kept))
}

/// A vector has a number in every place.
fn vectors(column: ArrayRef, length: usize) -> Result<ArrayRef> {
    let Some(vectors) = column.as_fixed_size_list_opt() else {
        return Ok(column);
    };
    let Some(items) = vectors.values().as_any().downcast_ref::<Float32Array>() else {
        return Ok(column);
    };
    if items.null_count() == 0 {
        return Ok(column);
    }
    let has_null = |row: usize| {
        let start = vectors.value_offset(row) as usize;
        (start..start + length).any(|item| items.is_null(item))
    };
    let incomplete: BooleanArray = (0..vectors.len()).map(|row| Some(has_null(row))).collect();
    Ok(nullif(&column, &incomplete)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], logical: LogicalType, role: Option<Role>, fit: &[bool]) {
        let field = Field {
            role,
            ..Field::new("x", logical)
        };
        let column = verified(Arc::new(StringArray::from(values.to_vec())), &field).unwrap();
        let found: Vec<bool> = (0..column.len()).map(|row| column.is_valid(row)).collect();
        assert_eq!(found, fit, "{values:?}");
    }

    #[test]
    fn what_a_file_calls_json_is_looked_at() {
        check(
            &["[1]", "\"a\"", "{", "1}", ""],
            LogicalType::Json,
            None,
            &[true, true, false, false, false],
        );
        check(
            &["{}", "[1]"],
            LogicalType::Json,
            Some(Role::Rest),
            &[true, false],
        );
        check(
            &["1e400", "-0.5", "x", "1,"],
            LogicalType::Number,
            None,
            &[true, true, false, false],
        );
    }
}
