//! One JSON value into one column, if it fits exactly.

use super::scan::{Kind, Scanner, Token};
use super::strings::{unescape, unescape_to};
use crate::text::appender::{Values, push, push_base64, push_bit};
use crate::text::{Appender, Number};
use crate::text::{parse_date, parse_time, parse_timestamp, parse_uuid};

impl Appender {
    /// Appends a JSON value that is not null and says whether it fits; if not, nothing is appended.
    pub(crate) fn append_json(&mut self, token: &Token<'_>) -> bool {
        let fits = match (&mut self.values, &token.kind) {
            (_, Kind::Text(inner, escaped)) => return self.append_text(inner, *escaped, token.raw),
            (_, Kind::Number(number)) => return self.append_number(number),
            (Values::Boolean(v), Kind::Boolean(value)) => push_bit(v, Some(*value)),
            (Values::Float64(v), Kind::NotFinite(value)) => push(v, Some(*value)),
            (Values::Float32(v), Kind::NotFinite(value)) => push(v, Some(*value as f32)),
            (_, Kind::NotFinite(_)) => false,
            (Values::Json(v), _) => v.push(token.raw.as_bytes()),
            (Values::Vector(v, n), Kind::Array) => parse_vector(token.raw, *n, v),
            _ => false,
        };
        self.settle(fits)
    }

    /// Appends a JSON string: the text between its quotes, whether that has escapes, all of it.
    #[inline]
    pub(crate) fn append_text(&mut self, inner: &str, escaped: bool, raw: &str) -> bool {
        let fits = match &mut self.values {
            Values::Utf8(v) if !escaped => v.push(inner.as_bytes()),
            Values::Utf8(v) => {
                unescape_to(inner, &mut v.bytes);
                v.close()
            }
            Values::Json(v) => v.push(raw.as_bytes()),
            values => push_text(values, &unescape(inner, escaped)),
        };
        self.settle(fits)
    }

    /// Appends a JSON number.
    #[inline]
    pub(crate) fn append_number(&mut self, n: &Number<'_>) -> bool {
        let fits = match &mut self.values {
            Values::Int64(v) => push(v, n.as_i64()),
            Values::Float64(v) => push(v, n.as_f64()),
            Values::Int32(v) => push(v, n.as_i64().and_then(|value| i32::try_from(value).ok())),
            Values::UInt64(v) => push(v, n.as_u64()),
            Values::Float32(v) => push(v, n.as_f32()),
            Values::Number(v) | Values::Json(v) => v.push(n.text.as_bytes()),
            Values::Decimal(v, precision, scale) => push(v, n.as_decimal(*precision, *scale)),
            _ => false,
        };
        self.settle(fits)
    }

    /// Appends text that is known to be JSON to a json column; a null to any other.
    pub(crate) fn append_checked_json(&mut self, text: &str) {
        match &mut self.values {
            Values::Json(v) => v.push(text.as_bytes()),
            _ => return self.append_null(),
        };
        self.settle(true);
    }
}

/// The types that are text in JSON but not in memory.
fn push_text(values: &mut Values, text: &str) -> bool {
    match values {
        Values::Binary(v) => push_base64(v, text),
        Values::Date32(v) => push(v, parse_date(text)),
        Values::Time64(v) => push(v, parse_time(text)),
        Values::Timestamp(v, zone) => push(v, parse_timestamp(text, zone.is_some())),
        Values::Uuid(v) => parse_uuid(text).map(|uuid| v.extend(uuid)).is_some(),
        _ => false,
    }
}

/// Appends a list of exactly `n` numbers that each fit a float32; else nothing.
pub(crate) fn parse_vector(text: &str, n: usize, items: &mut Vec<f32>) -> bool {
    let start = items.len();
    let complete = scan_vector(text, n, items).is_some() && items.len() == start + n;
    if !complete {
        items.truncate(start);
    }
    complete
}

fn scan_vector(text: &str, n: usize, items: &mut Vec<f32>) -> Option<()> {
    let mut scanner = Scanner::new(text);
    let mut more = scanner.enter_array().ok()?;
    for _ in 0..n {
        match (more, scanner.value().ok()?.kind) {
            (true, Kind::Number(number)) => items.push(number.as_f32()?),
            _ => return None,
        }
        more = scanner.next_item().ok()?;
    }
    scanner.end().ok()?;
    (!more).then_some(())
}
