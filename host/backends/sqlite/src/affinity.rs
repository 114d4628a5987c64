//! What a declared type does to values, and what its author meant by it.
//!
//! SQLite looks at a declared type only for its affinity, by substring; people put more into it.
//! `DATE`, `BOOLEAN`, `DECIMAL(10,2)` and `JSON` all have NUMERIC affinity, which turns the text
//! `1.10` into the number 1.1. The tables we create therefore say `DECIMAL TEXT(10, 2)` and
//! `JSON TEXT`: any name with `TEXT` in it keeps text as it is, and the first word still tells a
//! reader, us included, what the text is.
//!
//! *Source* – <https://sqlite.org/datatype3.html>, sections 3.1 and 3.4.

use dkhost_core::LogicalType;

/// How SQLite converts values on their way into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// Text that looks like a number becomes one; whole reals become integers.
    Integer,
    /// Numbers become text.
    Text,
    /// Nothing is converted.
    Blob,
    /// Integers and text that looks like a number become reals.
    Real,
    /// As `Integer`.
    Numeric,
}

impl Affinity {
    /// The affinity of a declared type. In a STRICT table `ANY` converts nothing.
    pub(crate) fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if strict && declared == "ANY" {
            Affinity::Blob
        } else if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || declared.is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }

    /// In SQLite's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Affinity::Integer => "INTEGER",
            Affinity::Text => "TEXT",
            Affinity::Blob => "BLOB",
            Affinity::Real => "REAL",
            Affinity::Numeric => "NUMERIC",
        }
    }
}

/// The types a declared type may stand for beyond its affinity, best first.
pub(crate) fn meant(declared: &str) -> Vec<LogicalType> {
    let (words, arguments) = words_and_arguments(declared);
    let utc = || LogicalType::Timestamp(Some("UTC".into()));
    let is_text = words.iter().any(|word| word == "TEXT");
    let Some(first) = words.first() else {
        return Vec::new();
    };
    match first.as_str() {
        "BOOL" | "BOOLEAN" => vec![LogicalType::Boolean],
        "TIMESTAMPTZ" | "DATETIMETZ" => vec![utc()],
        "TIMESTAMP" if words.iter().any(|word| word == "WITH") => vec![utc()],
        "TIMESTAMP" | "DATETIME" | "DATETIME2" => vec![LogicalType::Timestamp(None), utc()],
        "DATE" => vec![LogicalType::Date32],
        "TIME" => vec![LogicalType::Time64],
        "DECIMAL" | "NUMERIC" | "DEC" | "NUMBER" if !arguments.is_empty() => decimal(&arguments),
        "NUMBER" if is_text => vec![LogicalType::Number],
        "UNSIGNED" if is_text => vec![LogicalType::UInt64],
        "VECTOR" if is_text => match arguments.as_slice() {
            [n @ 1..=65_536] => vec![LogicalType::Vector(*n as i32)],
            _ => Vec::new(),
        },
        "JSON" => vec![LogicalType::Json],
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => vec![LogicalType::Uuid],
        "INT4" => vec![LogicalType::Int32],
        "FLOAT4" => vec![LogicalType::Float32],
        _ => Vec::new(),
    }
}

fn decimal(arguments: &[u32]) -> Vec<LogicalType> {
    match arguments {
        [p @ 1..=38] => vec![LogicalType::Decimal(*p as u8, 0)],
        [p @ 1..=38, s] if s <= p => vec![LogicalType::Decimal(*p as u8, *s as i8)],
        _ => Vec::new(),
    }
}

/// `DECIMAL TEXT(10, 2)` as its words in upper case and its numbers.
fn words_and_arguments(declared: &str) -> (Vec<String>, Vec<u32>) {
    let (names, arguments) = declared.split_once('(').unwrap_or((declared, ""));
    let words = names
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let arguments = arguments
        .split([')', ','])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map_while(|part| part.parse().ok())
        .collect();
    (words, arguments)
}

/// The declared type of a column we create for values of type `logical`: its affinity never
/// changes a value, and [`meant`] gives the type back. `alone` is the only key column.
pub(crate) fn declare(logical: &LogicalType, alone: bool) -> String {
    match logical {
        LogicalType::Null | LogicalType::Utf8 => "TEXT".to_owned(),
        LogicalType::Boolean => "BOOLEAN".to_owned(),
        // INTEGER PRIMARY KEY, spelled just so, is the rowid itself.
        LogicalType::Int32 if alone => "INTEGER".to_owned(),
        LogicalType::Int32 => "INT4".to_owned(),
        LogicalType::Int64 => "INTEGER".to_owned(),
        LogicalType::UInt64 => "UNSIGNED TEXT".to_owned(),
        LogicalType::Float32 => "FLOAT4".to_owned(),
        LogicalType::Float64 => "REAL".to_owned(),
        LogicalType::Binary => "BLOB".to_owned(),
        LogicalType::Json => "JSON TEXT".to_owned(),
        LogicalType::Date32 => "DATE TEXT".to_owned(),
        LogicalType::Time64 => "TIME TEXT".to_owned(),
        LogicalType::Timestamp(None) => "TIMESTAMP TEXT".to_owned(),
        LogicalType::Timestamp(Some(_)) => "TIMESTAMPTZ TEXT".to_owned(),
        LogicalType::Uuid => "UUID TEXT".to_owned(),
        LogicalType::Decimal(precision, scale) => format!("DECIMAL TEXT({precision}, {scale})"),
        LogicalType::Number => "NUMBER TEXT".to_owned(),
        LogicalType::Vector(n) => format!("VECTOR TEXT({n})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_affinity_follows_sqlites_five_rules_in_order() {
        for (declared, affinity) in [
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(255)", Affinity::Text),
            ("", Affinity::Blob),
            ("double precision", Affinity::Real),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("JSON", Affinity::Numeric),
            ("JSON TEXT", Affinity::Text),
        ] {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Blob);
        assert_eq!(Affinity::of("ANY", false), Affinity::Numeric);
    }

    #[test]
    fn what_we_declare_changes_no_value_and_means_its_type() {
        for name in LogicalType::NAMES {
            let logical: LogicalType = name.parse().unwrap();
            let declared = declare(&logical, false);
            let affinity = Affinity::of(&declared, false);
            use LogicalType::*;
            match &logical {
                Null | Utf8 => assert_eq!(affinity, Affinity::Text),
                Int64 | Int32 => assert_eq!(affinity, Affinity::Integer),
                Float32 | Float64 => assert_eq!(affinity, Affinity::Real),
                Boolean => assert_eq!(affinity, Affinity::Numeric),
                Binary => assert_eq!(affinity, Affinity::Blob),
                _ => assert_eq!(affinity, Affinity::Text, "{declared}"),
            }
            if !matches!(logical, Null | Utf8 | Int64 | Float64 | Binary) {
                assert_eq!(meant(&declared).first(), Some(&logical), "{declared}");
            }
        }
        assert_eq!(
            meant("TIMESTAMP WITH TIME ZONE")[0].to_string(),
            "timestamp(us, UTC)"
        );
        assert_eq!(meant("numeric(99, 2)"), []);
    }
}
