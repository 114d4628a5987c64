//! The builder of a column of any logical type, shared by JSON, CSV and SQLite.
//!
//! Every append says whether the value fits the type exactly; one that does not leaves the column
//! as it was. Rows can be taken back ([`Appender::truncate`]), which Arrow's builders cannot: a
//! decoder appends field by field and takes the row back when a later field is refused.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array,
    FixedSizeBinaryArray, FixedSizeListArray, Float32Array, NullArray, NullBufferBuilder,
    PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt64Type,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Number, parse_date, parse_time, parse_timestamp, parse_uuid};
use crate::{LogicalType, Result};

/// A column that is being filled.
#[derive(Debug)]
pub struct Appender {
    pub(crate) values: Values,
    nulls: NullBufferBuilder,
}

/// The values of a column, one kind for each layout that is filled in its own way.
#[derive(Debug)]
pub(crate) enum Values {
    Null,
    Boolean(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Utf8(Bytes),
    Json(Bytes),
    Number(Bytes),
    Binary(Bytes),
    Date32(Vec<i32>),
    Time64(Vec<i64>),
    Timestamp(Vec<i64>, Option<Arc<str>>),
    Uuid(Vec<u8>),
    Decimal(Vec<i128>, u8, i8),
    Vector(Vec<f32>, usize),
}

/// Values of any length, end to end.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) bytes: Vec<u8>,
    offsets: Vec<i32>,
}

/// A column of text or bytes holds less than this, because Arrow counts them in an int32.
pub(crate) const COLUMN_MAX_BYTES: usize = i32::MAX as usize;

impl Bytes {
    fn new() -> Self {
        Bytes {
            bytes: Vec::new(),
            offsets: vec![0],
        }
    }

    /// Appends a value, which always fits.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> bool {
        self.bytes.extend_from_slice(value);
        self.close()
    }

    /// Ends the value whose bytes were written to `bytes` since the last one.
    #[inline]
    pub(crate) fn close(&mut self) -> bool {
        // Callers keep below COLUMN_MAX_BYTES (`Appender::has_room`).
        self.offsets.push(self.bytes.len() as i32);
        true
    }

    /// Drops what was written since the last value ended.
    pub(crate) fn reopen(&mut self) {
        self.bytes
            .truncate(self.offsets[self.offsets.len() - 1] as usize);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.reopen();
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let bytes = std::mem::take(&mut self.bytes);
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        // The next column is likely to be as long.
        self.bytes.reserve(bytes.len());
        self.offsets.reserve(offsets.len());
        (
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(bytes),
        )
    }
}

