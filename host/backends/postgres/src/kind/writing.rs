//! How a logical type gets into a column that exists, and what that may cost.
//!
//! Straight in its binary form where there is one that the column takes and that says every value
//! or refuses it; else as text or JSON which the server reads, and looked at again: what the column
//! would change is refused by row ([`Writing::keeps`]), or is what the plan calls lossy.

use dkhost_core::{Field, LogicalType};

use super::reading::{Reading, exact, is_core, is_nested, is_vector};
use super::{length, precision};
use crate::catalog::TypeDef;
use crate::copy::Wire;

/// How values get into a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writing {
    /// The form they are sent in.
    pub wire: Wire,
    /// The type of a temporary column that takes this form, as it stands in SQL.
    pub stage: String,
    /// The same where the column is part of the key and rounds what it takes: values are to meet as
    /// what they become.
    pub rounded: Option<String>,
    /// Whether the column itself takes this form, so that COPY may go straight into it.
    pub direct: bool,
    /// For the plan, where values change their form: `as decimal text`.
    pub how: Option<String>,
    /// Why values may change; for the plan, which then needs `allow_lossy`.
    pub lossy: Option<String>,
    way: Way,
}

/// How the server makes the column's value of the staged one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// An assignment does.
    Itself,
    /// A cast to this type.
    Cast { to: String, checked: bool },
    /// A cast to one type and from there to another, as to money.
    Through { first: &'static str, to: String },
    /// JSON text behind the version byte, which its form has and text has not.
    Jsonb,
    /// `json_populate_record`.
    Populate { checked: bool },
}

impl Writing {
    /// How values of `field` get into a column of this type.
    ///
    /// *Errors* – why they do not, in a sentence's words: "takes no binary".
    pub(crate) fn of(field: &Field, ty: &TypeDef) -> Result<Self, String> {
        let natural = Reading::of(ty)?;
        let bottom = ty.bottom();
        let is_same =
            natural.logical == field.logical && field.source_type.as_deref() == Some(&ty.spelled);
        if let Some(writing) = straight(&field.logical, ty, is_same) {
            return Ok(writing);
        }
        // As the server spells it, where the source was told to read it as text. A step may have
        // changed it since, so it is looked at again.
        let is_spelled = field.logical == LogicalType::Utf8
            && field.source_type.as_deref() == Some(&ty.spelled)
            && !is_core(bottom, "money");
        by_the_server(&field.logical, ty, is_same, is_spelled)
            .ok_or_else(|| format!("takes no {}", field.logical))
            .map(|writing| match field.logical {
                LogicalType::Null => Writing {
                    lossy: None,
                    ..writing
                },
                _ => writing,
            })
            .and_then(|writing| match bottom.kind {
                'p' => Err("is a pseudo-type".to_owned()),
                _ => Ok(writing),
            })
    }

    /// The value for the column, from the staged one (`s.c0`). `table` is the column's table and
    /// `quoted` the column's name, both as they stand in SQL.
    pub(crate) fn value(&self, staged: &str, table: &str, quoted: &str) -> String {
        match &self.way {
            Way::Itself => staged.to_owned(),
            // A cast to regclass knows no `-`, its text for none; its input function does.
            Way::Cast { to, .. } if to == "regclass" => {
                format!("pg_catalog.regclassin(pg_catalog.textout({staged}::pg_catalog.text))")
            }
            Way::Cast { to, .. } => format!("{staged}::{to}"),
            Way::Through { first, to } => format!("{staged}::pg_catalog.{first}::{to}"),
            Way::Jsonb => format!("pg_catalog.substr({staged}, 2)::pg_catalog.jsonb"),
            Way::Populate { .. } => format!(
                "(pg_catalog.json_populate_record(NULL::{table}, pg_catalog.json_build_object({}, {staged}::pg_catalog.json))).{quoted}",
                name(quoted)
            ),
        }
    }

    /// What is false for a staged value that the column would change; `None` where it changes
    /// none, or where a change is what `lossy` says.
    pub(crate) fn keeps(&self, staged: &str, table: &str, quoted: &str) -> Option<String> {
        let value = self.value(staged, table, quoted);
        match &self.way {
            Way::Cast { checked: true, .. } => Some(format!(
                "({value})::pg_catalog.text = {staged} COLLATE \"C\""
            )),
            Way::Through { first, .. } => Some(format!(
                "({value})::pg_catalog.{first} = {staged}::pg_catalog.{first}"
            )),
            Way::Populate { checked: true } => Some(format!(
                "pg_catalog.to_jsonb({value}) = {staged}::pg_catalog.jsonb"
            )),
            _ => None,
        }
    }

    /// What is true for every staged value that is one of the column, and an error for others.
    /// `None` where values are staged as what they become.
    pub(crate) fn readable(&self, staged: &str, table: &str, quoted: &str) -> Option<String> {
        match &self.way {
            Way::Itself => None,
            _ => Some(format!(
                "({} IS DISTINCT FROM NULL OR {staged} IS NULL)",
                self.value(staged, table, quoted)
            )),
        }
    }
}

