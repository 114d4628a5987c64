//! One version of a schema: its fields, what they must satisfy, its key.

use std::fmt;
use std::str::FromStr;

use dkhost_core::{Error, Field, LogicalType, Result, Schema};
use semver::Version;

use crate::compatibility::Mode;
use crate::constant::Constant;
use crate::rule::Rules;

/// A version of a schema.
#[derive(Debug, Clone)]
pub struct SchemaVersion {
    /// Which.
    pub id: SchemaId,
    /// What it is for; empty when nobody said.
    pub description: String,
    /// Fields that tell records apart; empty when there is none.
    pub key: Vec<String>,
    /// Whether fields it does not know are kept.
    pub open: bool,
    /// What it promises to the version before it.
    pub compatibility: Mode,
    /// In the order written.
    pub fields: Vec<FieldVersion>,
    /// Expressions over the record that must not be false.
    pub checks: Vec<String>,
}

/// A field of a version.
#[derive(Debug, Clone)]
pub struct FieldVersion {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub logical: LogicalType,
    /// Whether it must have a value.
    pub required: bool,
    /// The value of records that have none.
    pub default: Option<Constant>,
    /// What it is for; empty when nobody said.
    pub description: String,
    /// Its name in the version before.
    pub was: Option<String>,
    /// What its values must satisfy.
    pub rules: Rules,
}

/// A schema's name and version: `user@2.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId {
    /// The schema.
    pub name: String,
    /// The version.
    pub version: Version,
}

impl SchemaVersion {
    /// A field by name.
    pub fn field(&self, name: &str) -> Option<&FieldVersion> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether records need a value of a field: it is required, or of the key.
    pub fn needs(&self, field: &FieldVersion) -> bool {
        field.required || self.key.contains(&field.name)
    }

    /// As the plan and the backends know schemas; with [`Schema::to_arrow`] the Arrow schema.
    pub fn schema(&self) -> Schema {
        let fields = self.fields.iter().map(|field| {
            let place = self.key.iter().position(|name| *name == field.name);
            Field {
                nullable: !self.needs(field),
                key: place.map(|place| place as u32),
                ..Field::new(field.name.clone(), field.logical.clone())
            }
        });
        Schema::new(fields.collect())
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for SchemaId {
    type Err = Error;

    /// *Errors* – `schema::wrong_id`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::config("schema::wrong_id", format!("`{text}` {why}"))
                .help("a version of a schema is written name@1.0.0")
        };
        let (name, version) = text
            .split_once('@')
            .ok_or_else(|| wrong("names no version".to_owned()))?;
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(wrong("has no name of a schema".to_owned()));
        }
        match Version::parse(version) {
            Ok(version) => Ok(SchemaId {
                name: name.to_owned(),
                version,
            }),
            Err(cause) => Err(wrong(format!("has no semantic version: {cause}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name_and_a_semantic_version() {
        let id: SchemaId = "user@2.0.0-beta.1".parse().unwrap();
        assert_eq!(
            (id.name.as_str(), id.to_string().as_str()),
            ("user", "user@2.0.0-beta.1")
        );
        for wrong in ["user", "@1.0.0", "user@1.0", "../user@1.0.0", ".@1.0.0"] {
            assert_eq!(
                wrong.parse::<SchemaId>().unwrap_err().code(),
                "schema::wrong_id"
            );
        }
    }
}
