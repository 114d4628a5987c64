//! Lists of the only values there may be: by value, however that is spelled.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::{LogicalType, Result};
use dkhost_schema::constant::Constant;

use super::super::number::{canonical, plain};
use super::{Test, marks, native};

/// The rule `one_of`.
pub(super) fn among(list: &[Constant], logical: &LogicalType) -> Result<Box<dyn Test>> {
    use LogicalType::*;
    let allowed = native(list, logical)?;
    Ok(match logical {
        Int32 => Among::<Int32Type>::boxed(&allowed),
        Int64 => Among::<Int64Type>::boxed(&allowed),
        UInt64 => Among::<UInt64Type>::boxed(&allowed),
        Float32 => Among::<Float32Type>::boxed(&allowed),
        Float64 => Among::<Float64Type>::boxed(&allowed),
        Date32 => Among::<Date32Type>::boxed(&allowed),
        Time64 => Among::<Time64MicrosecondType>::boxed(&allowed),
        Timestamp(_) => Among::<TimestampMicrosecondType>::boxed(&allowed),
        Decimal(..) => Among::<Decimal128Type>::boxed(&allowed),
        Utf8 => {
            let texts = list.iter().map(|one| one.text().to_owned());
            Box::new(Texts::of(texts.collect()))
        }
        Number => {
            let texts = list.iter().map(|one| plain(one.text()).into_owned());
            Box::new(Numbers(Texts::of(texts.collect())))
        }
        _ => Box::new(Anything(allowed)),
    })
}

/// A list this long is looked through faster than it is looked up in.
const FEW: usize = 8;

struct Among<T: ArrowPrimitiveType> {
    /// Ascending, without NaN.
    allowed: Vec<T::Native>,
    nan: bool,
}

impl<T: ArrowPrimitiveType> Among<T> {
    fn boxed(allowed: &ArrayRef) -> Box<dyn Test> {
        let is_nan = |value: &T::Native| value.partial_cmp(value).is_none();
        let all = allowed.as_primitive::<T>().values();
        let mut allowed: Vec<T::Native> = all.iter().copied().filter(|one| !is_nan(one)).collect();
        allowed.sort_by(|one, two| one.partial_cmp(two).unwrap_or(std::cmp::Ordering::Equal));
        Box::new(Among::<T> {
            nan: allowed.len() < all.len(),
            allowed,
        })
    }

    fn holds(&self, value: T::Native) -> bool {
        let found = match self.allowed.len() {
            ..FEW => self.allowed.contains(&value),
            _ => {
                let order =
                    |one: &T::Native| one.partial_cmp(&value).unwrap_or(std::cmp::Ordering::Less);
                self.allowed.binary_search_by(order).is_ok()
            }
        };
        found || (self.nan && value.partial_cmp(&value).is_none())
    }
}

impl<T: ArrowPrimitiveType> Test for Among<T> {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let array: &PrimitiveArray<T> = column.as_primitive();
        let values = array.values();
        marks(array, |row| !self.holds(values[row]))
    }
}

struct Texts {
    few: Vec<String>,
    many: HashSet<String>,
}

impl Texts {
    fn of(texts: Vec<String>) -> Self {
        match texts.len() {
            ..FEW => Texts {
                few: texts,
                many: HashSet::new(),
            },
            _ => Texts {
                few: Vec::new(),
                many: texts.into_iter().collect(),
            },
        }
    }

    fn broken(&self, texts: &StringArray) -> Option<BooleanBuffer> {
        let holds = |text: &str| match self.many.is_empty() {
            true => self.few.iter().any(|one| one == text),
            false => self.many.contains(text),
        };
        marks(texts, |row| !holds(texts.value(row)))
    }
}

impl Test for Texts {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        Texts::broken(self, column.as_string())
    }
}

struct Numbers(Texts);

impl Test for Numbers {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let plain = canonical(column, &LogicalType::Number);
        self.0.broken(plain.as_string())
    }
}

/// Values of the types few lists are of: truth values, bytes, uuids, vectors.
struct Anything(ArrayRef);

impl Test for Anything {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let holds = |row: usize| {
            let value = column.slice(row, 1);
            (0..self.0.len()).any(|one| *value == *self.0.slice(one, 1))
        };
        marks(column, |row| !holds(row))
    }
}
