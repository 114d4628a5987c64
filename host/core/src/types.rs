//! The logical types of dkhost: a small closed set, each with one Arrow layout and one spelling.
//!
//! The spelling is the grammar of `wit/README.md` and of job files: `utf8`, `decimal(38, 10)`,
//! `timestamp(us, UTC)`, `vector(768)`. Three types share Arrow's `Utf8` with text (`json`,
//! `number`) or `FixedSizeBinary(16)` (`uuid`); a mark in the Arrow field's metadata tells them
//! apart (see [`crate::Field`]).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};

use crate::error::nearest;

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogicalType {
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
    /// UTF-8 text.
    Utf8,
    /// Bytes.
    Binary,
    /// JSON text of any value; the text is kept as it was.
    Json,
    /// Days since 1970-01-01.
    Date32,
    /// Microseconds since midnight.
    Time64,
    /// Microseconds since 1970-01-01T00:00:00, UTC when a zone is given, else of an unknown clock.
    Timestamp(Option<Arc<str>>),
    /// 16 bytes.
    Uuid,
    /// Exact, with at most 38 digits.
    Decimal(u8, i8),
    /// An exact number of any size, as its decimal text.
    Number,
    /// A fixed number of float32.
    Vector(i32),
}

/// The marks in Arrow field metadata that tell types of the same layout apart.
pub(crate) const TYPE_MARK: &str = "dkhost.type";

impl LogicalType {
    /// The Arrow layout of this type.
    pub fn arrow(&self) -> DataType {
        match self {
            LogicalType::Null => DataType::Null,
            LogicalType::Boolean => DataType::Boolean,
            LogicalType::Int32 => DataType::Int32,
            LogicalType::Int64 => DataType::Int64,
            LogicalType::UInt64 => DataType::UInt64,
            LogicalType::Float32 => DataType::Float32,
            LogicalType::Float64 => DataType::Float64,
            LogicalType::Utf8 | LogicalType::Json | LogicalType::Number => DataType::Utf8,
            LogicalType::Binary => DataType::Binary,
            LogicalType::Date32 => DataType::Date32,
            LogicalType::Time64 => DataType::Time64(TimeUnit::Microsecond),
            LogicalType::Timestamp(zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            LogicalType::Uuid => DataType::FixedSizeBinary(16),
            LogicalType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            LogicalType::Vector(n) => DataType::FixedSizeList(
                Arc::new(arrow::datatypes::Field::new(
                    "item",
                    DataType::Float32,
                    true,
                )),
                *n,
            ),
        }
    }

    /// The mark this type needs beside its Arrow layout.
    pub(crate) fn mark(&self) -> Option<&'static str> {
        match self {
            LogicalType::Json => Some("json"),
            LogicalType::Number => Some("number"),
            LogicalType::Uuid => Some("uuid"),
            _ => None,
        }
    }

    /// The logical type of an Arrow layout with an optional mark; `None` if dkhost has no type of
    /// exactly this layout (see [`LogicalType::widened`]).
    pub fn from_arrow(layout: &DataType, mark: Option<&str>) -> Option<Self> {
        Some(match (layout, mark) {
            (DataType::Utf8, Some("json")) => LogicalType::Json,
            (DataType::Utf8, Some("number")) => LogicalType::Number,
            (DataType::Utf8, _) => LogicalType::Utf8,
            (DataType::FixedSizeBinary(16), Some("uuid")) => LogicalType::Uuid,
            (DataType::Null, _) => LogicalType::Null,
            (DataType::Boolean, _) => LogicalType::Boolean,
            (DataType::Int32, _) => LogicalType::Int32,
            (DataType::Int64, _) => LogicalType::Int64,
            (DataType::UInt64, _) => LogicalType::UInt64,
            (DataType::Float32, _) => LogicalType::Float32,
            (DataType::Float64, _) => LogicalType::Float64,
            (DataType::Binary, _) => LogicalType::Binary,
            (DataType::Date32, _) => LogicalType::Date32,
            (DataType::Time64(TimeUnit::Microsecond), _) => LogicalType::Time64,
            (DataType::Timestamp(TimeUnit::Microsecond, zone), _) => {
                LogicalType::Timestamp(zone.clone())
            }
            (DataType::Decimal128(precision, scale), _) => LogicalType::Decimal(*precision, *scale),
            (DataType::FixedSizeList(item, n), _) if item.data_type() == &DataType::Float32 => {
                LogicalType::Vector(*n)
            }
            _ => return None,
        })
    }

