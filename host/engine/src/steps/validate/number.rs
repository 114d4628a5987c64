//! Numbers of any size, one spelling for each: `1.0`, `1.00` and `1e0` are the same value.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{Float32Type, Float64Type};
use dkhost_core::LogicalType;

/// A column in which equal values have equal bytes.
pub(super) fn canonical(column: &ArrayRef, logical: &LogicalType) -> ArrayRef {
    match logical {
        LogicalType::Number => {
            let texts = column.as_string::<i32>().iter();
            Arc::new(texts.map(|text| text.map(plain)).collect::<StringArray>())
        }
        // Adding zero takes the sign of -0.0.
        LogicalType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            Arc::new(values.unary::<_, Float64Type>(|value| {
                if value.is_nan() {
                    f64::NAN
                } else {
                    value + 0.0
                }
            }))
        }
        LogicalType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(|value| {
                if value.is_nan() {
                    f32::NAN
                } else {
                    value + 0.0
                }
            }))
        }
        _ => column.clone(),
    }
}

/// A number as its digits without zeros around them and the power of ten behind the last; a whole
/// number of few digits as it is.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) => (mantissa, exponent),
            // Beyond any number there is; told by its spelling.
            Err(_) => return Cow::Borrowed(text),
        },
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Cow::Borrowed("0");
    }
    let zeros = (digits.len() - significant.len()) as i64;
    let power = exponent
        .saturating_sub(fraction.len() as i64)
        .saturating_add(zeros);
    let sign = if negative { "-" } else { "" };
    Cow::Owned(format!("{sign}{significant}e{power}"))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn equal_numbers_have_one_spelling() {
        for (one, two) in [
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-0.0", "0"),
            ("120e-1", "12"),
            ("0.50", "5E-1"),
            ("+7", "7.000"),
        ] {
            assert_eq!(plain(one), plain(two), "{one} {two}");
        }
        for (one, two) in [("1", "-1"), ("1", "10"), ("1.01", "1.1"), ("5e-1", "5")] {
            assert_ne!(plain(one), plain(two), "{one} {two}");
        }
    }
}
