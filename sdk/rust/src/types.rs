//! Columns by name and type: the schema a plugin is opened with and the one it promises.

use std::fmt;

use crate::wit::types as raw;

/// The type of a column, in the grammar of `wit/README.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Only nulls.
    Null,
    /// true or false.
    Boolean,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 64 bits.
    UInt64,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
    /// Text.
    Utf8,
    /// Bytes.
    Binary,
    /// JSON text of any value.
    Json,
    /// Days since 1970-01-01.
    Date32,
    /// Microseconds since midnight.
    Time64,
    /// Microseconds since 1970-01-01T00:00:00; with the zone it is shown in, if it is UTC inside.
    Timestamp(Option<String>),
    /// 16 bytes.
    Uuid,
    /// An exact number: precision and scale.
    Decimal(u8, i8),
    /// An exact number of any size, as text.
    Number,
    /// A fixed number of float32.
    Vector(u32),
    /// A type of a newer contract: carry it, do not touch it.
    Other(String),
}

impl Type {
    /// Reads a spelling of the grammar; what it does not know becomes [`Type::Other`].
    pub fn parse(text: &str) -> Type {
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end_matches(')')),
            None => (text.trim(), ""),
        };
        let mut arguments = arguments
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty());
        match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int32" => Type::Int32,
            "int64" => Type::Int64,
            "uint64" => Type::UInt64,
            "float32" => Type::Float32,
            "float64" => Type::Float64,
            "utf8" => Type::Utf8,
            "binary" => Type::Binary,
            "json" => Type::Json,
            "date32" => Type::Date32,
            "time64" => Type::Time64,
            "uuid" => Type::Uuid,
            "number" => Type::Number,
            "timestamp" => Type::Timestamp(arguments.find(|a| *a != "us").map(str::to_owned)),
            "decimal" => {
                let precision = arguments.next().and_then(|a| a.parse().ok());
                let scale = arguments.next().map_or(Some(0), |a| a.parse().ok());
                match (precision, scale) {
                    (Some(precision), Some(scale)) => Type::Decimal(precision, scale),
                    _ => Type::Other(text.to_owned()),
                }
            }
            "vector" => match arguments.next().and_then(|a| a.parse().ok()) {
                Some(n) => Type::Vector(n),
                None => Type::Other(text.to_owned()),
            },
            _ => Type::Other(text.to_owned()),
        }
    }

    /// Whether its values are text: utf8, json, number.
    pub fn is_text(&self) -> bool {
        matches!(self, Type::Utf8 | Type::Json | Type::Number)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int32 => "int32",
            Type::Int64 => "int64",
            Type::UInt64 => "uint64",
            Type::Float32 => "float32",
            Type::Float64 => "float64",
            Type::Utf8 => "utf8",
            Type::Binary => "binary",
            Type::Json => "json",
            Type::Date32 => "date32",
            Type::Time64 => "time64(us)",
            Type::Timestamp(None) => "timestamp(us)",
            Type::Timestamp(Some(zone)) => return write!(f, "timestamp(us, {zone})"),
            Type::Uuid => "uuid",
            Type::Decimal(precision, scale) => return write!(f, "decimal({precision}, {scale})"),
            Type::Number => "number",
            Type::Vector(n) => return write!(f, "vector({n})"),
            Type::Other(text) => text,
        })
    }
}

/// A column's name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Unique in its schema.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// Open-ended hints: `role`, `key`, `source-type`, `null`. Keep them on columns you keep.
    pub hints: Vec<(String, String)>,
}

impl Field {
    /// A nullable column without hints.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Field {
            name: name.into(),
            ty,
            nullable: true,
            hints: Vec::new(),
        }
    }

    /// The value of a hint.
    pub fn hint(&self, name: &str) -> Option<&str> {
        self.hints
            .iter()
            .find(|(hint, _)| hint == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the column is reserved: the record's id, its metadata or its rest.
    pub fn is_reserved(&self) -> bool {
        self.hint("role").is_some()
    }

    pub(crate) fn from_raw(field: raw::Field) -> Self {
        let ty = Type::parse(&field.type_);
        Field {
            name: field.name,
            ty,
            nullable: field.nullable,
            hints: field.hints,
        }
    }

    pub(crate) fn to_raw(&self) -> raw::Field {
        raw::Field {
            name: self.name.clone(),
            type_: self.ty.to_string(),
            nullable: self.nullable,
            hints: self.hints.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_as_itself() {
        for text in [
            "null",
            "boolean",
            "int32",
            "int64",
            "uint64",
            "float32",
            "float64",
            "utf8",
            "binary",
            "json",
            "date32",
            "time64(us)",
            "timestamp(us)",
            "timestamp(us, UTC)",
            "uuid",
            "decimal(38, 10)",
            "number",
            "vector(768)",
            "interval(month)",
        ] {
            assert_eq!(Type::parse(text).to_string(), text);
        }
        assert_eq!(Type::parse("decimal(10,2)"), Type::Decimal(10, 2));
        assert_eq!(
            Type::parse("timestamp(Europe/Berlin)"),
            Type::Timestamp(Some("Europe/Berlin".into()))
        );
        assert_eq!(
            Type::parse("vector(many)"),
            Type::Other("vector(many)".into())
        );
    }
}
