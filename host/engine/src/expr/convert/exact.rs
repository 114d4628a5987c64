//! Whether a conversion from or to text and floats has kept the value.
//!
//! A float stands for the shortest decimal text that reads back as it: 0.1 is the decimal 0.1 and
//! the float32 0.1. Arrow's kernels instead take the nearest value, cut times at the microsecond
//! and drop what a type has no place for; what they did to a text is found here, in the text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{Float32Type, Float64Type};
use dkhost_core::LogicalType;
use dkhost_core::text::{Number, write_f32, write_f64};

use super::Converted;
use crate::expr::fault::Fault;

/// Floats to decimals: the digits of a float's shortest text, all of them.
pub(super) fn float_decimals(
    input: &ArrayRef,
    precision: u8,
    scale: i8,
) -> Result<Converted, Fault> {
    let mut text = Vec::new();
    let mut decimal = |row: usize| {
        text.clear();
        match input.as_primitive_opt::<Float64Type>() {
            Some(_) if input.is_null(row) => return None,
            Some(wide) => write_f64(wide.value(row), &mut text),
            None if input.is_null(row) => return None,
            None => write_f32(input.as_primitive::<Float32Type>().value(row), &mut text),
        }
        Number::parse(std::str::from_utf8(&text).ok()?)?.as_decimal(precision, scale)
    };
    let values: Decimal128Array = (0..input.len()).map(&mut decimal).collect();
    let values = values.with_precision_and_scale(precision, scale)?;
    Ok(Converted::from_nulls(input, Arc::new(values)))
}

/// Which float64 a float32 holds: the same number, or one with the same shortest text.
pub(super) fn narrow_floats(input: &ArrayRef) -> BooleanArray {
    let mut text = Vec::new();
    let mut is_held = |value: f64| {
        if !value.is_finite() || f64::from(value as f32) == value {
            return true;
        }
        text.clear();
        write_f64(value, &mut text);
        std::str::from_utf8(&text)
            .ok()
            .and_then(Number::parse)
            .is_some_and(|number| number.as_f32().is_some())
    };
    let values = input.as_primitive::<Float64Type>();
    let keep = values.iter().map(|value| value.is_none_or(&mut is_held));
    keep.collect::<Vec<bool>>().into()
}

/// Which texts `to` holds exactly; asked only of texts that Arrow could read.
pub(super) fn texts(input: &ArrayRef, to: &LogicalType) -> Option<BooleanArray> {
    let is_held: fn(&str) -> bool = match to {
        LogicalType::Float64 => |text| is_float(text, |number| number.as_f64().is_some()),
        LogicalType::Float32 => |text| is_float(text, |number| number.as_f32().is_some()),
        LogicalType::Timestamp(None) => |text| !has_zone(text) && is_micros(text),
        LogicalType::Timestamp(Some(_)) | LogicalType::Time64 => is_micros,
        LogicalType::Date32 => |text| !has_zone(text) && is_midnight(text),
        _ => return None,
    };
    let keep = input.as_string::<i32>().iter();
    let keep = keep.map(|text| text.is_none_or(is_held));
    Some(keep.collect::<Vec<bool>>().into())
}

fn is_float(text: &str, is_held: fn(Number<'_>) -> bool) -> bool {
    let text = text.trim();
    if let Some(number) = Number::parse(text) {
        return is_held(number);
    }
    // What else Arrow reads: a plus, leading zeros, no digits before the point; or inf and NaN.
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    if !digits.contains(|c: char| c.is_ascii_digit()) {
        return true;
    }
    let digits = digits.trim_start_matches('0').replacen(".e", "e", 1);
    let digits = digits.replacen(".E", "e", 1);
    let zero = if digits.starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        "0"
    };
    Number::parse(&format!("{sign}{zero}{digits}")).is_some_and(is_held)
}

/// Whether a date with a time has a zone's name or an offset, too.
pub(super) fn has_zone(text: &str) -> bool {
    let time = time_of_day(text);
    time.contains(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ' ')))
}

/// What comes after the date.
fn time_of_day(text: &str) -> &str {
    match text.trim().split_once(['T', 't', ' ']) {
        Some((_, time)) => time,
        None => "",
    }
}

/// Neither digits beyond the microsecond nor a leap second.
fn is_micros(text: &str) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let mut digits = fraction.bytes().take_while(u8::is_ascii_digit).skip(6);
    let time = time_of_day(text);
    digits.all(|digit| digit == b'0') && !time.contains(":60") && time.get(4..6) != Some("60")
}

fn is_midnight(text: &str) -> bool {
    !time_of_day(text).contains(|c: char| matches!(c, '1'..='9'))
}
