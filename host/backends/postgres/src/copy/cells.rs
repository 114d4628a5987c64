//! A column's cells in their binary form.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, GenericByteArray, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ByteArrayType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::{Error, LogicalType, Result, text};

use super::numeric;
use super::put::{
    Float, Stop, out_of_range, put_bytes, put_float, put_integer, put_text, put_vector, put4, put8,
    unsayable,
};
use super::{DAY_MICROS, EPOCH_DAYS, EPOCH_MICROS, Wire};

/// The days and microseconds that a server takes, counted from 2000-01-01.
///
/// *Source* – `IS_VALID_DATE`, `IS_VALID_TIMESTAMP`, `src/include/datatype/timestamp.h`.
const DAYS: std::ops::Range<i32> = -2_451_545..2_145_031_949;
const MICROS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// A column bound to its layout and form.
pub(super) struct Cells<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    wire: Wire,
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    /// Text, and whether a NUL is anywhere in it.
    Text(&'a StringArray, bool),
    Timestamp(&'a [i64]),
    Binary(&'a BinaryArray),
    Date32(&'a [i32]),
    Time64(&'a [i64]),
    Uuid(&'a FixedSizeBinaryArray),
    Decimal(&'a Decimal128Array, i8),
    Number(&'a StringArray),
    /// Any integer in another form than its own.
    Integer(Integers<'a>),
    /// Any float in another form than its own.
    Float(Floats<'a>),
    Vector(&'a FixedSizeListArray, &'a Float32Array),
    /// The text of core, for a type in a text's form.
    Spelled(text::Cells<'a>),
}

enum Integers<'a> {
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt64(&'a [u64]),
}

enum Floats<'a> {
    Float32(&'a [f32]),
    Float64(&'a [f64]),
}

impl<'a> Cells<'a> {
    /// Binds a column.
    ///
    /// *Errors* – a bug if `array` is no column of the type, or the type is not sent in this form.
    pub(super) fn bind(array: &'a dyn Array, logical: &LogicalType, wire: Wire) -> Result<Self> {
        let values = match values(array, logical, wire) {
            Some(values) => values,
            None if is_text(wire) => Values::Spelled(text::Cells::bind(array, logical)?),
            None => {
                return Err(Error::bug(format!(
                    "a column of type {logical} is not sent as {wire:?}"
                )));
            }
        };
        Ok(Cells {
            values,
            nulls: array.nulls().filter(|nulls| nulls.null_count() > 0),
            wire,
        })
    }

    /// Bytes of a cell with its length, less those of values of any length.
    pub(super) fn width(&self) -> usize {
        4 + match (&self.values, self.wire.width()) {
            (Values::Spelled(_), _) => 16,
            (Values::Vector(lists, _), _) => 20 + 8 * lists.value_length() as usize,
            (_, Some(width)) => width,
            (Values::Decimal(..) | Values::Integer(_) | Values::Float(_), None) => 20,
            (_, None) => 1,
        }
    }

    /// Bytes of all values of any length.
    pub(super) fn value_bytes(&self) -> usize {
        fn all<T: ByteArrayType>(array: &GenericByteArray<T>) -> usize
        where
            T::Offset: Into<i64>,
        {
            let offsets = array.value_offsets();
            let ends = offsets.last().zip(offsets.first());
            ends.map_or(0, |(last, first)| {
                ((*last).into() - (*first).into()) as usize
            })
        }
        match &self.values {
            Values::Text(texts, _) | Values::Number(texts) => all(texts),
            Values::Binary(bytes) => all(bytes),
            _ => 0,
        }
    }

    /// Appends the cell with its length before it; after a refusal some of it may be left behind.
    #[inline]
    pub(super) fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            return Ok(());
        }
        match &self.values {
            Values::Int64(v) => put8(v[row].to_be_bytes(), out),
            Values::Int32(v) => put4(v[row].to_be_bytes(), out),
            Values::Float64(v) => put8(v[row].to_be_bytes(), out),
            Values::Text(v, has_nul) => return put_text(v.value(row), *has_nul, self.wire, out),
            Values::Boolean(v) => out.extend_from_slice(&[0, 0, 0, 1, u8::from(v.value(row))]),
            Values::Timestamp(v) => {
                let micros = v[row]
                    .checked_sub(EPOCH_MICROS)
                    .filter(|micros| MICROS.contains(micros));
                put8(
                    micros
                        .ok_or_else(|| out_of_range("the timestamp"))?
                        .to_be_bytes(),
                    out,
                );
            }
            Values::Float32(v) => put4(v[row].to_be_bytes(), out),
            _ => return self.put_rare(row, out),
        }
        Ok(())
    }

    fn put_rare(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
        match &self.values {
            Values::Date32(v) => {
                let days = v[row]
                    .checked_sub(EPOCH_DAYS)
                    .filter(|days| DAYS.contains(days));
                put4(
                    days.ok_or_else(|| out_of_range("the date"))?.to_be_bytes(),
                    out,
                );
            }
            Values::Time64(v) if (0..DAY_MICROS).contains(&v[row]) => {
                put8(v[row].to_be_bytes(), out)
            }
            Values::Time64(_) => return Err(out_of_range("the time")),
            Values::Uuid(v) => put_bytes(v.value(row), out)?,
            Values::Binary(v) => put_bytes(v.value(row), out)?,
            Values::Decimal(v, scale) => {
                numeric::put_decimal(v.value(row), *scale, out).map_err(unsayable)?;
            }
            Values::Number(v) => {
                numeric::put_text(v.value(row).as_bytes(), out).map_err(unsayable)?
            }
            Values::Integer(v) => put_integer(v.at(row), self.wire, out)?,
            Values::Float(v) => put_float(v.at(row), self.wire, out)?,
            Values::Vector(lists, items) => put_vector(lists, items, row, self.wire, out)?,
            Values::Spelled(cells) => {
                let mut text = Vec::new();
                cells.write(row, &mut text);
                put_text(&String::from_utf8_lossy(&text), true, self.wire, out)?;
            }
            _ => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
        Ok(())
    }
}

impl Integers<'_> {
    fn at(&self, row: usize) -> i128 {
        match self {
            Integers::Int32(v) => v[row].into(),
            Integers::Int64(v) => v[row].into(),
            Integers::UInt64(v) => v[row].into(),
        }
    }
}

impl Floats<'_> {
    fn at(&self, row: usize) -> Float {
        match self {
            Floats::Float32(v) => Float::Single(v[row]),
            Floats::Float64(v) => Float::Double(v[row]),
        }
    }
}

/// The values of a column in a form of their own.
fn values<'a>(array: &'a dyn Array, logical: &LogicalType, wire: Wire) -> Option<Values<'a>> {
    use LogicalType as L;
    use Wire as W;
    Some(match (logical, wire) {
        (L::Null, _) => Values::Null,
        (L::Boolean, W::Bool) => Values::Boolean(array.as_boolean_opt()?),
        (L::Int32, W::Int4) => Values::Int32(array.as_primitive_opt::<Int32Type>()?.values()),
        (L::Int64, W::Int8) => Values::Int64(array.as_primitive_opt::<Int64Type>()?.values()),
        (L::Float32, W::Float4) => {
            Values::Float32(array.as_primitive_opt::<Float32Type>()?.values())
        }
        (L::Float64, W::Float8) => {
            Values::Float64(array.as_primitive_opt::<Float64Type>()?.values())
        }
        (L::Utf8 | L::Json, W::Text | W::Varchar(_) | W::Json | W::Jsonb)
        | (L::Number, W::Text | W::Varchar(_)) => {
            let texts = array.as_string_opt::<i32>()?;
            Values::Text(texts, memchr::memchr(0, texts.value_data()).is_some())
        }
        (L::Number, W::Numeric) => Values::Number(array.as_string_opt()?),
        (L::Decimal(_, scale), W::Numeric) => Values::Decimal(array.as_primitive_opt()?, *scale),
        (L::Binary, W::Bytea) => Values::Binary(array.as_binary_opt()?),
        (L::Date32, W::Date) => Values::Date32(array.as_primitive_opt::<Date32Type>()?.values()),
        (L::Time64, W::Time) => {
            Values::Time64(array.as_primitive_opt::<Time64MicrosecondType>()?.values())
        }
        (L::Timestamp(_), W::Timestamp | W::Timestamptz) => Values::Timestamp(
            array
                .as_primitive_opt::<TimestampMicrosecondType>()?
                .values(),
        ),
        (L::Uuid, W::Uuid) => Values::Uuid(
            array
                .as_fixed_size_binary_opt()
                .filter(|bytes| bytes.value_length() == 16)?,
        ),
        (L::Vector(_), W::Vector | W::Floats) => {
            let lists = array.as_fixed_size_list_opt()?;
            Values::Vector(lists, lists.values().as_primitive_opt::<Float32Type>()?)
        }
        _ => return converted(array, logical, wire),
    })
}

/// The values of a column in the form of another type of number.
fn converted<'a>(array: &'a dyn Array, logical: &LogicalType, wire: Wire) -> Option<Values<'a>> {
    use LogicalType as L;
    use Wire as W;
    Some(match (logical, wire) {
        (L::Int32 | L::Int64 | L::UInt64, wire) if is_number(wire) => {
            Values::Integer(match logical {
                L::Int32 => Integers::Int32(array.as_primitive_opt::<Int32Type>()?.values()),
                L::Int64 => Integers::Int64(array.as_primitive_opt::<Int64Type>()?.values()),
                _ => Integers::UInt64(array.as_primitive_opt::<UInt64Type>()?.values()),
            })
        }
        (L::Float32, W::Float8 | W::Numeric) => Values::Float(Floats::Float32(
            array.as_primitive_opt::<Float32Type>()?.values(),
        )),
        (L::Float64, W::Float4 | W::Numeric) => Values::Float(Floats::Float64(
            array.as_primitive_opt::<Float64Type>()?.values(),
        )),
        _ => return None,
    })
}

fn is_text(wire: Wire) -> bool {
    matches!(wire, Wire::Text | Wire::Varchar(_))
}

fn is_number(wire: Wire) -> bool {
    use Wire::*;
    matches!(wire, Int2 | Int4 | Int8 | Oid | Float4 | Float8 | Numeric)
}