impl Appender {
    /// An empty column of type `logical`.
    pub fn new(logical: &LogicalType) -> Self {
        let values = match logical {
            LogicalType::Null => Values::Null,
            LogicalType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            LogicalType::Int32 => Values::Int32(Vec::new()),
            LogicalType::Int64 => Values::Int64(Vec::new()),
            LogicalType::UInt64 => Values::UInt64(Vec::new()),
            LogicalType::Float32 => Values::Float32(Vec::new()),
            LogicalType::Float64 => Values::Float64(Vec::new()),
            LogicalType::Utf8 => Values::Utf8(Bytes::new()),
            LogicalType::Binary => Values::Binary(Bytes::new()),
            LogicalType::Json => Values::Json(Bytes::new()),
            LogicalType::Date32 => Values::Date32(Vec::new()),
            LogicalType::Time64 => Values::Time64(Vec::new()),
            LogicalType::Timestamp(zone) => Values::Timestamp(Vec::new(), zone.clone()),
            LogicalType::Uuid => Values::Uuid(Vec::new()),
            LogicalType::Decimal(precision, scale) => {
                Values::Decimal(Vec::new(), *precision, *scale)
            }
            LogicalType::Number => Values::Number(Bytes::new()),
            LogicalType::Vector(n) => Values::Vector(Vec::new(), *n as usize),
        };
        Appender {
            values,
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory the values take, in bytes.
    pub fn value_bytes(&self) -> usize {
        match &self.values {
            Values::Null => 0,
            Values::Boolean(bits) => bits.len() / 8,
            Values::Int32(v) | Values::Date32(v) => v.len() * 4,
            Values::Int64(v) | Values::Time64(v) | Values::Timestamp(v, _) => v.len() * 8,
            Values::UInt64(v) => v.len() * 8,
            Values::Float32(v) | Values::Vector(v, _) => v.len() * 4,
            Values::Float64(v) => v.len() * 8,
            Values::Utf8(v) | Values::Json(v) | Values::Number(v) | Values::Binary(v) => {
                v.bytes.len() + v.offsets.len() * 4
            }
            Values::Uuid(v) => v.len(),
            Values::Decimal(v, ..) => v.len() * 16,
        }
    }

    /// Whether a value of `length` bytes still goes into this column.
    #[inline]
    pub fn has_room(&self, length: usize) -> bool {
        match &self.values {
            Values::Utf8(v) | Values::Json(v) | Values::Number(v) | Values::Binary(v) => {
                length < COLUMN_MAX_BYTES - v.bytes.len()
            }
            _ => true,
        }
    }

    /// Appends a null.
    #[inline]
    pub fn append_null(&mut self) {
        match &mut self.values {
            Values::Null => (),
            Values::Boolean(bits) => bits.append(false),
            Values::Int32(v) | Values::Date32(v) => v.push(0),
            Values::Int64(v) | Values::Time64(v) | Values::Timestamp(v, _) => v.push(0),
            Values::UInt64(v) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Utf8(v) | Values::Json(v) | Values::Number(v) | Values::Binary(v) => {
                v.close();
            }
            Values::Uuid(v) => v.extend([0; 16]),
            Values::Decimal(v, ..) => v.push(0),
            Values::Vector(v, n) => v.extend(std::iter::repeat_n(0.0, *n)),
        }
        self.nulls.append_null();
    }

    /// Appends the value that `text` spells (see the table of [`crate::text`]) and says whether it
    /// fits; if not, nothing is appended. Of JSON only the bracketing is checked.
    pub fn append(&mut self, text: &str) -> bool {
        if !self.has_room(text.len()) {
            return false;
        }
        let fits = match &mut self.values {
            Values::Null => false,
            Values::Boolean(bits) => push_bit(bits, parse_boolean(text)),
            Values::Int32(v) => push(v, integer(text).and_then(|i| i32::try_from(i).ok())),
            Values::Int64(v) => push(v, integer(text)),
            Values::UInt64(v) => push(v, strict(text).and_then(|n| n.as_u64())),
            Values::Float32(v) => push(v, parse_float(text, |n| n.as_f32())),
            Values::Float64(v) => push(v, parse_float(text, |n| n.as_f64())),
            Values::Utf8(v) => push_bytes(v, Some(text.as_bytes())),
            Values::Json(v) => push_bytes(v, crate::json::valid(text).map(str::as_bytes)),
            Values::Number(v) => push_bytes(v, strict(text).map(|n| n.text.as_bytes())),
            Values::Binary(v) => push_base64(v, text),
            Values::Date32(v) => push(v, parse_date(text)),
            Values::Time64(v) => push(v, parse_time(text)),
            Values::Timestamp(v, zone) => push(v, parse_timestamp(text, zone.is_some())),
            Values::Uuid(v) => parse_uuid(text).map(|uuid| v.extend(uuid)).is_some(),
            Values::Decimal(v, precision, scale) => push(
                v,
                Number::parse(text).and_then(|n| n.as_decimal(*precision, *scale)),
            ),
            Values::Vector(v, n) => crate::json::parse_vector(text, *n, v),
        };
        self.settle(fits)
    }

    /// Appends an integer to a numeric column, if it fits.
    pub fn append_i64(&mut self, value: i64) -> bool {
        let fits = match &mut self.values {
            Values::Int32(v) => push(v, i32::try_from(value).ok()),
            Values::Int64(v) => push(v, Some(value)),
            Values::UInt64(v) => push(v, u64::try_from(value).ok()),
            _ => return self.is_number() && self.append(itoa::Buffer::new().format(value)),
        };
        self.settle(fits)
    }

    /// Appends a float to a numeric column, if it fits; integer columns take none.
    pub fn append_f64(&mut self, value: f64) -> bool {
        let fits = match &mut self.values {
            Values::Float64(v) => push(v, Some(value)),
            Values::Float32(v) => {
                let single = value as f32;
                let same = f64::from(single) == value || value.is_nan();
                push(v, same.then_some(single))
            }
            _ => return self.is_number() && self.append(zmij::Buffer::new().format(value)),
        };
        self.settle(fits)
    }

    /// Appends a boolean to a boolean column.
    pub fn append_bool(&mut self, value: bool) -> bool {
        let fits = match &mut self.values {
            Values::Boolean(bits) => push_bit(bits, Some(value)),
            _ => false,
        };
        self.settle(fits)
    }

    /// Appends bytes to a binary column, or 16 of them to a uuid column.
    pub fn append_bytes(&mut self, value: &[u8]) -> bool {
        if !self.has_room(value.len()) {
            return false;
        }
        let fits = match &mut self.values {
            Values::Binary(v) => push_bytes(v, Some(value)),
            Values::Uuid(v) if value.len() == 16 => {
                v.extend_from_slice(value);
                true
            }
            _ => false,
        };
        self.settle(fits)
    }

    fn is_number(&self) -> bool {
        use Values::*;
        matches!(
            self.values,
            Int32(_) | Int64(_) | UInt64(_) | Float32(_) | Float64(_) | Number(_) | Decimal(..)
        )
    }

    #[inline]
    pub(crate) fn settle(&mut self, fits: bool) -> bool {
        if fits {
            self.nulls.append_non_null();
        }
        fits
    }

    /// Takes back all rows after the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        match &mut self.values {
            Values::Null => (),
            Values::Boolean(bits) => bits.truncate(rows),
            Values::Int32(v) | Values::Date32(v) => v.truncate(rows),
            Values::Int64(v) | Values::Time64(v) | Values::Timestamp(v, _) => v.truncate(rows),
            Values::UInt64(v) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) => v.truncate(rows),
            Values::Utf8(v) | Values::Json(v) | Values::Number(v) | Values::Binary(v) => {
                v.truncate(rows)
            }
            Values::Uuid(v) => v.truncate(rows * 16),
            Values::Decimal(v, ..) => v.truncate(rows),
            Values::Vector(v, n) => v.truncate(rows * *n),
        }
        self.nulls.truncate(rows);
    }

    /// The column; the appender is empty again and keeps no memory of it but its size.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.nulls.finish();
        Ok(match &mut self.values {
            Values::Null => Arc::new(NullArray::new(rows)),
            Values::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Values::Int32(v) => primitive::<Int32Type>(v, nulls),
            Values::Int64(v) => primitive::<Int64Type>(v, nulls),
            Values::UInt64(v) => primitive::<UInt64Type>(v, nulls),
            Values::Float32(v) => primitive::<Float32Type>(v, nulls),
            Values::Float64(v) => primitive::<Float64Type>(v, nulls),
            Values::Utf8(v) | Values::Json(v) | Values::Number(v) => {
                let (offsets, bytes) = v.finish();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Binary(v) => {
                let (offsets, bytes) = v.finish();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Date32(v) => primitive::<Date32Type>(v, nulls),
            Values::Time64(v) => primitive::<Time64MicrosecondType>(v, nulls),
            Values::Timestamp(v, zone) => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::new(taken(v), nulls);
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
            Values::Uuid(v) => {
                let bytes = Buffer::from_vec(std::mem::take(v));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls)?)
            }
            Values::Decimal(v, precision, scale) => Arc::new(
                Decimal128Array::new(taken(v), nulls)
                    .with_precision_and_scale(*precision, *scale)?,
            ),
            Values::Vector(v, n) => {
                let item = Arc::new(arrow::datatypes::Field::new(
                    "item",
                    DataType::Float32,
                    true,
                ));
                let items = Arc::new(Float32Array::new(taken(v), None));
                Arc::new(FixedSizeListArray::try_new(item, *n as i32, items, nulls)?)
            }
        })
    }
}

