//! The parts of a job's filter that the server checks with the same outcome, as SQL.
//!
//! The engine's comparisons are plain: texts and bytes by their bytes, floats in IEEE 754's total
//! order, numbers exactly. The server's are not always (`char(n)` forgets blanks, collations have
//! an alphabet, `-0.0 = 0.0`, every NaN is the greatest), so only what is the same is rendered, and
//! for the rest there is `None`: the engine checks it. A value that cannot be read at all
//! (`infinity` in a timestamp) is compared as the server does, and refused when it passes.

use dkhost_core::{Comparison, Literal, LogicalType, Predicate};

use super::relation::Column;
use crate::name::{literal, quote};

/// A column that conditions may name.
pub(crate) struct Filterable<'a> {
    pub column: &'a Column,
    /// As what it is read; `None` if it is not read in its own form.
    pub logical: LogicalType,
    /// Whether it is read as it is, without a cast that the job declares.
    pub itself: bool,
}

/// How values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Plain,
    /// Only whether they are equal, and not with zero or NaN.
    Float,
    Text,
    /// By what `::text` gives.
    AsText,
    Bytes,
}

/// Renders conditions for one server.
pub(crate) struct Renderer<'a> {
    pub columns: Vec<Filterable<'a>>,
    /// Whether the server has every character.
    pub utf8: bool,
}

impl Renderer<'_> {
    /// The condition as SQL; `None` if the server would not select exactly the same rows.
    pub(crate) fn render(&self, predicate: &Predicate) -> Option<String> {
        match predicate {
            Predicate::Compare { column, op, value } => self.compare(column, *op, value),
            Predicate::In {
                column,
                values,
                negated,
            } => self.is_in(column, values, *negated),
            Predicate::IsNull { column, negated } => {
                let found = self.find(column)?;
                // A composite of nulls IS NULL, and still a value.
                (found.column.ty.bottom().kind != 'c').then_some(())?;
                let not = if *negated { "NOT " } else { "" };
                Some(format!(
                    "({} IS {not}NULL)",
                    quote(&found.column.name).ok()?
                ))
            }
            Predicate::Column(column) => {
                let found = self.find(column)?;
                (found.itself && found.logical == LogicalType::Boolean).then_some(())?;
                quote(&found.column.name).ok()
            }
            Predicate::And(parts) => self.joined(parts, " AND "),
            Predicate::Or(parts) => self.joined(parts, " OR "),
            Predicate::Not(part) => Some(format!("(NOT {})", self.render(part)?)),
        }
    }

    fn joined(&self, parts: &[Predicate], by: &str) -> Option<String> {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| self.render(part))
            .collect::<Option<_>>()?;
        (!parts.is_empty()).then(|| format!("({})", parts.join(by)))
    }

    fn find(&self, name: &str) -> Option<&Filterable<'_>> {
        self.columns.iter().find(|found| found.column.name == name)
    }

    fn compare(&self, column: &str, op: Comparison, value: &Literal) -> Option<String> {
        let found = self.find(column)?;
        let how = how(found)?;
        let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
        (equality || how != How::Float).then_some(())?;
        let value = self.value(found, how, value)?;
        Some(format!(
            "({} {} {value})",
            operand(found, how, equality)?,
            op.sql()
        ))
    }

    fn is_in(&self, column: &str, values: &[Literal], negated: bool) -> Option<String> {
        let found = self.find(column)?;
        let how = how(found)?;
        let values: Vec<String> = values
            .iter()
            .map(|value| self.value(found, how, value))
            .collect::<Option<_>>()?;
        (!values.is_empty()).then_some(())?;
        let not = if negated { "NOT " } else { "" };
        Some(format!(
            "({} {not}IN ({}))",
            operand(found, how, true)?,
            values.join(", ")
        ))
    }

    /// A value of the column's type as SQL.
    fn value(&self, found: &Filterable<'_>, how: How, value: &Literal) -> Option<String> {
        (value.logical == found.logical.to_string()).then_some(())?;
        let text = value.text.as_str();
        sayable(&found.logical, text, self.utf8).then_some(())?;
        Some(match how {
            How::Bytes => format!("pg_catalog.decode({}, 'base64')", literal(text)),
            _ => format!("{}::{}", literal(text), cast(&found.logical)?),
        })
    }
}

