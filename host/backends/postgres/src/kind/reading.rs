//! How a column is read: as which type, in which form, by which expression.

use dkhost_core::LogicalType;

use crate::catalog::TypeDef;
use crate::copy::Wire;

/// How a column is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What it is here.
    pub logical: LogicalType,
    /// The form it comes in.
    pub wire: Wire,
    /// For the plan, where it is not itself: `as text`.
    pub how: Option<&'static str>,
    expression: Expression,
}

/// What is asked for instead of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expression {
    Itself,
    Cast(&'static str),
    Json,
}

/// The dimensions that a vector may have here.
const DIMENSIONS: std::ops::RangeInclusive<i32> = 1..=65_536;

impl Reading {
    /// How a column of this type is read where the job does not say.
    ///
    /// *Errors* – why it cannot be, in a sentence's words: "is a pseudo-type".
    pub(crate) fn of(ty: &TypeDef) -> Result<Self, String> {
        let bottom = ty.bottom();
        readable(bottom)?;
        if let Some((logical, wire)) = exact(bottom) {
            return Ok(Reading::itself(logical, wire));
        }
        Ok(match bottom {
            _ if is_core(bottom, "money") => Reading {
                how: Some("as numeric"),
                expression: Expression::Cast("numeric"),
                ..Reading::itself(LogicalType::Number, Wire::Numeric)
            },
            _ if is_nested(bottom) => Reading {
                how: Some(nested(bottom)),
                expression: Expression::Json,
                ..Reading::itself(LogicalType::Json, Wire::Json)
            },
            _ => Reading::text(LogicalType::Utf8),
        })
    }

    /// How a column of this type is read as `logical`, which somebody declared, or which is what
    /// was written there. Values that are no `logical` are refused row by row.
    ///
    /// *Errors* – as [`Reading::of`].
    pub(crate) fn declared(ty: &TypeDef, logical: &LogicalType) -> Result<Self, String> {
        use LogicalType as L;
        let natural = Reading::of(ty)?;
        if natural.logical == *logical {
            return Ok(natural);
        }
        let wire = natural.wire;
        let as_it_comes = match (logical, wire) {
            (L::Int32 | L::Int64 | L::UInt64, Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Oid)
            | (L::UInt64 | L::Number | L::Decimal(..), Wire::Numeric)
            | (L::Float64, Wire::Float4)
            | (L::Timestamp(_), Wire::Timestamp | Wire::Timestamptz)
            | (L::Utf8, Wire::Text)
            | (L::Vector(_), Wire::Vector) => true,
            (L::Utf8, Wire::Json | Wire::Jsonb) => natural.expression == Expression::Itself,
            _ => false,
        };
        if as_it_comes {
            return Ok(Reading {
                logical: logical.clone(),
                ..natural
            });
        }
        let cast = |name, wire| Reading {
            how: Some("by a cast"),
            expression: Expression::Cast(name),
            ..Reading::itself(logical.clone(), wire)
        };
        let is_number = matches!(
            wire,
            Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Oid | Wire::Numeric
        );
        let bottom = ty.bottom();
        Ok(match logical {
            L::Number | L::Decimal(..) if is_number && wire != Wire::Oid => {
                cast("numeric", Wire::Numeric)
            }
            // What was written there from floats comes back as the same: by the shortest text.
            L::Float64 if is_number && wire != Wire::Oid => cast("float8", Wire::Float8),
            L::Float32 if is_number && wire != Wire::Oid => cast("float4", Wire::Float4),
            L::Float32 if wire == Wire::Float8 => cast("float4", Wire::Float4),
            L::Vector(_) if is_core(bottom, "_float4") => {
                Reading::itself(logical.clone(), Wire::Floats)
            }
            L::Json if bottom.kind != 'e' && bottom.category != 'S' => Reading {
                how: Some("as JSON"),
                expression: Expression::Json,
                ..Reading::itself(L::Json, Wire::Json)
            },
            // char(n) loses its blanks in a cast to text.
            _ if wire == Wire::Text && natural.expression == Expression::Itself => {
                Reading::itself(logical.clone(), Wire::Text)
            }
            _ => Reading::text(logical.clone()),
        })
    }

    /// What stands in the SELECT for a column: `quoted` is its name, quoted and maybe qualified.
    pub(crate) fn sql(&self, quoted: &str) -> String {
        match self.expression {
            Expression::Itself => quoted.to_owned(),
            Expression::Cast(name) => format!("{quoted}::pg_catalog.{name}"),
            Expression::Json => format!("pg_catalog.to_json({quoted})"),
        }
    }

