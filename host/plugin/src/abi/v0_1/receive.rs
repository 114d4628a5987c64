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

impl Received {
    /// Three empty buffers stand for a column that is null in every row.
    pub(crate) fn is_all_null(&self) -> bool {
        self.data.is_empty() && self.offsets.is_empty() && self.validity.is_empty()
    }
}

type Verified<T> = Result<T, String>;

/// Microseconds of a day: `time64` counts from midnight and ends before the next.
const DAY_US: i64 = 86_400_000_000;

/// A column of `rows` rows of type `logical`. `Err` says what is wrong with it.
pub(crate) fn column(logical: &LogicalType, rows: usize, from: Received) -> Verified<ArrayRef> {
    if from.is_all_null() && rows > 0 {
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
    let array = array
        .with_precision_and_scale(precision, scale)
        .map_err(|e| e.to_string())?;
    match array.validate_decimal_precision(precision) {
        Ok(()) => Ok(Arc::new(array)),
        Err(_) => Err(format!("holds a number of more than {precision} digits")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    fn text(values: &[&str]) -> Received {
        let mut offsets = vec![0i32];
        let mut data = Vec::new();
        for value in values {
            data.extend_from_slice(value.as_bytes());
            offsets.push(data.len() as i32);
        }
        let offsets = offsets
            .iter()
            .flat_map(|offset| offset.to_le_bytes())
            .collect();
        Received {
            data,
            offsets,
            validity: Vec::new(),
        }
    }

    fn words(values: &[i64]) -> Received {
        Received {
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            ..Received::default()
        }
    }

    fn refused(logical: &str, rows: usize, from: Received, says: &str) {
        let why = column(&logical.parse().unwrap(), rows, from).expect_err(says);
        assert!(why.contains(says), "{why}");
    }

    #[test]
    fn buffers_that_are_too_short_are_refused_for_every_type() {
        for logical in LogicalType::NAMES {
            let short = Received {
                data: vec![1],
                offsets: vec![0; 8],
                validity: vec![0xff, 0xff],
            };
            let result = column(&logical.parse().unwrap(), 9, short);
            assert_eq!(result.is_ok(), logical == "null", "{logical}");
            let no_validity = Received {
                data: vec![0; 9 * 16],
                offsets: vec![0; 40],
                validity: vec![0xff],
            };
            assert!(
                column(&logical.parse().unwrap(), 9, no_validity).is_err(),
                "{logical}"
            );
        }
    }

    #[test]
    fn three_empty_buffers_are_a_column_of_nulls_of_any_type() {
        for logical in LogicalType::NAMES {
            let logical: LogicalType = logical.parse().unwrap();
            let nulls = column(&logical, 3, Received::default()).unwrap();
            assert_eq!(
                (nulls.len(), nulls.logical_null_count(), nulls.data_type()),
                (3, 3, &logical.arrow())
            );
        }
    }

    #[test]
    fn what_lies_behind_the_last_row_and_under_a_null_is_ignored() {
        let mut from = text(&["one", "two", "three"]);
        from.data.extend_from_slice(&[0xff; 9]);
        from.data[4] = 0xff;
        from.validity = vec![0b1111_1101, 0xff];
        let column = column(&LogicalType::Utf8, 3, from).unwrap();
        assert_eq!(
            column.as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("one"), None, Some("three")]
        );
    }

    #[test]
    fn a_misaligned_buffer_is_copied_and_reads_the_same() {
        // A Vec<u8> may begin anywhere; taken apart at byte 1 it does.
        let bytes: Vec<u8> = std::iter::once(0).chain(7i64.to_le_bytes()).collect();
        let buffer = aligned(bytes[1..].to_vec(), 8);
        assert_eq!(buffer.as_ptr().align_offset(8), 0);
        assert_eq!(buffer.as_slice(), 7i64.to_le_bytes());
    }

    #[test]
    fn offsets_and_text_are_held_to_the_rules() {
        let mut back = text(&["one", "two"]);
        back.offsets[4..8].copy_from_slice(&9i32.to_le_bytes());
        refused("utf8", 2, back, "go back at row 1");
        let mut late = text(&["one", "two"]);
        late.offsets[..4].copy_from_slice(&1i32.to_le_bytes());
        refused("utf8", 2, late, "start at 1");
        let mut negative = text(&["one"]);
        negative.offsets[4..8].copy_from_slice(&(-1i32).to_le_bytes());
        refused("binary", 1, negative, "go back at row 0");
        let mut split = text(&["é"]);
        split.offsets = [0i32, 1, 2].iter().flat_map(|o| o.to_le_bytes()).collect();
        refused("utf8", 2, split, "row 0 is not UTF-8");
    }

    #[test]
    fn values_outside_of_their_type_are_refused() {
        refused("json", 2, text(&["{}", "{"]), "row 1 is not JSON");
        refused("number", 1, text(&["1,5"]), "row 0 is not a number");
        refused(
            "time64",
            2,
            words(&[0, DAY_US]),
            "row 1 is not a time of day",
        );
        refused("time64", 1, words(&[-1]), "row 0 is not a time of day");
        refused("decimal(3, 1)", 1, words(&[1000, 0]), "more than 3 digits");
        assert!(column(&"decimal(3, 1)".parse().unwrap(), 1, words(&[-999, -1])).is_ok());
    }

    #[test]
    fn fixed_values_arrive_as_they_were_sent() {
        let ints = column(&LogicalType::Int64, 2, words(&[9_007_199_254_740_993, -1])).unwrap();
        assert_eq!(
            ints.as_primitive::<Int64Type>().values(),
            &[9_007_199_254_740_993, -1]
        );
        let zone: LogicalType = "timestamp(us, UTC)".parse().unwrap();
        assert_eq!(
            column(&zone, 1, words(&[1])).unwrap().data_type(),
            &zone.arrow()
        );
        let pairs = column(&LogicalType::Vector(2), 1, words(&[0])).unwrap();
        assert_eq!(pairs.data_type(), &LogicalType::Vector(2).arrow());
    }
}
