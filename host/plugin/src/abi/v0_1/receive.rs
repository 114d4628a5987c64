//! What a plugin hands back, verified and turned into Arrow columns.
//!
//! A plugin's output is input, not truth (invariant 8). Every buffer is measured before it is
//! looked into: lengths, offsets, UTF-8, the ranges of types that have one. Buffers become Arrow's
//! without copying when their address is aligned, which nothing promises.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray, NullArray,
    PrimitiveArray, StringArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field as ArrowField, Float32Type,
    Float64Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::LogicalType;

use super::text;

/// The three buffers of a column as a plugin returned them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) data: Vec<u8>,
    pub(crate) offsets: Vec<u8>,
    pub(crate) validity: Vec<u8>,
}

type Verified<T> = Result<T, String>;

/// Microseconds of a day: `time64` counts from midnight and ends before the next.
const DAY_US: i64 = 86_400_000_000;

/// A column of `rows` rows of type `logical`. `Err` says what is wrong with it.
pub(crate) fn column(logical: &LogicalType, rows: usize, from: Received) -> Verified<ArrayRef> {
    if from.data.is_empty() && from.offsets.is_empty() && from.validity.is_empty() && rows > 0 {
        return Ok(new_null_array(&logical.arrow(), rows));
    }
    let nulls = nulls(from.validity, rows)?;
    match logical {
        LogicalType::Null => Ok(Arc::new(NullArray::new(rows))),
        LogicalType::Boolean => Ok(Arc::new(BooleanArray::new(
            bitmap(from.data, rows, "its values")?,
            nulls,
        ))),
        LogicalType::Int32 => Ok(Arc::new(primitive::<Int32Type>(from.data, rows, nulls)?)),
        LogicalType::Date32 => Ok(Arc::new(primitive::<Date32Type>(from.data, rows, nulls)?)),
        LogicalType::Float32 => Ok(Arc::new(primitive::<Float32Type>(from.data, rows, nulls)?)),
        LogicalType::Int64 => Ok(Arc::new(primitive::<Int64Type>(from.data, rows, nulls)?)),
        LogicalType::UInt64 => Ok(Arc::new(primitive::<UInt64Type>(from.data, rows, nulls)?)),
        LogicalType::Float64 => Ok(Arc::new(primitive::<Float64Type>(from.data, rows, nulls)?)),
        LogicalType::Time64 => time(primitive(from.data, rows, nulls)?),
        LogicalType::Timestamp(zone) => {
            let array = primitive::<TimestampMicrosecondType>(from.data, rows, nulls)?;
            Ok(Arc::new(array.with_timezone_opt(zone.clone())))
        }
        LogicalType::Decimal(precision, scale) => {
            decimal(primitive(from.data, rows, nulls)?, *precision, *scale)
        }
        LogicalType::Uuid => {
            let data = fixed(from.data, rows, 16, 1)?;
            FixedSizeBinaryArray::try_new(16, data, nulls)
                .map(|a| Arc::new(a) as ArrayRef)
                .map_err(|e| e.to_string())
        }
        LogicalType::Vector(n) => vector(from.data, rows, *n, nulls),
        LogicalType::Utf8 => Ok(Arc::new(strings(from.data, from.offsets, rows, nulls)?)),
        LogicalType::Json => text::json(strings(from.data, from.offsets, rows, nulls)?),
        LogicalType::Number => text::number(strings(from.data, from.offsets, rows, nulls)?),
        LogicalType::Binary => {
            let (offsets, data) = variable(from.data, from.offsets, rows)?;
            BinaryArray::try_new(offsets, data, nulls)
                .map(|a| Arc::new(a) as ArrayRef)
                .map_err(|e| e.to_string())
        }
    }
}

