//! A record's own version: in its metadata, or in the field `_schema_version` where it has none.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::SchemaRef;
use dkhost_core::{Changed, Error, Field, LogicalType, Result, Role, Schema, Step};
use serde_json::Value;
use serde_json::value::RawValue;

use super::VERSION_FIELD;
use crate::expr::convert::convert;
use crate::steps::built_in::{Facts, Work, changed, step};
use crate::steps::rest::{entries, following, object};

/// The key of a record's metadata that holds its version, as dataknobs-data calls it.
const VERSION_KEY: &str = "version";

/// Where a record's version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StampAt {
    /// In the metadata, a JSON object in this column.
    Meta(usize),
    /// In a column of its own.
    Field(usize),
}

impl StampAt {
    /// Where records with these columns say it; `None` if they do not.
    pub(super) fn of(input: &Schema) -> Option<Self> {
        let field = || input.index_of(VERSION_FIELD).map(StampAt::Field);
        input.role(Role::Meta).map(StampAt::Meta).or_else(field)
    }

    /// The column's index.
    pub(super) fn column(self) -> usize {
        match self {
            StampAt::Meta(at) | StampAt::Field(at) => at,
        }
    }

    /// What each record says; `None` where it says nothing. A number means what it is written as,
    /// and a type that has no text says nothing.
    pub(super) fn read(self, records: &RecordBatch, input: &Schema) -> Result<Vec<Option<String>>> {
        let (column, rows) = (records.column(self.column()), records.num_rows());
        let logical = &input.fields[self.column()].logical;
        let said = match self {
            StampAt::Meta(_) => column.clone(),
            StampAt::Field(_) => match convert(column, logical, &LogicalType::Utf8) {
                Ok(texts) => texts.values,
                Err(_) => return Ok(vec![None; rows]),
            },
        };
        let texts = said.as_string::<i32>().iter();
        match self {
            StampAt::Field(_) => Ok(texts.map(|text| text.map(str::to_owned)).collect()),
            StampAt::Meta(_) => texts
                .map(|text| Ok(text.map(in_metadata).transpose()?.flatten()))
                .collect(),
        }
    }
}

/// The version in a record's metadata.
fn in_metadata(text: &str) -> Result<Option<String>> {
    if !text.contains("\"version\"") {
        return Ok(None);
    }
    let entries = entries(text)?;
    let version = entries.iter().find(|(name, _)| name == VERSION_KEY);
    Ok(version.and_then(|(_, value)| plain(value.get())))
}

/// Text as it is, numbers as they are written.
fn plain(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

struct Stamp {
    schema: SchemaRef,
    version: String,
    at: StampAt,
    fresh: bool,
}

/// The step that writes `version` into every record; `None` where records have no place for it and
/// get none. With `always` they get one.
pub(super) fn stamp(version: &str, always: bool, input: &Schema) -> Option<Box<dyn Step>> {
    let field = Field {
        nullable: false,
        ..Field::new(VERSION_FIELD, LogicalType::Utf8)
    };
    let mut fields = input.fields.clone();
    let found = StampAt::of(input);
    let at = match found {
        Some(at) => at,
        None if always => {
            let is_last = |field: &Field| matches!(field.role, Some(Role::Meta | Role::Rest));
            let at = fields.iter().position(is_last).unwrap_or(fields.len());
            fields.insert(at, field.clone());
            StampAt::Field(at)
        }
        None => return None,
    };
    if let StampAt::Field(at) = at {
        fields[at] = field;
    }
    let stamped = fields[at.column()].name.clone();
    let carried = input.names().filter(|name| *name != stamped);
    let facts = Facts {
        carries: carried
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect(),
        output: Schema::new(fields),
        ..Facts::default()
    };
    let work = Stamp {
        schema: facts.output.to_arrow(),
        version: version.to_owned(),
        at,
        fresh: found.is_none(),
    };
    Some(following(step(facts, work), input))
}

impl Work for Stamp {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let rows = records.num_rows();
        let mut columns = records.columns().to_vec();
        let stamped: ArrayRef = match self.at {
            StampAt::Field(_) => Arc::new(StringArray::from_iter_values(
                (0..rows).map(|_| self.version.as_str()),
            )),
            StampAt::Meta(at) => self.metadata(records.column(at))?,
        };
        match self.fresh {
            true => columns.insert(self.at.column(), stamped),
            false => columns[self.at.column()] = stamped,
        }
        changed(self.schema.clone(), columns, rows, Vec::new())
    }
}

impl Stamp {
    fn metadata(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let version = Value::from(self.version.as_str()).to_string();
        let version: &RawValue = serde_json::from_str(&version)
            .map_err(|cause| Error::bug("a version is no JSON").caused_by(cause))?;
        let alone = object(&[(VERSION_KEY, version)])?;
        let mut stamped = StringBuilder::new();
        for text in texts.as_string::<i32>() {
            let Some(text) = text else {
                stamped.append_value(&alone);
                continue;
            };
            let before = entries(text)?;
            let others = before.iter().filter(|(name, _)| name != VERSION_KEY);
            let mut all: Vec<(&str, &RawValue)> = others
                .map(|(name, value)| (name.as_str(), *value))
                .collect();
            all.push((VERSION_KEY, version));
            stamped.append_value(object(&all)?);
        }
        Ok(Arc::new(stamped.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{batch, input};

    #[test]
    fn a_version_is_read_out_of_a_column_of_any_type() {
        for (logical, records, expected) in [
            (
                "utf8",
                r#"{"_schema_version":"2.0.0"}{}"#,
                [Some("2.0.0"), None],
            ),
            ("int64", r#"{"_schema_version":2}{}"#, [Some("2"), None]),
            (
                "float64",
                r#"{"_schema_version":1.1}{}"#,
                [Some("1.1"), None],
            ),
            (
                "json",
                r#"{"_schema_version":"2.0.0"}{"_schema_version":2}"#,
                [Some("2.0.0"), Some("2")],
            ),
            ("null", "{}{}", [None, None]),
        ] {
            let schema = input(&[("id", "int64"), (VERSION_FIELD, logical)]);
            let at = StampAt::of(&schema).unwrap();
            let read = at.read(&batch(&schema, records).records, &schema).unwrap();
            let read: Vec<Option<&str>> = read.iter().map(Option::as_deref).collect();
            assert_eq!(read, expected, "{logical}");
        }
    }
}
