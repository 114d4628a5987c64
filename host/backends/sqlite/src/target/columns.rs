//! How each column of the plan is held by its column of the table, and what that may cost.
//!
//! The declared type's affinity converts values silently, so it is looked at before a row is
//! written: where a conversion can be read back as the same value it is said in the plan, where
//! single values cannot they are refused row by row ([`Guard`]), where most might not the column
//! is lossy, and where SQLite would refuse them all the plan is.

use dkhost_core::{Error, Field, LogicalType, Result};

use crate::affinity::Affinity;
use crate::catalog::{ColumnDef, Table};
use crate::name::quote;

/// In which form a value is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the storage class of its own.
    Native,
    /// As the text of [`dkhost_core::text`].
    Text,
}

/// Which single values the column would change, so that their rows are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// None.
    None,
    /// NaN, which SQLite stores as NULL.
    NotNan,
    /// NaN, and -0.0, which a numeric column keeps as 0.
    NotNanNorMinusZero,
    /// Integers above 2^63-1.
    FitsInt64,
    /// JSON that is a bare number other than a plain int64: a numeric column would rewrite it.
    NoJsonNumber,
}

/// A column of the plan at its place in the table.
#[derive(Debug, Clone)]
pub(crate) struct TargetColumn {
    pub field: Field,
    /// Its name in the table, quoted.
    pub quoted: String,
    pub form: Form,
    pub guard: Guard,
    /// A null here would become a number of SQLite's choice.
    pub is_rowid: bool,
    /// What the plan says about it.
    pub shown: dkhost_core::Column,
}

/// The columns of `fields` in `table`, by name.
///
/// *Errors* – `sqlite::missing_column`, `sqlite::generated_column`, `sqlite::wrong_type`.
pub(crate) fn find(table: &Table, fields: &[Field]) -> Result<Vec<TargetColumn>> {
    fields.iter().map(|field| find_one(table, field)).collect()
}

fn find_one(table: &Table, field: &Field) -> Result<TargetColumn> {
    let Some(column) = table.column(&field.name) else {
        return Err(missing(table, field));
    };
    if column.generated {
        return Err(Error::config(
            "sqlite::generated_column",
            format!(
                "`{}` of table `{}` is generated from other columns and cannot be written",
                column.name, table.name
            ),
        )
        .help(format!(
            "leave it out with a step: drop = [{:?}]",
            field.name
        )));
    }
    let held = hold(&field.logical, column.affinity);
    if table.strict && is_refused(&field.logical, &held, column) {
        return Err(Error::config(
            "sqlite::wrong_type",
            format!(
                "`{}` of table `{}` is {} and the table is STRICT, so it takes no {}",
                column.name, table.name, column.declared, field.logical
            ),
        )
        .help(format!(
            "convert it in a step, as in apply = {{ {:?} = {{ type_cast = {{ to = … }} }} }}",
            field.name
        )));
    }
    Ok(TargetColumn {
        field: field.clone(),
        quoted: quote(&column.name)?,
        form: held.form,
        guard: held.guard,
        is_rowid: table
            .rowid_column()
            .is_some_and(|rowid| rowid.name == column.name),
        shown: dkhost_core::Column {
            name: field.name.clone(),
            target_type: column.declared.clone(),
            how: held.how.map(str::to_owned),
            lossy: held.lossy.map(|why| {
                format!(
                    "{why} (column type `{}`, affinity {})",
                    column.declared,
                    column.affinity.word()
                )
            }),
        },
    })
}

/// Columns an error names.
const NAMED_MAX: usize = 30;

fn missing(table: &Table, field: &Field) -> Error {
    let alter = match (quote(&table.name), quote(&field.name)) {
        (Ok(table), Ok(column)) => {
            format!(
                "ALTER TABLE {table} ADD COLUMN {column} {}",
                crate::affinity::declare(&field.logical, false)
            )
        }
        _ => "ALTER TABLE … ADD COLUMN …".to_owned(),
    };
    let mut known: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    if known.len() > NAMED_MAX {
        known.truncate(NAMED_MAX);
        known.push("…");
    }
    Error::config("sqlite::missing_column", format!("table `{}` has no column `{}`", table.name, field.name)).help(format!(
        "add it (`{alter}`), leave it out with a step (drop = [{:?}]), or rename it to one the table has: {}",
        field.name,
        known.join(", ")
    ))
}

/// How values of a type are held under an affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    form: Form,
    guard: Guard,
    how: Option<&'static str>,
    lossy: Option<&'static str>,
}

impl Held {
    const NATIVE: Held = Held {
        form: Form::Native,
        guard: Guard::None,
        how: None,
        lossy: None,
    };
    const TEXT: Held = Held {
        form: Form::Text,
        ..Held::NATIVE
    };

    fn how(self, how: &'static str) -> Held {
        Held {
            how: Some(how),
            ..self
        }
    }

    fn guard(self, guard: Guard) -> Held {
        Held { guard, ..self }
    }

    fn lossy(self, why: &'static str) -> Held {
        Held {
            lossy: Some(why),
            ..self
        }
    }
}

