//! Ranges: bounds in the type of the column, both included.

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::{Error, LogicalType, Node, NodeKind, Result};
use dkhost_schema::constant::Constant;
use dkhost_schema::rule::Bounds;

use super::{Test, marks, native};

/// The rule `range`.
pub(super) fn between(range: &Bounds<Constant>, logical: &LogicalType) -> Result<Box<dyn Test>> {
    use LogicalType::*;
    match logical {
        Int32 => Between::<Int32Type>::boxed(range, logical),
        Int64 => Between::<Int64Type>::boxed(range, logical),
        UInt64 => Between::<UInt64Type>::boxed(range, logical),
        Float32 => Between::<Float32Type>::boxed(range, logical),
        Float64 => Between::<Float64Type>::boxed(range, logical),
        Date32 => Between::<Date32Type>::boxed(range, logical),
        Time64 => Between::<Time64MicrosecondType>::boxed(range, logical),
        Timestamp(_) => Between::<TimestampMicrosecondType>::boxed(range, logical),
        Decimal(..) => Between::<Decimal128Type>::boxed(range, logical),
        Number => Ok(Box::new(NumberBetween {
            min: range.min.clone().map(Pole::of),
            max: range.max.clone().map(Pole::of),
        })),
        _ => Err(Error::bug(format!("{logical} has no order"))),
    }
}

struct Between<T: ArrowPrimitiveType> {
    min: Option<T::Native>,
    max: Option<T::Native>,
}

impl<T: ArrowPrimitiveType> Between<T> {
    fn boxed(range: &Bounds<Constant>, logical: &LogicalType) -> Result<Box<dyn Test>> {
        let value = |bound: &Option<Constant>| -> Result<Option<T::Native>> {
            let Some(bound) = bound else { return Ok(None) };
            Ok(Some(native([bound], logical)?.as_primitive::<T>().value(0)))
        };
        Ok(Box::new(Between::<T> {
            min: value(&range.min)?,
            max: value(&range.max)?,
        }))
    }
}

impl<T: ArrowPrimitiveType> Test for Between<T> {
    // NaN compares with nothing, so it is asked whether a value is within, never whether it is not.
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let array: &PrimitiveArray<T> = column.as_primitive();
        let values = array.values();
        match (self.min, self.max) {
            (Some(min), Some(max)) => marks(array, |row| !(min..=max).contains(&values[row])),
            (Some(min), None) => marks(array, |row| !(min..).contains(&values[row])),
            (None, Some(max)) => marks(array, |row| !(..=max).contains(&values[row])),
            (None, None) => None,
        }
    }
}

/// A bound of numbers of any size.
struct Pole {
    exact: Constant,
    /// The nearest float: enough for values that are not next to it.
    near: f64,
}

impl Pole {
    fn of(exact: Constant) -> Self {
        let near = exact.text().parse().unwrap_or(f64::NAN);
        Pole { exact, near }
    }

    fn order(&self, text: &str) -> std::cmp::Ordering {
        use std::cmp::Ordering::Equal;
        let near = text.parse::<f64>().unwrap_or(f64::NAN);
        match near.partial_cmp(&self.near) {
            // Rounding keeps the order, but it may bring two numbers together.
            None | Some(Equal) => {
                let value = NodeKind::Text(text.to_owned());
                let logical = LogicalType::Number;
                Constant::read(&Node::new(value), "value", &logical)
                    .ok()
                    .and_then(|value| value.order(&self.exact, &logical))
                    .unwrap_or(Equal)
            }
            Some(order) => order,
        }
    }
}

struct NumberBetween {
    min: Option<Pole>,
    max: Option<Pole>,
}

impl Test for NumberBetween {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        marks(texts, |row| {
            let text = texts.value(row);
            self.min.as_ref().is_some_and(|min| min.order(text).is_lt())
                || self.max.as_ref().is_some_and(|max| max.order(text).is_gt())
        })
    }
}