/// A bitmap of `rows` bits; what lies behind them is ignored.
pub(crate) fn bitmap(bytes: Vec<u8>, rows: usize, what: &str) -> Verified<BooleanBuffer> {
    let needed = rows.div_ceil(8);
    if bytes.len() < needed {
        return Err(format!(
            "{what} has {} bytes, and {rows} rows need {needed}",
            bytes.len()
        ));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

fn nulls(validity: Vec<u8>, rows: usize) -> Verified<Option<NullBuffer>> {
    if validity.is_empty() {
        return Ok(None);
    }
    let nulls = NullBuffer::new(bitmap(validity, rows, "its validity")?);
    Ok((nulls.null_count() > 0).then_some(nulls))
}

/// `rows` values of `width` bytes at an address that is a multiple of `align`.
fn fixed(data: Vec<u8>, rows: usize, width: usize, align: usize) -> Verified<Buffer> {
    let needed = rows
        .checked_mul(width)
        .ok_or("has more rows than fit into memory")?;
    if data.len() < needed {
        return Err(format!(
            "has {} bytes, and {rows} rows of {width} bytes need {needed}",
            data.len()
        ));
    }
    Ok(aligned(data, align).slice_with_length(0, needed))
}

/// A buffer at an aligned address: the same bytes if they lie well, else a copy.
fn aligned(data: Vec<u8>, align: usize) -> Buffer {
    if data.as_ptr().align_offset(align) == 0 {
        Buffer::from_vec(data)
    } else {
        Buffer::from_slice_ref(&data)
    }
}

fn primitive<T: ArrowPrimitiveType>(
    data: Vec<u8>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Verified<PrimitiveArray<T>> {
    let buffer = fixed(data, rows, size_of::<T::Native>(), align_of::<T::Native>())?;
    PrimitiveArray::try_new(ScalarBuffer::new(buffer, 0, rows), nulls).map_err(|e| e.to_string())
}

fn time(array: PrimitiveArray<Time64MicrosecondType>) -> Verified<ArrayRef> {
    match array
        .iter()
        .position(|value| value.is_some_and(|us| !(0..DAY_US).contains(&us)))
    {
        Some(row) => Err(format!("row {row} is not a time of day")),
        None => Ok(Arc::new(array)),
    }
}

fn decimal(array: PrimitiveArray<Decimal128Type>, precision: u8, scale: i8) -> Verified<ArrayRef> {
    array
        .validate_decimal_precision(precision)
        .map_err(|_| format!("holds a number of more than {precision} digits"))?;
    let array = array
        .with_precision_and_scale(precision, scale)
        .map_err(|e| e.to_string())?;
    Ok(Arc::new(array))
}

fn vector(data: Vec<u8>, rows: usize, n: i32, nulls: Option<NullBuffer>) -> Verified<ArrayRef> {
    let items = rows
        .checked_mul(n as usize)
        .ok_or("has more rows than fit into memory")?;
    let values = primitive::<Float32Type>(data, items, None)?;
    let item = Arc::new(ArrowField::new("item", DataType::Float32, true));
    FixedSizeListArray::try_new(item, n, Arc::new(values), nulls)
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| e.to_string())
}

/// Offsets that start at 0, never go back and stay within the data.
fn variable(data: Vec<u8>, offsets: Vec<u8>, rows: usize) -> Verified<(OffsetBuffer<i32>, Buffer)> {
    if rows == 0 {
        return Ok((
            OffsetBuffer::new_empty(),
            Buffer::from_vec(data).slice_with_length(0, 0),
        ));
    }
    let count = rows + 1;
    if offsets.len() < count * 4 {
        return Err(format!(
            "its offsets have {} bytes, and {rows} rows need {}",
            offsets.len(),
            count * 4
        ));
    }
    let offsets = ScalarBuffer::<i32>::new(aligned(offsets, 4), 0, count);
    if offsets[0] != 0 {
        return Err(format!("its offsets start at {} and not at 0", offsets[0]));
    }
    if let Some(row) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(format!("its offsets go back at row {row}"));
    }
    if offsets[rows] as usize > data.len() {
        return Err(format!(
            "its offsets end at {}, and there are {} bytes",
            offsets[rows],
            data.len()
        ));
    }
    let end = offsets[rows] as usize;
    Ok((
        OffsetBuffer::new(offsets),
        Buffer::from_vec(data).slice_with_length(0, end),
    ))
}

fn strings(
    data: Vec<u8>,
    offsets: Vec<u8>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Verified<StringArray> {
    let (offsets, data) = variable(data, offsets, rows)?;
    match StringArray::try_new(offsets.clone(), data.clone(), nulls.clone()) {
        Ok(array) => Ok(array),
        // Rare: either a row is not UTF-8, or only what lies under a null is not.
        Err(_) => text::row_by_row(&offsets, &data, nulls),
    }
}
