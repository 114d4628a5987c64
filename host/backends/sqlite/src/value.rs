//! An SQLite value as JSON and back, exactly: for positions, locators, misfits and dead letters.
//!
//! | value | JSON |
//! |---|---|
//! | NULL | `null` |
//! | INTEGER | number without fraction |
//! | REAL | number with fraction or exponent; `{"$real": "inf"}` where JSON has none |
//! | TEXT | string; `{"$text": "<base64>"}` when it is not UTF-8 |
//! | BLOB | `{"$binary": "<base64>"}` |

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dkhost_core::{json, text};
use rusqlite::types::{Value, ValueRef};
use serde_json::{Map, Value as Json};

/// Writes a value as JSON text.
pub(crate) fn write_json(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        ValueRef::Real(value) if value.is_finite() => text::write_f64(value, out),
        ValueRef::Real(value) => {
            out.extend_from_slice(b"{\"$real\":\"");
            text::write_f64(value, out);
            out.extend_from_slice(b"\"}");
        }
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json::escape(text, out),
            Err(_) => write_base64("$text", bytes, out),
        },
        ValueRef::Blob(bytes) => write_base64("$binary", bytes, out),
    }
}

fn write_base64(mark: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(mark.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.extend_from_slice(b"\"}");
}

/// A value as JSON.
pub(crate) fn to_json(value: ValueRef<'_>) -> Json {
    let mut out = Vec::new();
    write_json(value, &mut out);
    serde_json::from_slice(&out).unwrap_or(Json::Null)
}

/// The value that [`write_json`] wrote; JSON it never writes is kept as its text.
pub(crate) fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Integer(i64::from(*value)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(real)) if !number.is_u64() => Value::Real(real),
            _ => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Object(fields) => marked(fields).unwrap_or_else(|| Value::Text(value.to_string())),
        Json::Array(_) => Value::Text(value.to_string()),
    }
}

fn marked(fields: &Map<String, Json>) -> Option<Value> {
    let (mark, text) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let text = text.as_str()?;
    match mark.as_str() {
        "$binary" => BASE64.decode(text).ok().map(Value::Blob),
        "$real" => text.parse().ok().map(Value::Real),
        _ => None,
    }
}

/// The bytes of a text that is not UTF-8, as [`write_json`] keeps them.
pub(crate) fn bare_text(value: &Json) -> Option<Vec<u8>> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    BASE64.decode(fields.get("$text")?.as_str()?).ok()
}

/// What kind of value it is, for messages.
pub(crate) fn class(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "INTEGER",
        ValueRef::Real(_) => "REAL",
        ValueRef::Text(_) => "TEXT",
        ValueRef::Blob(_) => "BLOB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_the_same_class_and_value() {
        for (value, json) in [
            (Value::Null, "null"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Real(5.0), "5.0"),
            (Value::Real(f64::NEG_INFINITY), r#"{"$real":"-inf"}"#),
            (Value::Text("\"ü\n".into()), r#""\"ü\n""#),
            (Value::Blob(vec![0, 255]), r#"{"$binary":"AP8="}"#),
        ] {
            let mut out = Vec::new();
            write_json(ValueRef::from(&value), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
            assert_eq!(from_json(&to_json(ValueRef::from(&value))), value);
        }
    }

    #[test]
    fn text_that_is_not_utf8_keeps_its_bytes() {
        assert_eq!(
            bare_text(&to_json(ValueRef::Text(b"a\xff"))),
            Some(b"a\xff".to_vec())
        );
    }
}
