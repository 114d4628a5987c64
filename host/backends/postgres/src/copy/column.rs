//! A column that is being filled with values in their binary form.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array,
    FixedSizeBinaryArray, FixedSizeListArray, Float32Array, NullArray, NullBufferBuilder,
    PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::text::Appender;
use dkhost_core::{Error, LogicalType, Result};

use super::Wire;
use super::value::{
    Stop, Why, date, exact, finite, float, floats, integer, out_of, parsed, time, timestamp, unfit,
    unfit_number, vector,
};

/// A column so far.
#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    nulls: NullBufferBuilder,
    /// Of the type, for [`Column::finish`].
    logical: LogicalType,
}

/// One kind for each pair of a layout and a form.
#[derive(Debug)]
enum Values {
    Null,
    Boolean(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Text(Bytes),
    Timestamp(Vec<i64>),
    Float32(Vec<f32>),
    /// From another integer.
    Int32From(Vec<i32>, Wire),
    Int64From(Vec<i64>, Wire),
    UInt64(Vec<u64>, Wire),
    Float64From4(Vec<f64>),
    Jsonb(Bytes),
    Number(Bytes),
    Binary(Bytes),
    Date32(Vec<i32>),
    Time64(Vec<i64>),
    Uuid(Vec<u8>),
    Decimal(Vec<i128>, u8, i8),
    Vector(Vec<f32>, usize),
    Floats(Vec<f32>, usize),
    /// From text, by the rules of core.
    Parsed(Appender),
}

/// Values of any length, end to end.
#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Bytes {
    fn new() -> Self {
        Bytes {
            bytes: Vec::new(),
            offsets: vec![0],
        }
    }

    #[inline]
    fn push(&mut self, value: &[u8]) -> Result<(), Stop> {
        if value.len() > i32::MAX as usize - self.bytes.len() {
            return Err(Box::new(Why::Full));
        }
        self.bytes.extend_from_slice(value);
        self.offsets.push(self.bytes.len() as i32);
        Ok(())
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        let end = self.offsets.last().copied().unwrap_or(0);
        self.bytes.truncate(end as usize);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Vec<u8>) {
        let bytes = Vec::with_capacity(self.bytes.len());
        let mut offsets = Vec::with_capacity(self.offsets.len());
        offsets.push(0);
        let bytes = std::mem::replace(&mut self.bytes, bytes);
        let offsets = std::mem::replace(&mut self.offsets, offsets);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes)
    }
}

impl Column {
    /// An empty column of a type that comes in a form.
    ///
    /// *Errors* – a bug if the type is not read from that form.
    pub(super) fn new(logical: &LogicalType, wire: Wire) -> Result<Self> {
        let values = values(logical, wire).ok_or_else(|| {
            Error::bug(format!(
                "a column of type {logical} is not read from {wire:?}"
            ))
        })?;
        Ok(Column {
            values,
            nulls: NullBufferBuilder::new(0),
            logical: logical.clone(),
        })
    }

