//! One SQLite value into one Arrow column, if it is exactly a value of the column's type.
//!
//! A source reads strictly: the text `5` in an integer column is a misfit, because whoever stored
//! text meant text. Reading back what we wrote ourselves is lenient: an existing column's affinity
//! may have turned a number into text or a real into an integer, and back is the same value.

use dkhost_core::LogicalType;
use dkhost_core::text::Appender;
use rusqlite::types::ValueRef;

use crate::affinity::Affinity;
use crate::value;

/// How the values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Only what the type's own storage class holds; integers count as reals.
    Strict,
    /// As `Strict`, in a column where SQLite itself stores whole reals as integers.
    Numeric,
    /// Any value at all, as JSON: for columns that hold several classes.
    Mixed,
    /// Whatever spells a value of the type.
    Lenient,
}

impl Reading {
    /// How a source reads a column of this affinity.
    pub(crate) fn of(affinity: Affinity) -> Self {
        match affinity {
            Affinity::Real | Affinity::Numeric => Reading::Numeric,
            _ => Reading::Strict,
        }
    }
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is in the column.
    Exact,
    /// Nothing was appended: the type cannot hold it.
    Misfit,
    /// Nothing was appended: it is text, but not UTF-8.
    NotUtf8,
}

/// Appends a value to a column of type `logical`.
#[inline]
pub(crate) fn append(
    column: &mut Appender,
    logical: &LogicalType,
    reading: Reading,
    value: ValueRef<'_>,
) -> Fit {
    let fits = match value {
        ValueRef::Null => {
            column.append_null();
            true
        }
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Err(_) => return Fit::NotUtf8,
            Ok(_) if reading == Reading::Mixed => mixed(column, value),
            Ok(text) => append_text(column, logical, reading, text),
        },
        _ if reading == Reading::Mixed => mixed(column, value),
        ValueRef::Integer(value) => append_integer(column, logical, reading, value),
        ValueRef::Real(value) => append_real(column, logical, reading, value),
        ValueRef::Blob(bytes) => column.append_bytes(bytes),
    };
    if fits { Fit::Exact } else { Fit::Misfit }
}

#[inline]
fn append_text(column: &mut Appender, logical: &LogicalType, reading: Reading, text: &str) -> bool {
    use LogicalType::*;
    match logical {
        Boolean if reading == Reading::Lenient => match text {
            "0" | "1" => column.append_bool(text == "1"),
            _ => column.append(text),
        },
        Null | Boolean | Int32 | Int64 | Float32 | Float64 => {
            reading == Reading::Lenient && column.append(text)
        }
        Binary => false,
        _ => column.append(text),
    }
}

fn append_integer(
    column: &mut Appender,
    logical: &LogicalType,
    reading: Reading,
    value: i64,
) -> bool {
    use LogicalType::*;
    match logical {
        Int32 | Int64 | UInt64 | Decimal(..) | Number => column.append_i64(value),
        Boolean => matches!(value, 0 | 1) && column.append_bool(value == 1),
        Float32 | Float64 => {
            let real = value as f64;
            reading != Reading::Strict
                && real as i128 == i128::from(value)
                && column.append_f64(real)
        }
        Json => column.append(&value.to_string()),
        Utf8 => reading == Reading::Lenient && column.append(&value.to_string()),
        _ => false,
    }
}

fn append_real(column: &mut Appender, logical: &LogicalType, reading: Reading, value: f64) -> bool {
    use LogicalType::*;
    match logical {
        Float64 | Float32 => column.append_f64(value),
        Decimal(..) | Number if value.is_finite() => column.append_f64(value),
        Json if value.is_finite() => {
            let mut text = Vec::new();
            dkhost_core::text::write_f64(value, &mut text);
            column.append(&String::from_utf8_lossy(&text))
        }
        Int32 | Int64 | UInt64 | Boolean if reading == Reading::Lenient => {
            let integer = value as i64;
            integer as f64 == value && append_integer(column, logical, reading, integer)
        }
        Utf8 if reading == Reading::Lenient => {
            let mut text = Vec::new();
            dkhost_core::text::write_f64(value, &mut text);
            column.append(&String::from_utf8_lossy(&text))
        }
        _ => false,
    }
}

#[cold]
fn mixed(column: &mut Appender, value: ValueRef<'_>) -> bool {
    let mut json = Vec::new();
    value::write_json(value, &mut json);
    std::str::from_utf8(&json).is_ok_and(|json| column.append(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(logical: &str, reading: Reading, value: ValueRef<'_>) -> Fit {
        let logical = logical.parse().unwrap();
        append(&mut Appender::new(&logical), &logical, reading, value)
    }

    #[test]
    fn a_source_takes_only_the_storage_class_that_is_meant() {
        use Reading::*;
        for (logical, reading, value, expected) in [
            ("int64", Strict, ValueRef::Integer(5), Fit::Exact),
            ("int64", Strict, ValueRef::Text(b"5"), Fit::Misfit),
            ("int64", Strict, ValueRef::Real(5.0), Fit::Misfit),
            ("float64", Strict, ValueRef::Integer(5), Fit::Misfit),
            ("float64", Numeric, ValueRef::Integer(5), Fit::Exact),
            (
                "float64",
                Numeric,
                ValueRef::Integer((1 << 53) + 1),
                Fit::Misfit,
            ),
            ("float64", Numeric, ValueRef::Integer(i64::MAX), Fit::Misfit),
            ("float64", Strict, ValueRef::Real(f64::INFINITY), Fit::Exact),
            ("boolean", Strict, ValueRef::Integer(2), Fit::Misfit),
            ("utf8", Strict, ValueRef::Text(b"\xff"), Fit::NotUtf8),
            ("utf8", Strict, ValueRef::Blob(b"a"), Fit::Misfit),
            ("binary", Strict, ValueRef::Text(b"YQ=="), Fit::Misfit),
            ("decimal(4, 2)", Numeric, ValueRef::Real(1.1), Fit::Exact),
            ("decimal(4, 2)", Numeric, ValueRef::Real(1.125), Fit::Misfit),
            (
                "decimal(4, 2)",
                Numeric,
                ValueRef::Real(f64::INFINITY),
                Fit::Misfit,
            ),
            ("date32", Strict, ValueRef::Text(b"2024-02-30"), Fit::Misfit),
            ("json", Strict, ValueRef::Text(b"{"), Fit::Misfit),
            ("json", Mixed, ValueRef::Text(b"{"), Fit::Exact),
            ("json", Mixed, ValueRef::Blob(b"\xff"), Fit::Exact),
            ("uuid", Strict, ValueRef::Blob(&[7; 16]), Fit::Exact),
            ("null", Strict, ValueRef::Integer(1), Fit::Misfit),
        ] {
            assert_eq!(
                fit(logical, reading, value),
                expected,
                "{logical} {reading:?} {value:?}"
            );
        }
    }

    #[test]
    fn what_an_affinity_made_of_our_own_values_is_still_read() {
        for (logical, value) in [
            ("boolean", ValueRef::Text(b"1")),
            ("int64", ValueRef::Text(b"-5")),
            ("int32", ValueRef::Real(5.0)),
            ("float64", ValueRef::Text(b"0.1")),
            ("decimal(15, 2)", ValueRef::Real(1234567890123.45)),
            ("utf8", ValueRef::Integer(7)),
        ] {
            assert_eq!(
                fit(logical, Reading::Lenient, value),
                Fit::Exact,
                "{logical}"
            );
        }
    }
}