fn taken<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<arrow::buffer::NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(taken(values), nulls))
}

#[inline]
pub(crate) fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            values.push(value);
            true
        }
        None => false,
    }
}

#[inline]
pub(crate) fn push_bit(bits: &mut BooleanBufferBuilder, value: Option<bool>) -> bool {
    value.map(|value| bits.append(value)).is_some()
}

#[inline]
fn push_bytes(values: &mut Bytes, value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| values.push(value))
}

pub(crate) fn push_base64(values: &mut Bytes, text: &str) -> bool {
    let fits = BASE64.decode_vec(text, &mut values.bytes).is_ok();
    if fits {
        values.close();
    } else {
        values.reopen();
    }
    fits
}

/// A JSON number and nothing after it.
fn strict(text: &str) -> Option<Number<'_>> {
    Number::scan(text)
        .ok()
        .filter(|number| number.text.len() == text.len())
}

fn integer(text: &str) -> Option<i64> {
    strict(text)?.as_i64()
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.len() {
        4 if text.eq_ignore_ascii_case("true") => Some(true),
        5 if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn parse_float<F>(text: &str, exact: impl Fn(Number<'_>) -> Option<F>) -> Option<F>
where
    F: From<f32>,
{
    if let Some(number) = Number::parse(text) {
        return exact(number);
    }
    let is = |word| {
        text.trim_start_matches(['-', '+'])
            .eq_ignore_ascii_case(word)
    };
    let value = match text.as_bytes() {
        [b'+' | b'-', b'+' | b'-', ..] => return None,
        _ if text.eq_ignore_ascii_case("nan") => f32::NAN,
        [b'-', ..] if is("inf") || is("infinity") => f32::NEG_INFINITY,
        _ if is("inf") || is("infinity") => f32::INFINITY,
        _ => return None,
    };
    Some(value.into())
}