    /// Appends a null.
    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Null => {}
            Values::Boolean(bits) => bits.append(false),
            Values::Int32(v) | Values::Int32From(v, _) | Values::Date32(v) => v.push(0),
            Values::Int64(v)
            | Values::Int64From(v, _)
            | Values::Timestamp(v)
            | Values::Time64(v) => v.push(0),
            Values::UInt64(v, _) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) | Values::Float64From4(v) => v.push(0.0),
            Values::Text(v) | Values::Jsonb(v) | Values::Number(v) | Values::Binary(v) => {
                v.offsets.push(v.bytes.len() as i32);
            }
            Values::Uuid(v) => v.extend([0; 16]),
            Values::Decimal(v, ..) => v.push(0),
            Values::Vector(v, n) | Values::Floats(v, n) => v.extend(std::iter::repeat_n(0.0, *n)),
            Values::Parsed(appender) => appender.append_null(),
        }
        self.nulls.append_null();
    }

    /// Appends a value; one that is not taken may leave some of it behind, which
    /// [`Column::truncate`] takes away.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        match &mut self.values {
            Values::Int64(v) => v.push(i64::from_be_bytes(exact(bytes)?)),
            Values::Int32(v) => v.push(i32::from_be_bytes(exact(bytes)?)),
            Values::Float64(v) => v.push(f64::from_bits(u64::from_be_bytes(exact(bytes)?))),
            Values::Text(v) => v.push(bytes)?,
            Values::Boolean(bits) => bits.append(exact::<1>(bytes)? != [0]),
            Values::Timestamp(v) => v.push(timestamp(bytes)?),
            _ => self.push_rare(bytes)?,
        }
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_rare(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        match &mut self.values {
            Values::Int32From(v, wire) => {
                let value = integer(bytes, *wire)?;
                v.push(i32::try_from(value).map_err(|_| out_of(value, "an int32"))?);
            }
            Values::Int64From(v, wire) => v.push(integer(bytes, *wire)?),
            Values::UInt64(v, Wire::Numeric) => {
                let number = finite(bytes)?;
                let value = number
                    .decimal(20, 0)
                    .and_then(|value| u64::try_from(value).ok());
                v.push(value.ok_or_else(|| unfit_number(&number, "a uint64"))?);
            }
            Values::UInt64(v, wire) => {
                let value = integer(bytes, *wire)?;
                v.push(u64::try_from(value).map_err(|_| out_of(value, "a uint64"))?);
            }
            Values::Float32(v) => v.push(float(bytes)?),
            Values::Float64From4(v) => v.push(float(bytes)?.into()),
            Values::Jsonb(v) => match bytes {
                [1, text @ ..] => v.push(text)?,
                _ => return Err(Box::new(Why::Broken)),
            },
            Values::Number(v) => {
                let start = v.bytes.len();
                // The longest number that there is.
                if start > i32::MAX as usize - (160 << 10) {
                    return Err(Box::new(Why::Full));
                }
                finite(bytes)?.write(&mut v.bytes);
                v.offsets.push(v.bytes.len() as i32);
            }
            Values::Binary(v) => v.push(bytes)?,
            Values::Date32(v) => v.push(date(bytes)?),
            Values::Time64(v) => v.push(time(bytes)?),
            Values::Uuid(v) => v.extend_from_slice(&exact::<16>(bytes)?),
            Values::Decimal(v, precision, scale) => {
                let number = finite(bytes)?;
                let value = number.decimal(*precision, *scale);
                let what = || format!("a decimal({precision}, {scale})");
                v.push(value.ok_or_else(|| unfit_number(&number, &what()))?);
            }
            Values::Vector(v, n) => vector(bytes, *n, v)?,
            Values::Floats(v, n) => floats(bytes, *n, v)?,
            Values::Parsed(appender) => parsed(bytes, appender, &self.logical)?,
            _ => {
                return Err(unfit(
                    "postgres::wrong_type",
                    "the column was found to hold only nulls, and this is none".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Takes back what came after the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Null => {}
            Values::Boolean(bits) => bits.truncate(rows),
            Values::Int32(v) | Values::Int32From(v, _) | Values::Date32(v) => v.truncate(rows),
            Values::Int64(v)
            | Values::Int64From(v, _)
            | Values::Timestamp(v)
            | Values::Time64(v) => {
                v.truncate(rows);
            }
            Values::UInt64(v, _) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) | Values::Float64From4(v) => v.truncate(rows),
            Values::Text(v) | Values::Jsonb(v) | Values::Number(v) | Values::Binary(v) => {
                v.truncate(rows)
            }
            Values::Uuid(v) => v.truncate(rows * 16),
            Values::Decimal(v, ..) => v.truncate(rows),
            Values::Vector(v, n) | Values::Floats(v, n) => v.truncate(rows * *n),
            Values::Parsed(appender) => appender.truncate(rows),
        }
        if self.nulls.len() > rows {
            self.nulls.truncate(rows);
        }
    }

    /// The column, and the rows of it whose text is not UTF-8; they hold what can be read of it.
    /// Empty again afterwards.
    pub(super) fn finish(&mut self) -> Result<(ArrayRef, Vec<usize>)> {
        let rows = self.nulls.len();
        let nulls = self.nulls.finish();
        let array: ArrayRef = match &mut self.values {
            Values::Null => Arc::new(NullArray::new(rows)),
            Values::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Values::Int32(v) | Values::Int32From(v, _) => primitive::<Int32Type>(v, nulls),
            Values::Int64(v) | Values::Int64From(v, _) => primitive::<Int64Type>(v, nulls),
            Values::UInt64(v, _) => primitive::<UInt64Type>(v, nulls),
            Values::Float32(v) => primitive::<Float32Type>(v, nulls),
            Values::Float64(v) | Values::Float64From4(v) => primitive::<Float64Type>(v, nulls),
            Values::Text(v) | Values::Jsonb(v) => return strings(v.finish(), nulls),
            Values::Number(v) => return strings(v.finish(), nulls),
            Values::Binary(v) => {
                let (offsets, bytes) = v.finish();
                Arc::new(BinaryArray::try_new(
                    offsets,
                    Buffer::from_vec(bytes),
                    nulls,
                )?)
            }
            Values::Date32(v) => primitive::<Date32Type>(v, nulls),
            Values::Time64(v) => primitive::<Time64MicrosecondType>(v, nulls),
            Values::Timestamp(v) => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::new(taken(v), nulls);
                let zone = match &self.logical {
                    LogicalType::Timestamp(zone) => zone.clone(),
                    _ => None,
                };
                Arc::new(array.with_timezone_opt(zone))
            }
            Values::Uuid(v) => {
                let bytes = Buffer::from_vec(std::mem::take(v));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls)?)
            }
            Values::Decimal(v, precision, scale) => Arc::new(
                Decimal128Array::new(taken(v), nulls)
                    .with_precision_and_scale(*precision, *scale)?,
            ),
            Values::Vector(v, n) | Values::Floats(v, n) => {
                let item = arrow::datatypes::Field::new("item", DataType::Float32, true);
                let items = Arc::new(Float32Array::new(taken(v), None));
                Arc::new(FixedSizeListArray::try_new(
                    Arc::new(item),
                    *n as i32,
                    items,
                    nulls,
                )?)
            }
            Values::Parsed(appender) => appender.finish()?,
        };
        Ok((array, Vec::new()))
    }
}

