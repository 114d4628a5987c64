//! Columns as they come in: views over the host's bytes, nothing copied.
//!
//! A [`Batch`] has one [`View`] for each column the plan reads. Typed views (`batch.text(…)`,
//! `batch.fixed::<i64>(…)`) are the fast path; [`View::get`] gives any value as a [`Value`].

use std::borrow::Cow;

use crate::errors::Failure;
use crate::plan::Read;
use crate::types::Type;
use crate::value::Value;
use crate::wit::columnar as raw;

/// A fixed-width value in little-endian bytes.
pub trait Native: Copy + PartialEq + sealed::Sealed {
    #[doc(hidden)]
    type Bytes: AsRef<[u8]>;
    #[doc(hidden)]
    const WIDTH: usize;
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Option<Self>;
    #[doc(hidden)]
    fn bytes(self) -> Self::Bytes;
    /// Whether columns of type `ty` hold values like this.
    fn fits(ty: &Type) -> bool;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! native {
    ($($native:ty: $fits:pat,)*) => {$(
        impl sealed::Sealed for $native {}
        impl Native for $native {
            type Bytes = [u8; size_of::<$native>()];
            const WIDTH: usize = size_of::<$native>();
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(<$native>::from_le_bytes(bytes.try_into().ok()?))
            }
            #[inline]
            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            fn fits(ty: &Type) -> bool {
                matches!(ty, $fits)
            }
        }
    )*};
}

native! {
    i32: Type::Int32 | Type::Date32,
    i64: Type::Int64 | Type::Time64 | Type::Timestamp(_),
    u64: Type::UInt64,
    f32: Type::Float32,
    f64: Type::Float64,
    i128: Type::Decimal(..),
}

impl sealed::Sealed for [u8; 16] {}
impl Native for [u8; 16] {
    type Bytes = [u8; 16];
    const WIDTH: usize = 16;
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
    fn bytes(self) -> [u8; 16] {
        self
    }
    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::Uuid)
    }
}

#[inline]
fn bit(bytes: &[u8], row: usize) -> bool {
    bytes
        .get(row / 8)
        .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// Which rows are there.
#[derive(Debug, Clone, Copy)]
struct Validity<'a>(&'a [u8]);

impl Validity<'_> {
    #[inline]
    fn is_null(self, row: usize) -> bool {
        !self.0.is_empty() && !bit(self.0, row)
    }
}

/// A column of text: utf8, json or number.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    text: &'a str,
    offsets: &'a [u8],
    validity: Validity<'a>,
}

impl<'a> Text<'a> {
    /// The text of `row`; `None` when it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self.validity.is_null(row) {
            true => None,
            false => range(self.offsets, row).and_then(|range| self.text.get(range)),
        }
    }

    /// Every row's text, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let text = *self;
        let (offsets, _) = text.offsets.as_chunks::<4>();
        let offset = |at: &[u8; 4]| i32::from_le_bytes(*at) as usize;
        let mut start = offsets.first().map_or(0, offset);
        let ends = offsets.iter().skip(1).enumerate();
        ends.map(move |(row, end)| {
            let range = std::mem::replace(&mut start, offset(end))..offset(end);
            match text.validity.is_null(row) {
                true => None,
                false => text.text.get(range),
            }
        })
    }

    /// How many bytes all rows' texts have together: a capacity for what is made of them.
    pub fn len_bytes(&self) -> usize {
        self.text.len()
    }
}

/// A column of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    data: &'a [u8],
    offsets: &'a [u8],
    validity: Validity<'a>,
}

impl<'a> Bytes<'a> {
    /// The bytes of `row`; `None` when it is null.
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self.validity.is_null(row) {
            true => None,
            false => range(self.offsets, row).and_then(|range| self.data.get(range)),
        }
    }
}

