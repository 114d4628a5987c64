//! One value of any type, for code that does not know its columns beforehand.

use std::borrow::Cow;

/// A value. Dates, times and timestamps are integers in the unit of their type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// boolean.
    Bool(bool),
    /// int32, int64, date32, time64, timestamp.
    Int(i64),
    /// uint64.
    UInt(u64),
    /// float32, float64.
    Float(f64),
    /// decimal: the value × 10^scale.
    Decimal(i128),
    /// utf8, json, number.
    Text(Cow<'a, str>),
    /// binary.
    Bytes(Cow<'a, [u8]>),
    /// uuid.
    Uuid([u8; 16]),
    /// vector: float32 in little-endian bytes.
    Vector(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Its text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its integer, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// Its number as a float, if it is a number; large integers are rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::UInt(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Its truth, if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($from:ty => $value:expr,)*) => {$(
        impl<'a> From<$from> for Value<'a> {
            fn from(value: $from) -> Value<'a> {
                $value(value.into())
            }
        }
    )*};
}

from! {
    bool => Value::Bool,
    i32 => Value::Int,
    i64 => Value::Int,
    u64 => Value::UInt,
    f32 => Value::Float,
    f64 => Value::Float,
    i128 => Value::Decimal,
    &'a str => Value::Text,
    String => Value::Text,
    Cow<'a, str> => Value::Text,
    &'a [u8] => Value::Bytes,
    Vec<u8> => Value::Bytes,
    [u8; 16] => Value::Uuid,
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Value<'a> {
        value.map_or(Value::Null, Into::into)
    }
}
