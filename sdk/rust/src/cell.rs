//! What a field of a `#[derive(Row)]` struct may be: how it is read from a column and written back.

use std::borrow::Cow;

use crate::types::Type;
use crate::value::Value;
use crate::view::View;

/// A field of a row struct.
pub trait Cell<'a>: Sized {
    /// Whether it can be read from, and written to, a column of this type.
    fn fits(ty: &Type) -> bool;
    /// The type of a column that is added for it.
    fn ty() -> Type;
    /// Its value in `row`; `None` when that is null and this field cannot be.
    fn get(view: &View<'a>, row: usize) -> Option<Self>;
    /// Its value for the column it is written to.
    fn value(&self) -> Value<'_>;
    /// Whether it may be null.
    const NULLABLE: bool = false;
}

macro_rules! text {
    ($($cell:ty),*) => {$(
        impl<'a> Cell<'a> for $cell {
            fn fits(ty: &Type) -> bool {
                ty.is_text()
            }
            fn ty() -> Type {
                Type::Utf8
            }
            #[inline]
            fn get(view: &View<'a>, row: usize) -> Option<Self> {
                view.text()?.get(row).map(Into::into)
            }
            fn value(&self) -> Value<'_> {
                Value::Text(Cow::Borrowed(self.as_ref()))
            }
        }
    )*};
}

text!(&'a str, Cow<'a, str>, String);

macro_rules! bytes {
    ($($cell:ty),*) => {$(
        impl<'a> Cell<'a> for $cell {
            fn fits(ty: &Type) -> bool {
                matches!(ty, Type::Binary)
            }
            fn ty() -> Type {
                Type::Binary
            }
            fn get(view: &View<'a>, row: usize) -> Option<Self> {
                view.bytes()?.get(row).map(Into::into)
            }
            fn value(&self) -> Value<'_> {
                Value::Bytes(Cow::Borrowed(self.as_ref()))
            }
        }
    )*};
}

bytes!(&'a [u8], Cow<'a, [u8]>, Vec<u8>);

macro_rules! fixed {
    ($($cell:ty: $fits:pat => $ty:expr,)*) => {$(
        impl<'a> Cell<'a> for $cell {
            fn fits(ty: &Type) -> bool {
                matches!(ty, $fits)
            }
            fn ty() -> Type {
                $ty
            }
            #[inline]
            fn get(view: &View<'a>, row: usize) -> Option<Self> {
                view.fixed::<$cell>()?.get(row)
            }
            fn value(&self) -> Value<'_> {
                (*self).into()
            }
        }
    )*};
}

fixed! {
    i32: Type::Int32 | Type::Date32 => Type::Int32,
    i64: Type::Int64 | Type::Time64 | Type::Timestamp(_) => Type::Int64,
    u64: Type::UInt64 => Type::UInt64,
    f32: Type::Float32 => Type::Float32,
    f64: Type::Float64 => Type::Float64,
    i128: Type::Decimal(..) => Type::Decimal(38, 0),
    [u8; 16]: Type::Uuid => Type::Uuid,
}

impl<'a> Cell<'a> for bool {
    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::Boolean)
    }
    fn ty() -> Type {
        Type::Boolean
    }
    fn get(view: &View<'a>, row: usize) -> Option<Self> {
        view.bools()?.get(row)
    }
    fn value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl<'a, T: Cell<'a>> Cell<'a> for Option<T> {
    fn fits(ty: &Type) -> bool {
        T::fits(ty)
    }
    fn ty() -> Type {
        T::ty()
    }
    fn get(view: &View<'a>, row: usize) -> Option<Self> {
        Some(T::get(view, row))
    }
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::value)
    }
    const NULLABLE: bool = true;
}