/// A quoted name as the literal of the name.
fn name(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    crate::name::literal(&inner.unwrap_or(quoted).replace("\"\"", "\""))
}

/// What goes as it is into a column that takes its form, or is refused by row when it is encoded.
fn straight(logical: &LogicalType, ty: &TypeDef, is_same: bool) -> Option<Writing> {
    use LogicalType as L;
    let bottom = ty.bottom();
    // Vectors without a length are read as text, and written as they are.
    let (_, column) = match is_vector(bottom) {
        true => (logical.clone(), Wire::Vector),
        false if is_core(bottom, "_float4") && matches!(logical, L::Vector(_)) => {
            (logical.clone(), Wire::Floats)
        }
        false => exact(bottom)?,
    };
    let is_fitting = match (logical, column) {
        (L::Null, _) => true,
        (L::Boolean, Wire::Bool) | (L::Binary, Wire::Bytea) | (L::Uuid, Wire::Uuid) => true,
        (L::Date32, Wire::Date) | (L::Time64, Wire::Time) => true,
        (L::Int32 | L::Int64 | L::UInt64, Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Oid) => true,
        (L::Int32 | L::Int64 | L::UInt64, Wire::Float4 | Wire::Float8 | Wire::Numeric) => true,
        (L::Float32 | L::Float64, Wire::Float4 | Wire::Float8 | Wire::Numeric) => true,
        (L::Decimal(..) | L::Number, Wire::Numeric) => true,
        (L::Timestamp(_), Wire::Timestamp | Wire::Timestamptz) => true,
        (L::Utf8, Wire::Text) => bottom.name != "name",
        (L::Json, Wire::Json | Wire::Jsonb) => true,
        (L::Vector(n), Wire::Vector) => bottom.modifier < 0 || bottom.modifier == *n,
        (L::Vector(_), Wire::Floats) => true,
        // All that have a text of ours.
        (_, Wire::Text) => bottom.kind != 'e' && bottom.name != "name",
        _ => false,
    };
    let wire = match (column, bottom.name.as_str()) {
        (Wire::Text, "varchar") => length(bottom.modifier).map_or(Wire::Text, Wire::Varchar),
        _ => column,
    };
    is_fitting.then(|| Writing {
        wire,
        stage: stage(wire, bottom),
        rounded: rounds(wire, bottom).then(|| spelled(bottom)),
        // A cast of a domain's value checks it, and COPY does too.
        direct: true,
        how: if is_same { None } else { how(logical, column) },
        lossy: if is_same {
            None
        } else {
            lossy(logical, bottom, column)
        },
        way: match column {
            Wire::Text if bottom.kind == 'e' => Way::Cast {
                to: spelled(ty),
                checked: false,
            },
            Wire::Json => Way::Cast {
                to: "json".to_owned(),
                checked: false,
            },
            Wire::Jsonb => Way::Jsonb,
            _ => Way::Itself,
        },
    })
}

/// The type of the temporary column. It takes every value of the form, so that what the server
/// refuses is refused by row; and it compares as the column does.
fn stage(wire: Wire, column: &TypeDef) -> String {
    match wire {
        Wire::Json | Wire::Jsonb => "text".to_owned(),
        Wire::Text if is_core(column, "bpchar") => "bpchar".to_owned(),
        Wire::Text if column.name == "citext" => spelled(column),
        Wire::Vector => spelled(column),
        _ => wire.sql().to_owned(),
    }
}

/// Whether different values of the form may become one.
fn rounds(wire: Wire, column: &TypeDef) -> bool {
    match wire {
        Wire::Numeric => column.modifier >= 0,
        Wire::Time | Wire::Timestamp | Wire::Timestamptz => (0..6).contains(&column.modifier),
        _ => false,
    }
}

fn how(logical: &LogicalType, column: Wire) -> Option<String> {
    use LogicalType as L;
    let how = match (logical, column) {
        (L::Null | L::Utf8, Wire::Text) => return None,
        (L::Json, Wire::Text) => "as JSON text",
        (L::Boolean, Wire::Text) => "as the text true or false",
        (L::Date32 | L::Time64 | L::Timestamp(_), Wire::Text) => "as ISO 8601 text",
        (L::Binary, Wire::Text) => "as base64",
        (L::Vector(_), Wire::Text) => "as JSON text",
        (L::Uuid, Wire::Text) => "as text",
        (_, Wire::Text) => "as decimal text",
        (L::Int32 | L::Int64 | L::UInt64, Wire::Int2 | Wire::Oid) => {
            "values that do not fit are refused"
        }
        (L::Int64 | L::UInt64, Wire::Int4) | (L::UInt64, Wire::Int8) => {
            "values that do not fit are refused"
        }
        (L::Int64 | L::UInt64, Wire::Float8) => {
            "integers that a float does not hold exactly are refused"
        }
        (L::Int32 | L::Int64 | L::UInt64, Wire::Float4) => {
            "integers that a float does not hold exactly are refused"
        }
        (L::Float32 | L::Float64, Wire::Numeric) => "as the shortest decimal; -0 is refused",
        _ => return None,
    };
    Some(how.to_owned())
}