fn values(logical: &LogicalType, wire: Wire) -> Option<Values> {
    use LogicalType as L;
    use Wire as W;
    Some(match (logical, wire) {
        (L::Null, _) => Values::Null,
        (L::Boolean, W::Bool) => Values::Boolean(BooleanBufferBuilder::new(0)),
        (L::Int32, W::Int4) => Values::Int32(Vec::new()),
        (L::Int32, W::Int2 | W::Int8 | W::Oid) => Values::Int32From(Vec::new(), wire),
        (L::Int64, W::Int8) => Values::Int64(Vec::new()),
        (L::Int64, W::Int2 | W::Int4 | W::Oid) => Values::Int64From(Vec::new(), wire),
        (L::UInt64, W::Numeric | W::Int2 | W::Int4 | W::Int8 | W::Oid) => {
            Values::UInt64(Vec::new(), wire)
        }
        (L::Float32, W::Float4) => Values::Float32(Vec::new()),
        (L::Float64, W::Float8) => Values::Float64(Vec::new()),
        (L::Float64, W::Float4) => Values::Float64From4(Vec::new()),
        (L::Utf8, W::Text | W::Varchar(_) | W::Json) => Values::Text(Bytes::new()),
        (L::Json, W::Json) => Values::Text(Bytes::new()),
        (L::Utf8 | L::Json, W::Jsonb) => Values::Jsonb(Bytes::new()),
        (L::Number, W::Numeric) => Values::Number(Bytes::new()),
        (L::Binary, W::Bytea) => Values::Binary(Bytes::new()),
        (L::Date32, W::Date) => Values::Date32(Vec::new()),
        (L::Time64, W::Time) => Values::Time64(Vec::new()),
        (L::Timestamp(_), W::Timestamp | W::Timestamptz) => Values::Timestamp(Vec::new()),
        (L::Uuid, W::Uuid) => Values::Uuid(Vec::new()),
        (L::Decimal(precision, scale), W::Numeric) => {
            Values::Decimal(Vec::new(), *precision, *scale)
        }
        (L::Vector(n), W::Vector) => Values::Vector(Vec::new(), usize::try_from(*n).ok()?),
        (L::Vector(n), W::Floats) => Values::Floats(Vec::new(), usize::try_from(*n).ok()?),
        (_, W::Text | W::Varchar(_)) => Values::Parsed(Appender::new(logical)),
        _ => return None,
    })
}

fn taken<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(taken(values), nulls))
}

/// Texts are checked all at once; what the server sends is UTF-8, unless its database is not.
fn strings(
    (offsets, bytes): (OffsetBuffer<i32>, Vec<u8>),
    nulls: Option<NullBuffer>,
) -> Result<(ArrayRef, Vec<usize>)> {
    let is_start = |at: &i32| {
        bytes
            .get(*at as usize)
            .is_none_or(|byte| byte & 0xC0 != 0x80)
    };
    if simdutf8::basic::from_utf8(&bytes).is_err() || !offsets.iter().all(is_start) {
        return readable(&offsets, &bytes, nulls);
    }
    // SAFETY: the bytes are UTF-8 and every offset is at the start of a character or at the end;
    // the offsets are ascending and end at the end of the bytes, because each is pushed as their
    // count so far; the nulls have one bit for each value.
    #[allow(unsafe_code)]
    let array = unsafe { StringArray::new_unchecked(offsets, Buffer::from_vec(bytes), nulls) };
    Ok((Arc::new(array), Vec::new()))
}

#[cold]
fn readable(
    offsets: &[i32],
    bytes: &[u8],
    nulls: Option<NullBuffer>,
) -> Result<(ArrayRef, Vec<usize>)> {
    let (mut rows, mut broken) = (Bytes::new(), Vec::new());
    for (row, ends) in offsets.windows(2).enumerate() {
        let text = String::from_utf8_lossy(&bytes[ends[0] as usize..ends[1] as usize]);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            broken.push(row);
        }
        rows.push(text.as_bytes()).map_err(|_| {
            Error::data(
                "postgres::full",
                "a batch holds too much text that is not UTF-8",
            )
        })?;
    }
    let (offsets, bytes) = rows.finish();
    Ok((
        Arc::new(StringArray::try_new(
            offsets,
            Buffer::from_vec(bytes),
            nulls,
        )?),
        broken,
    ))
}