fn hold(logical: &LogicalType, affinity: Affinity) -> Held {
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    match (logical, affinity) {
        (LogicalType::Null | LogicalType::Binary, _) => Held::NATIVE,
        (LogicalType::Boolean, Text) => Held::TEXT.how("as the text true or false"),
        (LogicalType::Boolean, _) => Held::NATIVE.how("as 0 or 1"),
        (LogicalType::Int32 | LogicalType::Int64, Text) => Held::TEXT.how("as decimal text"),
        (LogicalType::Int64, Real) => Held::NATIVE.lossy("integers beyond 2^53 lose digits"),
        (LogicalType::Int32 | LogicalType::Int64, _) => Held::NATIVE,
        (LogicalType::UInt64, Text | Blob) => Held::TEXT.how("as decimal text"),
        (LogicalType::UInt64, Real) => Held::TEXT.lossy("integers beyond 2^53 lose digits"),
        (LogicalType::UInt64, _) => Held::NATIVE
            .guard(Guard::FitsInt64)
            .how("values above 2^63-1 are refused"),
        (LogicalType::Float32 | LogicalType::Float64, Text) => Held::TEXT.how("as decimal text"),
        (LogicalType::Float32 | LogicalType::Float64, Blob) => Held::NATIVE.guard(Guard::NotNan),
        (LogicalType::Float32 | LogicalType::Float64, _) => {
            Held::NATIVE.guard(Guard::NotNanNorMinusZero)
        }
        (LogicalType::Utf8, Text | Blob) => Held::NATIVE,
        (LogicalType::Utf8, _) => {
            Held::NATIVE.lossy("text that looks like a number becomes one, `007` becomes 7")
        }
        (LogicalType::Number, Text | Blob) => Held::NATIVE.how("as decimal text"),
        (LogicalType::Number, _) => {
            Held::NATIVE.lossy("numbers of more than 15 digits are rounded")
        }
        (LogicalType::Json, Text | Blob) => Held::NATIVE.how("as JSON text"),
        (LogicalType::Json, _) => Held::NATIVE
            .guard(Guard::NoJsonNumber)
            .how("as JSON text; a bare number is refused where it would be rewritten"),
        (LogicalType::Decimal(..), Text | Blob) => Held::TEXT.how("as decimal text"),
        (LogicalType::Decimal(18.., _), Integer | Numeric) => {
            Held::TEXT.lossy("numbers of more than 15 digits are rounded")
        }
        (LogicalType::Decimal(_, 0), Integer | Numeric) => Held::TEXT.how("as an integer"),
        (LogicalType::Decimal(0..=15, _), _) => Held::TEXT.how("as a number"),
        (LogicalType::Decimal(..), _) => {
            Held::TEXT.lossy("numbers of more than 15 digits are rounded")
        }
        (LogicalType::Date32 | LogicalType::Time64 | LogicalType::Timestamp(_), _) => {
            Held::TEXT.how("as ISO 8601 text")
        }
        (LogicalType::Uuid, _) => Held::TEXT.how("as text"),
        (LogicalType::Vector(_), _) => Held::TEXT.how("as JSON text"),
    }
}

/// Whether a STRICT column refuses every value, or nearly.
fn is_refused(logical: &LogicalType, held: &Held, column: &ColumnDef) -> bool {
    let is_text = held.form == Form::Text
        || matches!(
            logical,
            LogicalType::Utf8 | LogicalType::Json | LogicalType::Number
        );
    let is_blob = *logical == LogicalType::Binary;
    match column.declared.to_ascii_uppercase().as_str() {
        "ANY" => false,
        "BLOB" => !is_blob && *logical != LogicalType::Null,
        "TEXT" => is_blob,
        // Decimals are bound as text that is a number.
        _ => {
            is_blob
                || (is_text && !matches!(logical, LogicalType::Decimal(..) | LogicalType::Number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conversion_of_an_affinity_is_known() {
        let lossy =
            |logical: &str, affinity| hold(&logical.parse().unwrap(), affinity).lossy.is_some();
        let guard = |logical: &str, affinity| hold(&logical.parse().unwrap(), affinity).guard;
        for affinity in [Affinity::Text, Affinity::Blob] {
            for logical in LogicalType::NAMES {
                assert!(!lossy(logical, affinity), "{logical} {affinity:?}");
            }
        }
        assert!(
            lossy("utf8", Affinity::Numeric)
                && lossy("utf8", Affinity::Integer)
                && lossy("number", Affinity::Real)
        );
        assert!(lossy("int64", Affinity::Real) && !lossy("int32", Affinity::Real));
        assert!(
            !lossy("decimal(15,2)", Affinity::Real) && lossy("decimal(16,2)", Affinity::Numeric)
        );
        assert!(
            !lossy("decimal(17,0)", Affinity::Integer) && lossy("decimal(18,0)", Affinity::Integer)
        );
        assert!(!lossy("date32", Affinity::Numeric) && !lossy("uuid", Affinity::Integer));
        assert_eq!(guard("json", Affinity::Numeric), Guard::NoJsonNumber);
        assert_eq!(guard("float64", Affinity::Real), Guard::NotNanNorMinusZero);
        assert_eq!(guard("float64", Affinity::Blob), Guard::NotNan);
        assert_eq!(guard("uint64", Affinity::Integer), Guard::FitsInt64);
    }
}