/// What a column's type does to values silently.
fn lossy(logical: &LogicalType, ty: &TypeDef, column: Wire) -> Option<String> {
    use LogicalType as L;
    let why = match (logical, column) {
        (L::Null, _) => return None,
        (L::Float64, Wire::Float4) => "numbers are rounded to the 6 to 9 digits of real".to_owned(),
        (_, Wire::Numeric) => return numeric_loss(logical, ty.modifier),
        (L::Timestamp(Some(_)), Wire::Timestamp) => {
            "that the time is in UTC is not kept".to_owned()
        }
        (L::Timestamp(None), Wire::Timestamptz) => "the time is taken for UTC".to_owned(),
        (L::Json, Wire::Jsonb) => "keys are sorted, and of equal ones the last is kept".to_owned(),
        (_, Wire::Text) if ty.name == "bpchar" && ty.schema == "pg_catalog" => {
            "shorter text is padded with blanks, and blanks too many are cut".to_owned()
        }
        (L::Time64 | L::Timestamp(_), Wire::Time | Wire::Timestamp | Wire::Timestamptz)
            if (0..6).contains(&ty.modifier) =>
        {
            format!(
                "fractions of a second are rounded to {} digits",
                ty.modifier
            )
        }
        _ => return None,
    };
    Some(why)
}

fn numeric_loss(logical: &LogicalType, modifier: i32) -> Option<String> {
    use LogicalType as L;
    let (_, scale) = precision(modifier)?;
    let is_kept = match logical {
        L::Decimal(_, ours) => i32::from(*ours) <= scale,
        L::Int32 | L::Int64 | L::UInt64 => scale >= 0,
        // What is read back as a number has as many digits as the column shows.
        _ => false,
    };
    (!is_kept).then(|| match scale {
        0 => "numbers are rounded to integers".to_owned(),
        scale if scale < 0 => format!("numbers are rounded to {} zeros", -scale),
        scale => format!(
            "numbers are rounded to {scale} digits after the point, and written with as many"
        ),
    })
}

/// What the server makes of text or JSON.
fn by_the_server(
    logical: &LogicalType,
    ty: &TypeDef,
    is_same: bool,
    is_spelled: bool,
) -> Option<Writing> {
    use LogicalType as L;
    let bottom = ty.bottom();
    let staged = |wire: Wire, how: &str, way: Way| Writing {
        wire,
        stage: stage(wire, bottom),
        rounded: None,
        direct: false,
        how: Some(how.to_owned()),
        lossy: None,
        way,
    };
    let cast = |checked| Way::Cast {
        to: spelled(ty),
        checked,
    };
    Some(match logical {
        L::Null => staged(Wire::Text, "only nulls", cast(false)),
        L::Json if is_nested(bottom) => staged(
            Wire::Json,
            "by json_populate_record",
            Way::Populate { checked: !is_same },
        ),
        L::Decimal(..) | L::Number | L::Int32 | L::Int64 | L::UInt64
            if is_core(bottom, "money") =>
        {
            staged(
                Wire::Numeric,
                "as money",
                Way::Through {
                    first: "numeric",
                    to: spelled(ty),
                },
            )
        }
        L::Utf8 if !bottom.defined => return None,
        L::Utf8 if is_respelled(bottom) && !is_spelled => Writing {
            lossy: Some(format!(
                "text comes back as the server spells {}",
                bottom.spelled
            )),
            ..staged(Wire::Text, "read by the server", cast(false))
        },
        L::Utf8 => staged(
            Wire::Text,
            match is_same {
                true => "read by the server",
                false => "read by the server; what it would spell otherwise is refused",
            },
            // Names of things are spelled as the search path has it, which may be another here.
            cast(!is_same || !is_name_of_a_thing(bottom)),
        ),
        // What we call text is what some read as a number, a date …
        L::Number | L::Decimal(..) | L::Uuid if bottom.category == 'N' || bottom.kind == 'e' => {
            staged(
                Wire::Text,
                "read by the server; what it would spell otherwise is refused",
                cast(true),
            )
        }
        _ => return None,
    })
}

/// Whether the same value has many spellings, of which the server knows one.
fn is_respelled(ty: &TypeDef) -> bool {
    matches!(ty.category, 'D' | 'T' | 'G')
        || is_core(ty, "money")
        || matches!(
            ty.name.as_str(),
            "json" | "jsonb" | "float4" | "float8" | "bytea" | "tsquery" | "tsvector" | "hstore"
        )
}

/// Whether values are things of the catalogue by their names: `regclass`, `regtype`.
fn is_name_of_a_thing(ty: &TypeDef) -> bool {
    ty.schema == "pg_catalog" && ty.name.starts_with("reg")
}

/// The type in SQL with its modifier: found whatever the search path is.
fn spelled(ty: &TypeDef) -> String {
    ty.spelled.clone()
}