    /// The logical type that holds every value of an Arrow layout dkhost has no type for: small
    /// integers widen, dictionaries and views become plain, nested types become JSON. `None` when
    /// no type holds every value (nanoseconds, 256-bit decimals become `number`).
    ///
    /// The cast itself is Arrow's (`arrow::compute::cast`) for all but nested types.
    pub fn widened(layout: &DataType) -> Option<Self> {
        if let Some(exact) = Self::from_arrow(layout, None) {
            return Some(exact);
        }
        Some(match layout {
            DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => {
                LogicalType::Int32
            }
            DataType::UInt32 => LogicalType::Int64,
            DataType::Float16 => LogicalType::Float32,
            DataType::LargeUtf8 | DataType::Utf8View => LogicalType::Utf8,
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                LogicalType::Binary
            }
            DataType::Date64 => LogicalType::Timestamp(None),
            DataType::Time32(_) => LogicalType::Time64,
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
                LogicalType::Timestamp(zone.clone())
            }
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                LogicalType::Decimal(*precision, *scale)
            }
            DataType::Decimal256(..) => LogicalType::Number,
            DataType::Dictionary(_, values) => return Self::widened(values),
            DataType::RunEndEncoded(_, values) => return Self::widened(values.data_type()),
            DataType::List(_)
            | DataType::LargeList(_)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::FixedSizeList(..)
            | DataType::Struct(_)
            | DataType::Map(..) => LogicalType::Json,
            _ => return None,
        })
    }

    /// Whether values of this type are numbers.
    pub fn is_numeric(&self) -> bool {
        use LogicalType::*;
        matches!(
            self,
            Int32 | Int64 | UInt64 | Float32 | Float64 | Decimal(..) | Number
        )
    }

    /// Every spelling a person can write, for help texts; parameters by example.
    pub const NAMES: [&'static str; 17] = [
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
        "time64",
        "timestamp",
        "uuid",
        "decimal(10, 2)",
        "number",
        "vector(3)",
    ];
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogicalType::Null => f.write_str("null"),
            LogicalType::Boolean => f.write_str("boolean"),
            LogicalType::Int32 => f.write_str("int32"),
            LogicalType::Int64 => f.write_str("int64"),
            LogicalType::UInt64 => f.write_str("uint64"),
            LogicalType::Float32 => f.write_str("float32"),
            LogicalType::Float64 => f.write_str("float64"),
            LogicalType::Utf8 => f.write_str("utf8"),
            LogicalType::Binary => f.write_str("binary"),
            LogicalType::Json => f.write_str("json"),
            LogicalType::Date32 => f.write_str("date32"),
            LogicalType::Time64 => f.write_str("time64(us)"),
            LogicalType::Timestamp(None) => f.write_str("timestamp(us)"),
            LogicalType::Timestamp(Some(zone)) => write!(f, "timestamp(us, {zone})"),
            LogicalType::Uuid => f.write_str("uuid"),
            LogicalType::Decimal(precision, scale) => write!(f, "decimal({precision}, {scale})"),
            LogicalType::Number => f.write_str("number"),
            LogicalType::Vector(n) => write!(f, "vector({n})"),
        }
    }
}

impl FromStr for LogicalType {
    type Err = String;

    /// Reads the spelling of [`fmt::Display`], and the short forms `timestamp`, `timestamp(UTC)`,
    /// `time64`, `decimal(10,2)`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, arguments) = split_call(text.trim());
        let arguments: Vec<&str> = arguments
            .map(|a| a.split(',').map(str::trim).collect())
            .unwrap_or_default();
        let parsed = match (name, arguments.as_slice()) {
            ("null", []) => LogicalType::Null,
            ("boolean", []) => LogicalType::Boolean,
            ("int32", []) => LogicalType::Int32,
            ("int64", []) => LogicalType::Int64,
            ("uint64", []) => LogicalType::UInt64,
            ("float32", []) => LogicalType::Float32,
            ("float64", []) => LogicalType::Float64,
            ("utf8", []) => LogicalType::Utf8,
            ("binary", []) => LogicalType::Binary,
            ("json", []) => LogicalType::Json,
            ("date32", []) => LogicalType::Date32,
            ("time64", [] | ["us"]) => LogicalType::Time64,
            ("timestamp", [] | ["us"]) => LogicalType::Timestamp(None),
            ("timestamp" | "time64", [unit @ ("s" | "ms" | "ns"), ..]) => {
                return Err(format!(
                    "`{text}` is kept in microseconds: write `us` for `{unit}`"
                ));
            }
            ("timestamp", ["us", zone] | [zone]) if is_zone(zone) => {
                LogicalType::Timestamp(Some(Arc::from(*zone)))
            }
            ("uuid", []) => LogicalType::Uuid,
            ("number", []) => LogicalType::Number,
            ("decimal", [precision, rest @ ..]) if rest.len() <= 1 => {
                let scale = rest.first().copied().unwrap_or("0");
                match (precision.parse::<u8>(), scale.parse::<i8>()) {
                    (Ok(p @ 1..=38), Ok(s)) if s >= 0 && s as u8 <= p => LogicalType::Decimal(p, s),
                    _ => {
                        return Err(format!(
                            "`{text}` needs 1 to 38 digits and a scale of at most as many; `number` holds any"
                        ));
                    }
                }
            }
            ("vector", [n]) => match n.parse::<i32>() {
                Ok(n @ 1..=65_536) => LogicalType::Vector(n),
                _ => return Err(format!("`{text}` needs 1 to 65536 dimensions")),
            },
            _ => return Err(unknown_type(text, name)),
        };
        Ok(parsed)
    }
}

