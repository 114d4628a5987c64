//! Text to decimals, numbers and uuids, and uuids to text.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, FixedSizeBinaryBuilder, StringArray, StringBuilder,
};

use super::Converted;
use crate::expr::fault::Fault;

/// Text to decimals, exactly: a digit beyond the scale is a failure, not rounded away.
pub(super) fn decimals(input: &ArrayRef, precision: u8, scale: i8) -> Result<Converted, Fault> {
    let texts = input.as_string::<i32>();
    let limit = 10_i128
        .checked_pow(u32::from(precision))
        .unwrap_or(i128::MAX);
    let parse =
        |text: &str| exact_decimal(text, scale).filter(|value| -limit < *value && *value < limit);
    let values: Decimal128Array = texts.iter().map(|text| text.and_then(parse)).collect();
    let values = values.with_precision_and_scale(precision, scale)?;
    Ok(Converted::from_nulls(input, Arc::new(values)))
}

/// `text` times 10^`scale`, if that is a whole number.
fn exact_decimal(text: &str, scale: i8) -> Option<i128> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = if fraction.bytes().all(|b| b.is_ascii_digit()) {
        fraction.trim_end_matches('0')
    } else {
        return None;
    };
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    let shift = i64::from(scale) + i64::from(exponent) - fraction.len() as i64;
    let value = match (value, shift) {
        (0, _) => 0,
        (_, 0..) => value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?,
        _ => {
            let divisor = 10_i128.checked_pow(u32::try_from(-shift).ok()?)?;
            (value % divisor == 0).then_some(value / divisor)?
        }
    };
    Some(if negative { -value } else { value })
}

/// Text that is a decimal number of any size, as it is written.
pub(super) fn numbers(input: &ArrayRef) -> Converted {
    let texts = input.as_string::<i32>();
    let numbers: StringArray = texts
        .iter()
        .map(|text| text.filter(|text| is_number(text)))
        .collect();
    Converted::from_nulls(input, Arc::new(numbers))
}

fn is_number(text: &str) -> bool {
    // JSON's grammar: no plus sign, no leading zeros, digits on both sides of the point.
    text.bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'))
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Text to uuids: 32 hexadecimal digits, with or without hyphens.
pub(super) fn uuids(input: &ArrayRef) -> Result<Converted, Fault> {
    let texts = input.as_string::<i32>();
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
    for text in texts {
        match text.and_then(|text| uuid::Uuid::try_parse(text).ok()) {
            Some(uuid) => uuids.append_value(uuid.as_bytes())?,
            None => uuids.append_null(),
        }
    }
    Ok(Converted::from_nulls(input, Arc::new(uuids.finish())))
}

/// Uuids to their hyphenated text.
pub(super) fn uuid_texts(input: &ArrayRef) -> ArrayRef {
    let uuids = input.as_fixed_size_binary();
    let mut texts = StringBuilder::with_capacity(uuids.len(), uuids.len() * 36);
    let mut buffer = [0; 36];
    for uuid in uuids
        .iter()
        .map(|bytes| bytes.and_then(|bytes| uuid::Uuid::from_slice(bytes).ok()))
    {
        texts.append_option(uuid.map(|uuid| &*uuid.hyphenated().encode_lower(&mut buffer)));
    }
    Arc::new(texts.finish())
}

/// One uuid's text.
pub(super) fn uuid_text(array: &dyn Array, row: usize) -> String {
    let bytes = array.as_fixed_size_binary().value(row);
    uuid::Uuid::from_slice(bytes)
        .map(|uuid| uuid.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        for (text, scale, value) in [
            ("1.50", 2, Some(150)),
            ("-0.07", 2, Some(-7)),
            ("1.005", 2, None),
            ("1.000000000000000000000000000000000000000000", 2, Some(100)),
            ("12e2", 0, Some(1200)),
            ("1.5e-1", 2, Some(15)),
            ("1e-1", 0, None),
            (".5", 1, Some(5)),
            ("", 1, None),
            (".", 1, None),
            ("1.2x", 1, None),
            ("0e999999", 1, Some(0)),
            ("1e999999", 1, None),
            ("NaN", 1, None),
        ] {
            assert_eq!(exact_decimal(text, scale), value, "{text}");
        }
    }
}
