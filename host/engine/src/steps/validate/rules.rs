//! The rules of a field, compiled for columns: each is one pass that marks the rows breaking it.
//!
//! Bounds and lists are brought to the column's own type once; a pass allocates nothing but its
//! marks, one bit a row, and those only stay where a row is marked.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use dkhost_core::text::Appender;
use dkhost_core::{Error, LogicalType, Result};
use dkhost_schema::constant::Constant;
use dkhost_schema::rule::{Bounds, Rules, shown as listed};
use regex::Regex;

use super::number::{canonical, plain};
use super::violations::cut;
use crate::expr::convert::value_text;

/// One rule of a field.
pub(super) struct Rule {
    /// The code of its violations.
    pub(super) code: &'static str,
    test: Box<dyn Test>,
    says: Says,
}

/// Marks the rows of a column that break a rule.
trait Test: Send + Sync {
    /// `None` when no row does. Nulls never do.
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer>;
}

/// What a violation says besides the value.
enum Says {
    Range(Bounds<Constant>),
    Length(Bounds<u64>),
    Pattern(String),
    OneOf(String),
    NotEmpty,
}

impl Rule {
    /// The rules of a field but `required` and `unique`, in the order they are told.
    ///
    /// *Errors* – none for what the schema file was checked for.
    pub(super) fn compile(rules: &Rules, logical: &LogicalType) -> Result<Vec<Rule>> {
        let mut compiled = Vec::new();
        let mut add = |code, test, says| compiled.push(Rule { code, test, says });
        if let Some(range) = &rules.range {
            add(
                "schema::range",
                between(range, logical)?,
                Says::Range(range.clone()),
            );
        }
        if let Some(length) = &rules.length {
            let test = Length {
                min: length.min.unwrap_or(0),
                max: length.max.unwrap_or(u64::MAX),
            };
            add(
                "schema::length",
                Box::new(test),
                Says::Length(length.clone()),
            );
        }
        if let Some(pattern) = &rules.pattern {
            let regex = Regex::new(pattern.text())
                .map_err(|cause| Error::bug("a pattern was none after all").caused_by(cause))?;
            let says = Says::Pattern(pattern.text().to_owned());
            add("schema::pattern", Box::new(Matches(regex)), says);
        }
        if !rules.one_of.is_empty() {
            let says = Says::OneOf(listed(&rules.one_of));
            add("schema::one_of", among(&rules.one_of, logical)?, says);
        }
        if rules.not_empty {
            add("schema::not_empty", Box::new(NotEmpty), Says::NotEmpty);
        }
        Ok(compiled)
    }

    /// Marks the rows that break it; `None` when no row does.
    pub(super) fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        if column.null_count() == column.len() {
            return None;
        }
        self.test.broken(column)
    }

    /// What is wrong with a row that breaks it.
    pub(super) fn text(
        &self,
        name: &str,
        column: &ArrayRef,
        row: usize,
        of: &LogicalType,
    ) -> String {
        let value = value_text(column, row, of);
        match &self.says {
            Says::Range(Bounds {
                min: Some(min),
                max: None,
            }) => {
                format!("`{name}` is {value}, less than {min}")
            }
            Says::Range(Bounds {
                min: None,
                max: Some(max),
            }) => {
                format!("`{name}` is {value}, more than {max}")
            }
            Says::Range(range) => format!("`{name}` is {value}, not in {range}"),
            Says::Length(length) => {
                let characters = column.as_string::<i32>().value(row).chars().count();
                let wanted = match length {
                    Bounds {
                        min: Some(min),
                        max: None,
                    } => format!("fewer than {min}"),
                    Bounds {
                        min: None,
                        max: Some(max),
                    } => format!("more than {max}"),
                    both => format!("not {both}"),
                };
                format!("`{name}` is {value}, which has {characters} characters, {wanted}")
            }
            Says::Pattern(pattern) => {
                format!("`{name}` is {value}, which does not match {}", cut(pattern))
            }
            Says::OneOf(list) => format!("`{name}` is {value}, not one of {}", cut(list)),
            Says::NotEmpty => format!("`{name}` is {value}, which is empty"),
        }
    }
}

/// Marks of the rows that have a value and are `bad`; `None` when there are none.
fn marks(column: &dyn Array, mut bad: impl FnMut(usize) -> bool) -> Option<BooleanBuffer> {
    let marks = match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => BooleanBuffer::collect_bool(column.len(), bad),
        Some(nulls) => {
            BooleanBuffer::collect_bool(column.len(), |row| nulls.is_valid(row) && bad(row))
        }
    };
    (marks.count_set_bits() > 0).then_some(marks)
}

/// The constants as a column of their type.
pub(super) fn native<'a>(
    constants: impl IntoIterator<Item = &'a Constant>,
    logical: &LogicalType,
) -> Result<ArrayRef> {
    let mut column = Appender::new(logical);
    for constant in constants {
        if !column.append(constant.text()) {
            return Err(Error::bug(format!(
                "`{constant}` is no {logical} after all"
            )));
        }
    }
    column.finish()
}

fn between(range: &Bounds<Constant>, logical: &LogicalType) -> Result<Box<dyn Test>> {
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
            (Some(min), Some(max)) => {
                marks(array, |row| !(min <= values[row] && values[row] <= max))
            }
            (Some(min), None) => marks(array, |row| !(min <= values[row])),
            (None, Some(max)) => marks(array, |row| !(values[row] <= max)),
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
                let value = dkhost_core::NodeKind::Text(text.to_owned());
                let logical = LogicalType::Number;
                Constant::read(&dkhost_core::Node::new(value), "value", &logical)
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

struct Length {
    min: u64,
    max: u64,
}

impl Length {
    fn admits(&self, characters: usize) -> bool {
        (self.min..=self.max).contains(&(characters as u64))
    }
}

impl Test for Length {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        let offsets = texts.value_offsets();
        let bytes = |row: usize| (offsets[row + 1] - offsets[row]) as usize;
        if texts.is_ascii() {
            return marks(texts, |row| !self.admits(bytes(row)));
        }
        marks(texts, |row| !self.admits(texts.value(row).chars().count()))
    }
}

struct Matches(Regex);

impl Test for Matches {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        marks(texts, |row| !self.0.is_match(texts.value(row)))
    }
}

struct NotEmpty;

impl Test for NotEmpty {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        let is_empty = |text: &str| match text.as_bytes().first() {
            // Most text begins with what it says.
            Some(b'!'..=b'~') => false,
            _ => text.trim().is_empty(),
        };
        marks(texts, |row| is_empty(texts.value(row)))
    }
}

fn among(list: &[Constant], logical: &LogicalType) -> Result<Box<dyn Test>> {
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
