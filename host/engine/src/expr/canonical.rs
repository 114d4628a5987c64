//! From whatever type an expression computes to one of dkhost's, without changing a value.
//!
//! Small integers widen, views and dictionaries become plain, nanoseconds become microseconds
//! where that is exact. What would change is a fault of its row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit};
use dkhost_core::LogicalType;

use super::fault::Fault;

/// The type a computed layout becomes.
///
/// *Errors* – a sentence, for results that cannot be a column.
pub(crate) fn canonical_type(layout: &DataType) -> Result<LogicalType, String> {
    use DataType::*;
    match layout {
        Timestamp(TimeUnit::Nanosecond, zone) => Ok(LogicalType::Timestamp(zone.clone())),
        Time64(TimeUnit::Nanosecond) => Ok(LogicalType::Time64),
        List(_) | LargeList(_) | ListView(_) | LargeListView(_) => {
            Err("a list; take one element of it, or join it with array_to_string".to_owned())
        }
        FixedSizeList(item, _) if item.data_type() != &Float32 => {
            Err("a list; take one element of it, or join it with array_to_string".to_owned())
        }
        Struct(_) | Map(..) => Err("a structure; take one field of it".to_owned()),
        Interval(_) | Duration(_) => {
            Err("a length of time, which no column holds; add it to a date or timestamp".to_owned())
        }
        Decimal256(..) => {
            Err("a decimal of more than 38 digits; cast it to a smaller one".to_owned())
        }
        other => {
            LogicalType::widened(other).ok_or_else(|| format!("{other}, which no column holds"))
        }
    }
}

/// Brings a computed array to `logical`'s layout.
pub(crate) fn canonical(values: ArrayRef, logical: &LogicalType) -> Result<ArrayRef, Fault> {
    let layout = logical.arrow();
    let values = match values.data_type() {
        same if *same == layout => values,
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => {
            whole_microseconds(&values)?;
            cast_with_options(&values, &layout, &STRICT)?
        }
        _ => cast_with_options(&values, &layout, &STRICT)?,
    };
    // Arrow's decimal kernels check 128 bits, not the digits the type promises.
    if let DataType::Decimal128(precision, _) = values.data_type() {
        values
            .as_primitive::<Decimal128Type>()
            .validate_decimal_precision(*precision)?;
    }
    Ok(values)
}

const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

fn whole_microseconds(values: &ArrayRef) -> Result<(), Fault> {
    let plain = arrow::compute::cast(values, &DataType::Int64)?;
    let plain = plain.as_primitive::<Int64Type>();
    match plain.iter().flatten().find(|nanos| nanos % 1000 != 0) {
        Some(_) => Err(Fault::data(
            "a time has nanoseconds, which would be lost; use date_trunc('microsecond', …)",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, TimestampNanosecondArray};

    use super::*;

    #[test]
    fn nanoseconds_become_microseconds_only_if_nothing_is_lost() {
        let type_of = |unit| canonical_type(&DataType::Timestamp(unit, None)).unwrap();
        let logical = type_of(TimeUnit::Nanosecond);
        let exact = canonical(
            Arc::new(TimestampNanosecondArray::from(vec![1_000, -2_000])),
            &logical,
        );
        assert_eq!(exact.unwrap().data_type(), &logical.arrow());
        let inexact = canonical(
            Arc::new(TimestampNanosecondArray::from(vec![1_001])),
            &logical,
        );
        assert!(inexact.unwrap_err().by_data);
    }

    #[test]
    fn a_decimal_beyond_its_digits_is_a_fault() {
        let sum = Decimal128Array::from(vec![10_000])
            .with_precision_and_scale(38, 2)
            .unwrap();
        let sum: ArrayRef = Arc::new(sum);
        assert!(canonical(sum.clone(), &LogicalType::Decimal(38, 2)).is_ok());
        let data = sum
            .to_data()
            .into_builder()
            .data_type(DataType::Decimal128(4, 2));
        let narrow = arrow::array::make_array(data.build().unwrap());
        assert!(
            canonical(narrow, &LogicalType::Decimal(4, 2))
                .unwrap_err()
                .by_data
        );
    }
}