fn split_call(text: &str) -> (&str, Option<&str>) {
    match text.split_once('(') {
        Some((name, rest)) if rest.ends_with(')') => (name.trim(), Some(&rest[..rest.len() - 1])),
        _ => (text, None),
    }
}

/// Whether it has the form of a time zone's name or offset: `Europe/Berlin`, `Etc/GMT+5`, `+05:30`.
/// Which zones there are is for whoever shows them.
fn is_zone(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-' | b':');
    (1..=64).contains(&text.len()) && text.bytes().all(fine)
}

fn unknown_type(text: &str, name: &str) -> String {
    let other = match name.to_lowercase().as_str() {
        "string" | "text" | "str" | "varchar" => Some("utf8"),
        "int" | "integer" | "bigint" | "long" => Some("int64"),
        "smallint" | "short" => Some("int32"),
        "bool" => Some("boolean"),
        "float" => Some("float32"),
        "double" | "real" => Some("float64"),
        "date" => Some("date32"),
        "time" => Some("time64"),
        "datetime" | "timestamptz" => Some("timestamp(us, UTC)"),
        "numeric" => Some("decimal(10, 2)"),
        "bytes" | "blob" | "bytea" => Some("binary"),
        "jsonb" | "object" | "array" => Some("json"),
        other => nearest(other, LogicalType::NAMES.iter().copied()),
    };
    match other {
        Some(other) => format!("unknown type `{text}`; did you mean `{other}`?"),
        None => format!(
            "unknown type `{text}`; known: {}",
            LogicalType::NAMES.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_or_an_offset_and_nothing_a_terminal_obeys() {
        for zone in ["UTC", "Europe/Berlin", "Etc/GMT+5", "+05:30"] {
            let text = format!("timestamp(us, {zone})");
            assert_eq!(text.parse::<LogicalType>().unwrap().to_string(), text);
        }
        for zone in ["", "\u{1b}[2J", "a b", "Mars\u{202e}", &"x".repeat(65)] {
            let text = format!("timestamp(us, {zone})");
            assert!(text.parse::<LogicalType>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn another_unit_of_time_is_no_zone() {
        for text in ["timestamp(ns)", "timestamp(ms, UTC)", "time64(ns)"] {
            let refused = text.parse::<LogicalType>().unwrap_err();
            assert!(refused.contains("is kept in microseconds"), "{refused}");
        }
    }

    #[test]
    fn every_spelling_reads_back_as_itself() {
        for name in
            LogicalType::NAMES
                .iter()
                .chain(&["timestamp(us, UTC)", "timestamp(us)", "time64(us)"])
        {
            let parsed: LogicalType = name.parse().unwrap();
            assert_eq!(
                parsed.to_string().parse::<LogicalType>().unwrap(),
                parsed,
                "{name}"
            );
            let mark = parsed.mark();
            assert_eq!(
                LogicalType::from_arrow(&parsed.arrow(), mark),
                Some(parsed),
                "{name}"
            );
        }
    }

    #[test]
    fn an_unknown_type_names_the_one_that_is_meant() {
        assert_eq!(
            "string".parse::<LogicalType>().unwrap_err(),
            "unknown type `string`; did you mean `utf8`?"
        );
        assert_eq!(
            "int46".parse::<LogicalType>().unwrap_err(),
            "unknown type `int46`; did you mean `int64`?"
        );
        assert!(
            "decimal(39,2)"
                .parse::<LogicalType>()
                .unwrap_err()
                .contains("number")
        );
    }
}