#[inline]
fn range(offsets: &[u8], row: usize) -> Option<std::ops::Range<usize>> {
    let pair = offsets.get(row * 4..row * 4 + 8)?;
    let start = i32::from_le_bytes(pair[..4].try_into().ok()?);
    let end = i32::from_le_bytes(pair[4..].try_into().ok()?);
    Some(start as usize..end as usize)
}

/// A column of fixed-width values.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a, T> {
    data: &'a [u8],
    validity: Validity<'a>,
    native: std::marker::PhantomData<T>,
}

impl<T: Native> Fixed<'_, T> {
    /// The value of `row`; `None` when it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T> {
        match self.validity.is_null(row) {
            true => None,
            false => T::read(self.data.get(row * T::WIDTH..(row + 1) * T::WIDTH)?),
        }
    }
}

/// A column of booleans.
#[derive(Debug, Clone, Copy)]
pub struct Bools<'a> {
    data: &'a [u8],
    validity: Validity<'a>,
}

impl Bools<'_> {
    /// The value of `row`; `None` when it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<bool> {
        (!self.validity.is_null(row)).then(|| bit(self.data, row))
    }
}

/// A column that is read, with its type.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    ty: &'a Type,
    data: &'a [u8],
    /// The same as text, checked once for the whole column; empty for other types.
    text: &'a str,
    offsets: &'a [u8],
    validity: Validity<'a>,
}

impl<'a> View<'a> {
    fn new(ty: &'a Type, column: &'a raw::Column) -> Result<Self, Failure> {
        let text = match ty.is_text() {
            true => std::str::from_utf8(&column.data)
                .map_err(|_| Failure::internal("the host sent text that is not UTF-8"))?,
            false => "",
        };
        Ok(View {
            ty,
            data: &column.data,
            text,
            offsets: &column.offsets,
            validity: Validity(&column.validity),
        })
    }

    /// The column's type.
    pub fn ty(&self) -> &'a Type {
        self.ty
    }

    /// Whether `row` is null.
    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.ty, Type::Null) || self.validity.is_null(row)
    }

    /// As text, if it is utf8, json or number.
    #[inline]
    pub fn text(&self) -> Option<Text<'a>> {
        self.ty.is_text().then_some(Text {
            text: self.text,
            offsets: self.offsets,
            validity: self.validity,
        })
    }

    /// As bytes, if it is binary or text.
    pub fn bytes(&self) -> Option<Bytes<'a>> {
        let is_bytes = self.ty.is_text() || matches!(self.ty, Type::Binary);
        is_bytes.then_some(Bytes {
            data: self.data,
            offsets: self.offsets,
            validity: self.validity,
        })
    }

    /// As booleans, if it is that.
    pub fn bools(&self) -> Option<Bools<'a>> {
        matches!(self.ty, Type::Boolean).then_some(Bools {
            data: self.data,
            validity: self.validity,
        })
    }

    /// As fixed-width values, if it holds values of `T`.
    #[inline]
    pub fn fixed<T: Native>(&self) -> Option<Fixed<'a, T>> {
        let fixed = Fixed {
            data: self.data,
            validity: self.validity,
            native: std::marker::PhantomData,
        };
        T::fits(self.ty).then_some(fixed)
    }

    /// The value of `row`, whatever its type.
    pub fn get(&self, row: usize) -> Value<'a> {
        if self.is_null(row) {
            return Value::Null;
        }
        let value = match self.ty {
            Type::Utf8 | Type::Json | Type::Number => self
                .text()
                .and_then(|t| t.get(row))
                .map(|t| Value::Text(Cow::Borrowed(t))),
            Type::Binary => self
                .bytes()
                .and_then(|b| b.get(row))
                .map(|b| Value::Bytes(Cow::Borrowed(b))),
            Type::Boolean => self.bools().and_then(|b| b.get(row)).map(Value::Bool),
            Type::Int32 | Type::Date32 => self
                .fixed::<i32>()
                .and_then(|f| f.get(row))
                .map(|v| Value::Int(v.into())),
            Type::Int64 | Type::Time64 | Type::Timestamp(_) => {
                self.fixed::<i64>().and_then(|f| f.get(row)).map(Value::Int)
            }
            Type::UInt64 => self
                .fixed::<u64>()
                .and_then(|f| f.get(row))
                .map(Value::UInt),
            Type::Float32 => self
                .fixed::<f32>()
                .and_then(|f| f.get(row))
                .map(|v| Value::Float(v.into())),
            Type::Float64 => self
                .fixed::<f64>()
                .and_then(|f| f.get(row))
                .map(Value::Float),
            Type::Decimal(..) => self
                .fixed::<i128>()
                .and_then(|f| f.get(row))
                .map(Value::Decimal),
            Type::Uuid => self
                .fixed::<[u8; 16]>()
                .and_then(|f| f.get(row))
                .map(Value::Uuid),
            Type::Vector(n) => {
                let width = *n as usize * 4;
                self.data
                    .get(row * width..(row + 1) * width)
                    .map(|bytes| Value::Vector(Cow::Borrowed(bytes)))
            }
            Type::Null | Type::Other(_) => None,
        };
        value.unwrap_or(Value::Null)
    }
}