/// How a column is compared, if its server compares as we do.
pub(crate) fn how(found: &Filterable<'_>) -> Option<How> {
    let ty = found.column.ty.bottom();
    let own = found.itself && ty.schema == "pg_catalog";
    Some(match (&found.logical, ty.name.as_str()) {
        (LogicalType::Utf8, "text" | "varchar") if own => How::Text,
        // Blanks at its end are part of what is read, and `::text` forgets them.
        (LogicalType::Utf8, "bpchar") => return None,
        (LogicalType::Utf8, _) => How::AsText,
        (LogicalType::Int32, "int2" | "int4") if own => How::Plain,
        (LogicalType::Int64, "int8" | "oid") if own => How::Plain,
        (LogicalType::Boolean, "bool") if own => How::Plain,
        (LogicalType::Date32, "date") if own => How::Plain,
        (LogicalType::Time64, "time") if own => How::Plain,
        (LogicalType::Timestamp(None), "timestamp") if own => How::Plain,
        (LogicalType::Timestamp(Some(_)), "timestamptz") if own => How::Plain,
        (LogicalType::Uuid, "uuid") if own => How::Plain,
        (LogicalType::Decimal(..), "numeric") if own => How::Plain,
        (LogicalType::Float32, "float4") | (LogicalType::Float64, "float8") if own => How::Float,
        (LogicalType::Binary, "bytea") if own => How::Bytes,
        _ => return None,
    })
}

/// The column's side of a comparison.
pub(crate) fn operand(found: &Filterable<'_>, how: How, equality: bool) -> Option<String> {
    let column = found.column;
    let name = quote(&column.name).ok()?;
    Some(match how {
        // An index of the column's own collation serves where equal means equal bytes.
        How::Text if equality && column.deterministic => name,
        How::Text => column.comparable().ok()?,
        How::AsText => format!("{name}::text COLLATE \"C\""),
        // As a bigint, because that is what its literals are.
        How::Plain if column.ty.bottom().name == "oid" => format!("{name}::int8"),
        _ => name,
    })
}

/// The type of a literal.
pub(crate) fn cast(logical: &LogicalType) -> Option<&'static str> {
    Some(match logical {
        LogicalType::Boolean => "bool",
        LogicalType::Int32 | LogicalType::Int64 => "int8",
        LogicalType::Float32 => "float4",
        LogicalType::Float64 => "float8",
        LogicalType::Utf8 => "text",
        LogicalType::Date32 => "date",
        LogicalType::Time64 => "time",
        LogicalType::Timestamp(None) => "timestamp",
        LogicalType::Timestamp(Some(_)) => "timestamptz",
        LogicalType::Uuid => "uuid",
        LogicalType::Decimal(..) | LogicalType::Number => "numeric",
        _ => return None,
    })
}

/// Whether the server reads the text as the value we mean.
pub(crate) fn sayable(logical: &LogicalType, text: &str, utf8: bool) -> bool {
    if !dkhost_core::text::fits(logical, text) {
        return false;
    }
    match logical {
        LogicalType::Utf8 => !text.contains('\0') && (utf8 || text.is_ascii()),
        // Years of another length, and those before the first, are written in another way there.
        LogicalType::Date32 | LogicalType::Timestamp(_) => {
            let year = text.as_bytes().get(..4).unwrap_or_default();
            year.iter().all(u8::is_ascii_digit)
                && year != b"0000"
                && text.as_bytes().get(4) == Some(&b'-')
        }
        LogicalType::Float32 => text.parse().is_ok_and(|x: f32| x.is_normal()),
        LogicalType::Float64 => text.parse().is_ok_and(|x: f64| x.is_normal()),
        LogicalType::Boolean => matches!(text, "true" | "false"),
        _ => true,
    }
}
