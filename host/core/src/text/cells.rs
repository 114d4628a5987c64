//! A column's cells as text: the way out, opposite of [`super::Appender`].

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
    UInt64Array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{Date32Type, Float32Type, Time64MicrosecondType, TimestampMicrosecondType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{
    write_date, write_decimal, write_f32, write_f64, write_time, write_timestamp, write_uuid,
};
use crate::{Error, LogicalType, Result};

/// A column bound to its layout, ready to be written cell by cell without a look at its type.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    pub(crate) values: CellValues<'a>,
    nulls: Option<&'a NullBuffer>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum CellValues<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt64(&'a UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Utf8(&'a StringArray),
    Json(&'a StringArray),
    Number(&'a StringArray),
    Binary(&'a BinaryArray),
    Date32(&'a ScalarBuffer<i32>),
    Time64(&'a ScalarBuffer<i64>),
    Timestamp(&'a ScalarBuffer<i64>, bool),
    Uuid(&'a FixedSizeBinaryArray),
    Decimal(&'a Decimal128Array, i8),
    Vector(&'a FixedSizeListArray, &'a Float32Array),
}

impl<'a> Cells<'a> {
    /// Binds a column.
    ///
    /// *Errors* – a bug if `array` has not the layout of `logical`.
    pub fn bind(array: &'a dyn Array, logical: &LogicalType) -> Result<Self> {
        let values = Self::values(array, logical).ok_or_else(|| {
            Error::bug(format!(
                "a column of type {logical} has the layout {}",
                array.data_type()
            ))
        })?;
        let nulls = array.nulls();
        Ok(Cells { values, nulls })
    }

    fn values(array: &'a dyn Array, logical: &LogicalType) -> Option<CellValues<'a>> {
        Some(match logical {
            LogicalType::Null => CellValues::Null,
            LogicalType::Boolean => CellValues::Boolean(array.as_boolean_opt()?),
            LogicalType::Int32 => CellValues::Int32(array.as_primitive_opt()?),
            LogicalType::Int64 => CellValues::Int64(array.as_primitive_opt()?),
            LogicalType::UInt64 => CellValues::UInt64(array.as_primitive_opt()?),
            LogicalType::Float32 => CellValues::Float32(array.as_primitive_opt()?),
            LogicalType::Float64 => CellValues::Float64(array.as_primitive_opt()?),
            LogicalType::Utf8 => CellValues::Utf8(array.as_string_opt()?),
            LogicalType::Json => CellValues::Json(array.as_string_opt()?),
            LogicalType::Number => CellValues::Number(array.as_string_opt()?),
            LogicalType::Binary => CellValues::Binary(array.as_binary_opt()?),
            LogicalType::Date32 => {
                CellValues::Date32(array.as_primitive_opt::<Date32Type>()?.values())
            }
            LogicalType::Time64 => {
                CellValues::Time64(array.as_primitive_opt::<Time64MicrosecondType>()?.values())
            }
            LogicalType::Timestamp(zone) => {
                let values = array
                    .as_primitive_opt::<TimestampMicrosecondType>()?
                    .values();
                CellValues::Timestamp(values, zone.is_some())
            }
            LogicalType::Uuid => CellValues::Uuid(
                array
                    .as_fixed_size_binary_opt()
                    .filter(|bytes| bytes.value_length() == 16)?,
            ),
            LogicalType::Decimal(_, scale) => {
                CellValues::Decimal(array.as_primitive_opt()?, *scale)
            }
            LogicalType::Vector(_) => {
                let lists = array.as_fixed_size_list_opt()?;
                CellValues::Vector(lists, lists.values().as_primitive_opt::<Float32Type>()?)
            }
        })
    }

    /// Whether the cell is null.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match (self.nulls, self.values) {
            (Some(nulls), _) => nulls.is_null(row),
            (None, CellValues::Null) => true,
            (None, _) => false,
        }
    }

    /// Writes the cell as text (see the table of [`crate::text`]) and says whether there was one:
    /// nothing is written for a null.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.is_null(row) {
            return false;
        }
        match self.values {
            CellValues::Null => (),
            CellValues::Boolean(v) => {
                out.extend_from_slice(if v.value(row) { b"true" } else { b"false" });
            }
            CellValues::Int32(v) => out.extend(itoa::Buffer::new().format(v.value(row)).as_bytes()),
            CellValues::Int64(v) => out.extend(itoa::Buffer::new().format(v.value(row)).as_bytes()),
            CellValues::UInt64(v) => {
                out.extend(itoa::Buffer::new().format(v.value(row)).as_bytes())
            }
            CellValues::Float32(v) => write_f32(v.value(row), out),
            CellValues::Float64(v) => write_f64(v.value(row), out),
            CellValues::Utf8(v) | CellValues::Json(v) | CellValues::Number(v) => {
                out.extend_from_slice(v.value(row).as_bytes());
            }
            CellValues::Binary(v) => write_base64(v.value(row), out),
            CellValues::Date32(v) => write_date(v[row], out),
            CellValues::Time64(v) => write_time(v[row], out),
            CellValues::Timestamp(v, zoned) => write_timestamp(v[row], zoned, out),
            CellValues::Uuid(v) => {
                if let Ok(uuid) = v.value(row).try_into() {
                    write_uuid(uuid, out);
                }
            }
            CellValues::Decimal(v, scale) => write_decimal(v.value(row), scale, out),
            CellValues::Vector(lists, items) => write_vector(lists, items, row, out),
        }
        true
    }
}

pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    // The buffer has exactly the encoded length, so this cannot fail.
    let written = BASE64.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// The items of a vector and whether each is there.
pub(crate) fn vector_items<'a>(
    lists: &'a FixedSizeListArray,
    items: &'a Float32Array,
    row: usize,
) -> impl Iterator<Item = Option<f32>> + 'a {
    let start = lists.value_offset(row) as usize;
    (start..start + lists.value_length() as usize)
        .map(|item| items.is_valid(item).then(|| items.value(item)))
}

fn write_vector(lists: &FixedSizeListArray, items: &Float32Array, row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, item) in vector_items(lists, items, row).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match item {
            Some(item) => write_f32(item, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
}
