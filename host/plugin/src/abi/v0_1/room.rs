//! How much an answer may grow into on the host's side of the border.
//!
//! What crosses is limited when it crosses. But a few bytes can stand for gigabytes here: an origin
//! that repeats one row of carried columns a million times, three empty buffers that mean a column
//! of null vectors. Both are measured before anything is made of them.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;

use crate::limits::{Limits, size};

/// The bytes one answer may still grow by.
pub(super) struct Room {
    left: usize,
    most: usize,
}

impl Room {
    pub(super) fn of(limits: &Limits) -> Room {
        Room {
            left: limits.output_bytes,
            most: limits.output_bytes,
        }
    }

    /// Takes room for `rows` nulls of a type. `Err` says what is wrong.
    pub(super) fn for_nulls(&mut self, layout: &DataType, rows: usize) -> Result<(), String> {
        self.take(bits(layout).saturating_mul(rows) / 8)
    }

    /// Takes room for the rows of `column` that `origin` names. `Err` says what is wrong.
    pub(super) fn for_rows(
        &mut self,
        column: &ArrayRef,
        origin: &UInt32Array,
    ) -> Result<(), String> {
        self.take(bits(column.data_type()).saturating_mul(origin.len()) / 8)?;
        match column.data_type() {
            DataType::Utf8 => self.for_values(column.as_string::<i32>().offsets(), origin),
            DataType::Binary => self.for_values(column.as_binary::<i32>().offsets(), origin),
            _ => Ok(()),
        }
    }

    fn for_values(
        &mut self,
        offsets: &OffsetBuffer<i32>,
        origin: &UInt32Array,
    ) -> Result<(), String> {
        let rows = origin.values().iter().map(|row| *row as usize);
        let bytes: usize = rows
            .map(|row| (offsets[row + 1] - offsets[row]) as usize)
            .sum();
        self.take(bytes)
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            format!(
                "its rows would take more than {}, and one call may return no more",
                size(self.most as u64)
            )
        })?;
        Ok(())
    }
}

/// What a row takes at least, whatever it holds.
fn bits(layout: &DataType) -> usize {
    match layout {
        DataType::Null => 0,
        DataType::Boolean => 1,
        DataType::Utf8 | DataType::Binary => 32,
        DataType::FixedSizeBinary(bytes) => 8 * *bytes as usize,
        DataType::FixedSizeList(item, n) => bits(item.data_type()) * *n as usize,
        other => other.primitive_width().map_or(64, |bytes| 8 * bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use dkhost_core::LogicalType;
    use std::sync::Arc;

    fn room(bytes: usize) -> Room {
        Room::of(&Limits {
            output_bytes: bytes,
            ..Limits::default()
        })
    }

    #[test]
    fn repeated_rows_are_counted_by_what_they_hold() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["", "abcd"]));
        let origin = UInt32Array::from(vec![0, 1, 1, 1]);
        // An offset of 4 bytes a row and three times the long one.
        assert!(room(28).for_rows(&text, &origin).is_ok());
        assert!(room(27).for_rows(&text, &origin).is_err());
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let mut both = room(60);
        both.for_rows(&text, &origin).unwrap();
        both.for_rows(&numbers, &origin).unwrap();
        assert!(both.for_rows(&numbers, &origin).is_err());
    }

    #[test]
    fn nulls_of_a_wide_type_are_counted_before_they_are_made() {
        let vector = LogicalType::Vector(65_536).arrow();
        assert!(room(1 << 20).for_nulls(&vector, 4).is_ok());
        let why = room(1 << 20).for_nulls(&vector, 5).unwrap_err();
        assert!(why.contains("more than 1 MiB"), "{why}");
        assert!(room(1).for_nulls(&DataType::Null, usize::MAX).is_ok());
        assert!(room(1).for_nulls(&vector, usize::MAX).is_err());
    }
}
