//! Arrow columns as the contract's buffers, without copying where the array starts at a byte.
//!
//! A plugin reads row 0 at the start of every buffer. Arrays that are slices of others may start
//! inside a byte of a bitmap, or with an offset that is not 0: only those buffers are rewritten.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!(
    "the contract's buffers are little endian, and this host hands them over as they are"
);

/// The three buffers of one column, borrowed from Arrow where that is possible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent<'a> {
    pub(crate) data: Cow<'a, [u8]>,
    pub(crate) offsets: Cow<'a, [u8]>,
    pub(crate) validity: Cow<'a, [u8]>,
}

/// The buffers of `array`, which has the layout of one of our logical types.
pub(crate) fn column(array: &dyn Array) -> Result<Sent<'_>> {
    let validity = match array.data_type() {
        DataType::Null => Cow::Owned(vec![0; array.len().div_ceil(8)]),
        _ => match array.nulls() {
            Some(nulls) if nulls.null_count() > 0 => bits(nulls.inner()),
            _ => Cow::Borrowed(&[][..]),
        },
    };
    let (data, offsets) = buffers(array)?;
    Ok(Sent {
        data,
        offsets,
        validity,
    })
}

type Buffers<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

fn buffers(array: &dyn Array) -> Result<Buffers<'_>> {
    macro_rules! primitive {
        ($type:ty) => {
            fixed(array.as_primitive::<$type>().values().inner().as_slice())
        };
    }
    match array.data_type() {
        DataType::Null => fixed(&[]),
        DataType::Boolean => {
            let values: &BooleanArray = array.as_boolean();
            Ok((bits(values.values()), Cow::Borrowed(&[][..])))
        }
        DataType::Int32 => primitive!(Int32Type),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Float32 => primitive!(Float32Type),
        DataType::Int64 => primitive!(Int64Type),
        DataType::UInt64 => primitive!(UInt64Type),
        DataType::Float64 => primitive!(Float64Type),
        DataType::Time64(_) => primitive!(Time64MicrosecondType),
        DataType::Timestamp(..) => primitive!(TimestampMicrosecondType),
        DataType::Decimal128(..) => primitive!(Decimal128Type),
        DataType::FixedSizeBinary(_) => fixed(array.as_fixed_size_binary().value_data()),
        DataType::Utf8 => {
            let text = array.as_string::<i32>();
            Ok(variable(text.offsets(), text.values().as_slice()))
        }
        DataType::Binary => {
            let binary = array.as_binary::<i32>();
            Ok(variable(binary.offsets(), binary.values().as_slice()))
        }
        DataType::FixedSizeList(..) => {
            let items = array.as_fixed_size_list().values();
            if items.null_count() > 0 {
                return Err(Error::bug(
                    "a vector holds a null inside; vectors are null as a whole or not at all",
                ));
            }
            fixed(
                items
                    .as_primitive::<Float32Type>()
                    .values()
                    .inner()
                    .as_slice(),
            )
        }
        other => Err(Error::bug(format!(
            "a column has the layout {other}, which no logical type has"
        ))),
    }
}

fn fixed(data: &[u8]) -> Result<Buffers<'_>> {
    Ok((Cow::Borrowed(data), Cow::Borrowed(&[])))
}

/// A bitmap from bit 0 of its first byte.
fn bits(buffer: &BooleanBuffer) -> Cow<'_, [u8]> {
    let bytes = buffer.len().div_ceil(8);
    if buffer.offset().is_multiple_of(8) {
        let start = buffer.offset() / 8;
        return Cow::Borrowed(&buffer.values()[start..start + bytes]);
    }
    Cow::Owned(buffer.sliced().as_slice()[..bytes].to_vec())
}

fn variable<'a>(offsets: &'a OffsetBuffer<i32>, data: &'a [u8]) -> Buffers<'a> {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let data = Cow::Borrowed(&data[first as usize..last as usize]);
    if first == 0 {
        return (data, Cow::Borrowed(offsets.inner().inner().as_slice()));
    }
    let rebased = offsets
        .iter()
        .flat_map(|offset| (offset - first).to_le_bytes())
        .collect();
    (data, Cow::Owned(rebased))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, NullArray, StringArray};
    use std::sync::Arc;

    #[test]
    fn a_slice_is_sent_as_if_it_stood_alone() {
        let whole: ArrayRef = Arc::new(StringArray::from(vec![
            Some("zero"),
            Some("one"),
            None,
            Some("three"),
            Some(""),
        ]));
        let alone: ArrayRef = Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]));
        let slice = whole.slice(1, 3);
        let (slice, alone) = (column(&slice).unwrap(), column(&alone).unwrap());
        assert_eq!(slice.data, alone.data);
        assert_eq!(slice.offsets, alone.offsets);
        assert_eq!(slice.validity[0] & 0b111, 0b101);
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, true, false]));
        assert_eq!(column(&flags.slice(2, 3)).unwrap().data[0] & 0b111, 0b011);
    }

    #[test]
    fn whole_columns_are_borrowed() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let sent = column(&numbers).unwrap();
        assert!(matches!(sent.data, Cow::Borrowed(_)));
        assert_eq!(sent.data.len(), 16);
        assert!(sent.validity.is_empty() && sent.offsets.is_empty());
        let money: ArrayRef = Arc::new(Decimal128Array::from(vec![1, -1]));
        assert_eq!(&column(&money).unwrap().data[16..], (-1i128).to_le_bytes());
    }

    #[test]
    fn a_column_of_nulls_says_so_in_its_validity() {
        assert_eq!(*column(&NullArray::new(9)).unwrap().validity, [0, 0]);
    }
}
