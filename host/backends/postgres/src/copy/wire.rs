//! The binary forms of values in a COPY stream, one for each layout of bytes.

#[cfg(test)]
use dkhost_core::LogicalType;

/// How a column's values look in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Also varchar, char(n), name, citext and enums, which all send their text.
    Text,
    /// Text of at most so many characters: the server would cut blanks beyond them silently.
    Varchar(u32),
    Bytea,
    Json,
    /// A version byte, then JSON text.
    Jsonb,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Uuid,
    Numeric,
    Oid,
    /// pgvector's.
    Vector,
    /// `real[]` of one dimension.
    Floats,
}

impl Wire {
    /// The type of a column that takes this form, such as one of a temporary table.
    ///
    /// `vector` is no type of every server, nor always found by this name; see
    /// [`crate::kind::Writing::stage`].
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Wire::Bool => "boolean",
            Wire::Int2 => "smallint",
            Wire::Int4 => "integer",
            Wire::Int8 => "bigint",
            Wire::Float4 => "real",
            Wire::Float8 => "double precision",
            Wire::Text | Wire::Varchar(_) => "text",
            Wire::Bytea => "bytea",
            Wire::Json => "json",
            Wire::Jsonb => "jsonb",
            Wire::Date => "date",
            Wire::Time => "time",
            Wire::Timestamp => "timestamp",
            Wire::Timestamptz => "timestamptz",
            Wire::Uuid => "uuid",
            Wire::Numeric => "numeric",
            Wire::Oid => "oid",
            Wire::Vector => "vector",
            Wire::Floats => "real[]",
        }
    }

    /// The form that every value of a type has, where its column asks for no other.
    #[cfg(test)]
    pub(crate) fn natural(logical: &LogicalType) -> Self {
        match logical {
            LogicalType::Null | LogicalType::Utf8 => Wire::Text,
            LogicalType::Boolean => Wire::Bool,
            LogicalType::Int32 => Wire::Int4,
            LogicalType::Int64 => Wire::Int8,
            LogicalType::UInt64 | LogicalType::Decimal(..) | LogicalType::Number => Wire::Numeric,
            LogicalType::Float32 => Wire::Float4,
            LogicalType::Float64 => Wire::Float8,
            LogicalType::Binary => Wire::Bytea,
            LogicalType::Json => Wire::Json,
            LogicalType::Date32 => Wire::Date,
            LogicalType::Time64 => Wire::Time,
            LogicalType::Timestamp(None) => Wire::Timestamp,
            LogicalType::Timestamp(Some(_)) => Wire::Timestamptz,
            LogicalType::Uuid => Wire::Uuid,
            LogicalType::Vector(_) => Wire::Floats,
        }
    }

    /// Bytes of a value without its length, where all have the same.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Wire::Bool => Some(1),
            Wire::Int2 => Some(2),
            Wire::Int4 | Wire::Float4 | Wire::Date | Wire::Oid => Some(4),
            Wire::Int8 | Wire::Float8 | Wire::Time | Wire::Timestamp | Wire::Timestamptz => Some(8),
            Wire::Uuid => Some(16),
            _ => None,
        }
    }
}
