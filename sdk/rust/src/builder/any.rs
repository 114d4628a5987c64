//! A builder for a type that is known only at run time: it takes any value and says whether it fits.

use super::{BoolBuilder, Built, BytesBuilder, FixedBuilder, TextBuilder, VectorBuilder};
use crate::types::Type;
use crate::value::Value;
use crate::wit::columnar as raw;

/// Builds a column whose type is known only when the plugin is opened.
#[derive(Debug, Clone)]
pub enum AnyBuilder {
    /// null.
    Null(usize),
    /// boolean.
    Bool(BoolBuilder),
    /// int32, date32.
    I32(FixedBuilder<i32>),
    /// int64, time64, timestamp.
    I64(FixedBuilder<i64>),
    /// uint64.
    U64(FixedBuilder<u64>),
    /// float32.
    F32(FixedBuilder<f32>),
    /// float64.
    F64(FixedBuilder<f64>),
    /// decimal.
    Decimal(FixedBuilder<i128>),
    /// uuid.
    Uuid(FixedBuilder<[u8; 16]>),
    /// utf8, json, number.
    Text(TextBuilder),
    /// binary.
    Bytes(BytesBuilder),
    /// vector.
    Vector(VectorBuilder),
}

impl AnyBuilder {
    /// A builder for columns of type `ty`; `None` for types of a newer contract.
    pub fn new(ty: &Type, rows: usize) -> Option<AnyBuilder> {
        Some(match ty {
            Type::Null => AnyBuilder::Null(0),
            Type::Boolean => AnyBuilder::Bool(BoolBuilder::default()),
            Type::Int32 | Type::Date32 => AnyBuilder::I32(FixedBuilder::with_capacity(rows)),
            Type::Int64 | Type::Time64 | Type::Timestamp(_) => {
                AnyBuilder::I64(FixedBuilder::with_capacity(rows))
            }
            Type::UInt64 => AnyBuilder::U64(FixedBuilder::with_capacity(rows)),
            Type::Float32 => AnyBuilder::F32(FixedBuilder::with_capacity(rows)),
            Type::Float64 => AnyBuilder::F64(FixedBuilder::with_capacity(rows)),
            Type::Decimal(..) => AnyBuilder::Decimal(FixedBuilder::with_capacity(rows)),
            Type::Uuid => AnyBuilder::Uuid(FixedBuilder::with_capacity(rows)),
            Type::Utf8 | Type::Json | Type::Number => {
                AnyBuilder::Text(TextBuilder::with_capacity(rows, rows * 16))
            }
            Type::Binary => AnyBuilder::Bytes(BytesBuilder::with_capacity(rows, rows * 16)),
            Type::Vector(n) => AnyBuilder::Vector(VectorBuilder::new(*n)),
            Type::Other(_) => return None,
        })
    }

    /// Appends a value; `false` (and a null instead) when the type cannot hold it.
    pub fn push(&mut self, value: &Value<'_>) -> bool {
        macro_rules! put {
            ($builder:expr, $value:expr) => {{
                let value = $value;
                $builder.push_option(value);
                value.is_some()
            }};
        }
        match (self, value) {
            (AnyBuilder::Null(rows), value) => {
                *rows += 1;
                value.is_null()
            }
            (builder, Value::Null) => {
                builder.push_null();
                true
            }
            (AnyBuilder::Bool(b), Value::Bool(value)) => {
                b.push(Some(*value));
                true
            }
            (AnyBuilder::I32(b), value) => {
                put!(b, value.as_i64().and_then(|v| i32::try_from(v).ok()))
            }
            (AnyBuilder::I64(b), value) => put!(b, value.as_i64()),
            (AnyBuilder::U64(b), Value::UInt(value)) => put!(b, Some(*value)),
            (AnyBuilder::U64(b), Value::Int(value)) => put!(b, u64::try_from(*value).ok()),
            (AnyBuilder::F32(b), Value::Float(value)) => put!(b, Some(*value as f32)),
            (AnyBuilder::F64(b), value) => put!(b, value.as_f64()),
            (AnyBuilder::Decimal(b), Value::Decimal(value)) => put!(b, Some(*value)),
            (AnyBuilder::Uuid(b), Value::Uuid(value)) => put!(b, Some(*value)),
            (AnyBuilder::Text(b), Value::Text(text)) => {
                b.push(text);
                true
            }
            (AnyBuilder::Bytes(b), Value::Bytes(bytes)) => {
                b.push(Some(bytes));
                true
            }
            (AnyBuilder::Vector(b), Value::Vector(bytes)) => b.push(Some(bytes)),
            (builder, _) => {
                builder.push_null();
                false
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            AnyBuilder::Null(rows) => *rows += 1,
            AnyBuilder::Bool(b) => b.push(None),
            AnyBuilder::I32(b) => b.push_null(),
            AnyBuilder::I64(b) => b.push_null(),
            AnyBuilder::U64(b) => b.push_null(),
            AnyBuilder::F32(b) => b.push_null(),
            AnyBuilder::F64(b) => b.push_null(),
            AnyBuilder::Decimal(b) => b.push_null(),
            AnyBuilder::Uuid(b) => b.push_null(),
            AnyBuilder::Text(b) => b.push_null(),
            AnyBuilder::Bytes(b) => b.push(None),
            AnyBuilder::Vector(b) => {
                b.push(None);
            }
        }
    }
}

impl From<AnyBuilder> for Built {
    fn from(any: AnyBuilder) -> Built {
        match any {
            AnyBuilder::Null(rows) => {
                let column = raw::Column {
                    data: Vec::new(),
                    offsets: Vec::new(),
                    validity: Vec::new(),
                };
                Built { rows, column }
            }
            AnyBuilder::Bool(b) => b.into(),
            AnyBuilder::I32(b) => b.into(),
            AnyBuilder::I64(b) => b.into(),
            AnyBuilder::U64(b) => b.into(),
            AnyBuilder::F32(b) => b.into(),
            AnyBuilder::F64(b) => b.into(),
            AnyBuilder::Decimal(b) => b.into(),
            AnyBuilder::Uuid(b) => b.into(),
            AnyBuilder::Text(b) => b.into(),
            AnyBuilder::Bytes(b) => b.into(),
            AnyBuilder::Vector(b) => b.into(),
        }
    }
}
