//! Whether the rows of a batch all have different keys.
//!
//! Where they do, nothing is folded, and the server need not sort and hold the rows to find that
//! out: here it costs a look at keys that are at hand.

use std::collections::HashSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use dkhost_core::content::row_hashes;
use dkhost_core::{LogicalType, Result};

use super::columns::Held;

/// Whether the column's values differ for the server whenever they differ here, and are the same
/// for it whenever they are the same here.
pub(super) fn are_told_apart(held: &Held) -> bool {
    held.is_direct()
        && held.equal_is_same
        && held.writing.rounded.is_none()
        && is_plain(&held.field.logical)
}

/// Whether a value that was changed is seen by comparing it, at next to no cost.
pub(super) fn is_quickly_compared(held: &Held) -> bool {
    held.is_direct()
        && is_plain(&held.field.logical)
        && !matches!(held.field.logical, LogicalType::Utf8)
}

fn is_plain(logical: &LogicalType) -> bool {
    matches!(
        logical,
        LogicalType::Boolean
            | LogicalType::Int32
            | LogicalType::Int64
            | LogicalType::Utf8
            | LogicalType::Date32
            | LogicalType::Timestamp(_)
            | LogicalType::Uuid
    )
}

/// Whether no two rows of `keys` are equal. Rows that only seem to be are of no harm.
pub(super) fn are_apart(keys: &RecordBatch) -> Result<bool> {
    if is_rising(keys) {
        return Ok(true);
    }
    let mut seen = HashSet::with_capacity(keys.num_rows());
    Ok(row_hashes(keys)?.into_iter().all(|hash| seen.insert(hash)))
}

/// Whether the rows come in the order of one number, as most sources send them.
fn is_rising(keys: &RecordBatch) -> bool {
    let [column] = keys.columns() else {
        return false;
    };
    let numbers = column.as_primitive_opt::<Int64Type>();
    numbers.is_some_and(|numbers| {
        column.null_count() == 0 && numbers.values().windows(2).all(|pair| pair[0] < pair[1])
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn keys(columns: &[ArrayRef]) -> RecordBatch {
        let named = ["a", "b"].into_iter().zip(columns.iter().cloned());
        RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn numbers(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn keys_are_apart_unless_two_are_equal() {
        let cases: [(&[ArrayRef], bool); 7] = [
            (&[numbers(&[])], true),
            (&[numbers(&[Some(1), Some(2), Some(9)])], true),
            (&[numbers(&[Some(2), Some(1), Some(9)])], true),
            (&[numbers(&[Some(2), Some(1), Some(2)])], false),
            (&[numbers(&[Some(1), None, None])], false),
            (&[texts(&["a", "A", "a "])], true),
            (&[numbers(&[Some(1), Some(1)]), texts(&["a", "b"])], true),
        ];
        for (columns, apart) in cases {
            assert_eq!(are_apart(&keys(columns)).unwrap(), apart, "{columns:?}");
        }
    }
}