/// The columns a plugin reads, some rows of them.
#[derive(Debug)]
pub struct Batch<'a> {
    rows: usize,
    views: Vec<View<'a>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(types: &'a [Type], raw: &'a raw::Batch) -> Result<Self, Failure> {
        if types.len() != raw.columns.len() {
            return Err(Failure::internal(
                "the host sent other columns than this plugin reads",
            ));
        }
        let views = types
            .iter()
            .zip(&raw.columns)
            .map(|(ty, column)| View::new(ty, column));
        Ok(Batch {
            rows: raw.rows as usize,
            views: views.collect::<Result<_, _>>()?,
        })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A column.
    #[inline]
    pub fn view(&self, read: impl Into<Read>) -> View<'a> {
        self.views[read.into().0]
    }

    /// A column of text: utf8, json or number.
    pub fn text(&self, read: impl Into<Read>) -> Result<Text<'a>, Failure> {
        let view = self.view(read);
        view.text().ok_or_else(|| mismatch(&view, "text"))
    }

    /// A column of bytes.
    pub fn bytes(&self, read: impl Into<Read>) -> Result<Bytes<'a>, Failure> {
        let view = self.view(read);
        view.bytes().ok_or_else(|| mismatch(&view, "bytes"))
    }

    /// A column of booleans.
    pub fn bools(&self, read: impl Into<Read>) -> Result<Bools<'a>, Failure> {
        let view = self.view(read);
        view.bools().ok_or_else(|| mismatch(&view, "booleans"))
    }

    /// A column of fixed-width values: `batch.fixed::<i64>(age)`.
    pub fn fixed<T: Native>(&self, read: impl Into<Read>) -> Result<Fixed<'a, T>, Failure> {
        let view = self.view(read);
        view.fixed()
            .ok_or_else(|| mismatch(&view, std::any::type_name::<T>()))
    }
}

fn mismatch(view: &View<'_>, wanted: &str) -> Failure {
    Failure::schema(format!("a column of type {} is read as {wanted}", view.ty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_in_order_and_nulls_as_none() {
        let offsets = [0i32, 3, 9, 9, 14].map(i32::to_le_bytes).concat();
        let text = Text {
            text: "Adahidden\u{fc}ber",
            offsets: &offsets,
            validity: Validity(&[0b1101]),
        };
        let all = [Some("Ada"), None, Some(""), Some("\u{fc}ber")];
        assert_eq!(text.iter().collect::<Vec<_>>(), all);
        assert_eq!([0, 1, 2, 3].map(|row| text.get(row)), all);
        assert_eq!(text.len_bytes(), 14);
        let nothing = Text {
            text: "",
            offsets: &[],
            validity: Validity(&[]),
        };
        assert_eq!(nothing.iter().count(), 0);
    }
}
