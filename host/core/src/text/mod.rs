//! Scalars as text: the one place that knows how each [`LogicalType`] is spelled.
//!
//! CSV cells, SQLite text, JSON strings and casts all go through here, so that a date or a decimal
//! looks the same wherever it is text. [`Appender`] takes text (or native values) into the column
//! of a logical type and says whether it fits; [`Cells`] writes a column's cells as text. What fits
//! comes back as the same value: nothing is rounded, cut or guessed.
//!
//! | type | text |
//! |---|---|
//! | boolean | `true`, `false` in any case |
//! | int32, int64, uint64 | digits as JSON has them: no `+`, no leading zeros, no `-0` |
//! | float32, float64 | shortest text that reads back as the same number; `NaN`, `inf`, `-inf` |
//! | decimal, number | exact digits |
//! | utf8, json | itself |
//! | binary | base64 with padding |
//! | date32 | `2024-02-29` |
//! | time64 | `23:59:59`, `23:59:59.999999` |
//! | timestamp | `2024-02-29T23:59:59.999999`, with a zone in UTC and with `Z` at its end |
//! | uuid | `0191f2a0-…`, lower case |
//! | vector | `[0.25,-1.0]` |

pub(crate) mod appender;
pub(crate) mod cells;
mod number;
mod time;

#[cfg(test)]
pub(crate) mod tests;

use arrow::array::Array;

pub use appender::Appender;
pub use cells::Cells;
pub use number::Number;
#[cfg(any(test, feature = "conformance"))]
pub(crate) use number::same_number;
pub use time::{parse_date, parse_time, parse_timestamp, write_date, write_time, write_timestamp};

use crate::{LogicalType, Result};

/// Whether `text` is a value of type `logical`; for inference. Costs a column of one row.
pub fn fits(logical: &LogicalType, text: &str) -> bool {
    Appender::new(logical).append(text)
}

/// Writes one cell as text and says whether there was one: nothing is written for a null.
///
/// For single cells; a loop over rows binds [`Cells`] once.
pub fn write(
    array: &dyn Array,
    row: usize,
    logical: &LogicalType,
    out: &mut Vec<u8>,
) -> Result<bool> {
    Ok(Cells::bind(array, logical)?.write(row, out))
}

/// A value as [`write()`] spells it, from any spelling of it; `None` for what is no value of the type.
pub fn respelled(logical: &LogicalType, text: &str) -> Option<String> {
    let mut appender = Appender::new(logical);
    if !appender.append(text) {
        return None;
    }
    let mut out = Vec::new();
    write(&appender.finish().ok()?, 0, logical, &mut out).ok()?;
    String::from_utf8(out).ok()
}

/// Reads a UUID in its usual form, `0191f2a0-0000-7000-8000-000000000000`, in any case.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|i| bytes[*i] != b'-') {
        return None;
    }
    let mut uuid = [0; 16];
    let mut digits = bytes
        .iter()
        .filter(|b| **b != b'-')
        .map(|b| (*b as char).to_digit(16));
    for byte in &mut uuid {
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(uuid)
}

/// Writes a UUID in its usual form.
pub fn write_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
    }
}

/// Writes a decimal: `value` × 10^-`scale`, with exactly `scale` digits after the point.
pub fn write_decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs());
    if value < 0 {
        out.push(b'-');
    }
    if scale <= 0 {
        out.extend(digits.as_bytes());
        if value != 0 {
            out.extend(std::iter::repeat_n(b'0', scale.unsigned_abs() as usize));
        }
        return;
    }
    let scale = scale as usize;
    let whole = digits.len().saturating_sub(scale);
    out.extend(if whole == 0 {
        b"0"
    } else {
        &digits.as_bytes()[..whole]
    });
    out.push(b'.');
    out.extend(std::iter::repeat_n(
        b'0',
        scale.saturating_sub(digits.len()),
    ));
    out.extend(&digits.as_bytes()[whole..]);
}

/// Writes a float64 as the shortest JSON number that reads back as the same; `NaN`, `inf` and
/// `-inf` where JSON has none.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    match zmij::Buffer::new().format(value) {
        text if value.is_finite() => out.extend(text.as_bytes()),
        _ => out.extend(not_finite(value.is_nan(), value < 0.0)),
    }
}

/// Writes a float32 like [`write_f64`], in as few digits as a float32 needs.
pub fn write_f32(value: f32, out: &mut Vec<u8>) {
    match zmij::Buffer::new().format(value) {
        text if value.is_finite() => out.extend(text.as_bytes()),
        _ => out.extend(not_finite(value.is_nan(), value < 0.0)),
    }
}

fn not_finite(nan: bool, negative: bool) -> &'static [u8] {
    match (nan, negative) {
        (true, _) => b"NaN",
        (_, true) => b"-inf",
        _ => b"inf",
    }
}