    fn itself(logical: LogicalType, wire: Wire) -> Self {
        Reading {
            logical,
            wire,
            how: None,
            expression: Expression::Itself,
        }
    }

    fn text(logical: LogicalType) -> Self {
        Reading {
            how: Some("as text"),
            expression: Expression::Cast("text"),
            ..Reading::itself(logical, Wire::Text)
        }
    }
}

fn readable(ty: &TypeDef) -> Result<(), String> {
    match ty.kind {
        'p' if ty.name != "unknown" => {
            Err("is a pseudo-type, which has no values to read".to_owned())
        }
        _ if !ty.defined => Err("is a type without input and output".to_owned()),
        _ => Ok(()),
    }
}

/// Whether it is the server's own type of this name.
pub(super) fn is_core(ty: &TypeDef, name: &str) -> bool {
    ty.schema == "pg_catalog" && ty.name == name
}

/// Whether it is the type of the server's own names, which has a collation of its own.
pub(crate) fn is_name(ty: &TypeDef) -> bool {
    is_core(ty, "name")
}

/// Whether values are made of values: arrays and rows. The two old vectors of numbers are arrays
/// to the catalogue only.
pub(super) fn is_nested(ty: &TypeDef) -> bool {
    ty.kind == 'c'
        || (ty.element.is_some() && !is_core(ty, "int2vector") && !is_core(ty, "oidvector"))
}

/// The oids of `json` and `jsonb`, which are the same on every server.
const JSON: [u32; 2] = [114, 3802];

/// What JSON does not say of an array or a row.
fn nested(ty: &TypeDef) -> &'static str {
    match ty.element {
        None => "as JSON",
        Some(element) if JSON.contains(&element) => {
            "as JSON: its subscripts then begin at 1, and a null of JSON in it is NULL"
        }
        Some(_) => "as JSON: its subscripts then begin at 1",
    }
}

/// The type and form of what is read as it is.
pub(super) fn exact(ty: &TypeDef) -> Option<(LogicalType, Wire)> {
    use LogicalType as L;
    if ty.kind == 'e' {
        return Some((L::Utf8, Wire::Text));
    }
    if ty.schema != "pg_catalog" {
        return extension(ty);
    }
    Some(match ty.name.as_str() {
        "bool" => (L::Boolean, Wire::Bool),
        "int2" => (L::Int32, Wire::Int2),
        "int4" => (L::Int32, Wire::Int4),
        "int8" => (L::Int64, Wire::Int8),
        "oid" => (L::Int64, Wire::Oid),
        "float4" => (L::Float32, Wire::Float4),
        "float8" => (L::Float64, Wire::Float8),
        "text" | "varchar" | "bpchar" | "name" | "unknown" => (L::Utf8, Wire::Text),
        "bytea" => (L::Binary, Wire::Bytea),
        "uuid" => (L::Uuid, Wire::Uuid),
        "date" => (L::Date32, Wire::Date),
        "time" => (L::Time64, Wire::Time),
        "timestamp" => (L::Timestamp(None), Wire::Timestamp),
        "timestamptz" => (L::Timestamp(Some("UTC".into())), Wire::Timestamptz),
        "json" => (L::Json, Wire::Json),
        "jsonb" => (L::Json, Wire::Jsonb),
        "numeric" => (numeric(ty.modifier), Wire::Numeric),
        _ => return None,
    })
}

fn numeric(modifier: i32) -> LogicalType {
    match super::precision(modifier) {
        Some((precision @ 1..=38, scale)) if (0..=precision as i32).contains(&scale) => {
            LogicalType::Decimal(precision as u8, scale as i8)
        }
        _ => LogicalType::Number,
    }
}

/// Types that extensions bring, wherever they were installed.
fn extension(ty: &TypeDef) -> Option<(LogicalType, Wire)> {
    match ty.name.as_str() {
        "citext" if ty.kind == 'b' && ty.category == 'S' => Some((LogicalType::Utf8, Wire::Text)),
        "vector" if is_vector(ty) && DIMENSIONS.contains(&ty.modifier) => {
            Some((LogicalType::Vector(ty.modifier), Wire::Vector))
        }
        _ => None,
    }
}

/// Whether it is pgvector's, and not somebody's row of that name.
pub(super) fn is_vector(ty: &TypeDef) -> bool {
    ty.name == "vector" && ty.kind == 'b' && ty.category == 'U' && ty.schema != "pg_catalog"
}
