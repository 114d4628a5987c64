//! Which version of a schema a store's records are of, and what a migration makes of the store itself.
//!
//! A store says it beside its records: a table `dkhost.schema_version`, an index's metadata, a manifest.
//! The statement changes with the records or not at all: it is made by [`crate::Sink::publish`].

use serde::{Deserialize, Serialize};

use crate::LogicalType;

/// What a store says of its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The schema's name: `user`.
    pub schema: String,
    /// Its semantic version: `2.0.0`.
    pub version: String,
    /// The run that brought the records there (UUIDv7).
    pub run: String,
}

/// What a migration makes of a store beside its rows. Only under `replace-all`: the rows that a
/// change of type or a constraint would meet are gone by then, or of the new version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reshape {
    /// The schema's name.
    pub schema: String,
    /// The version the records are of afterwards.
    pub version: String,
    /// Old name and new, for columns that go on under another name: what hangs on them (indexes,
    /// grants, comments) goes along.
    pub renamed: Vec<(String, String)>,
    /// Columns that go. A column that is neither here nor in the plan's schema stays, and is null.
    pub removed: Vec<String>,
    /// Columns that must have a value.
    pub required: Vec<String>,
    /// What the store itself is to check from then on. Constraints of an earlier version of the
    /// schema, told by their names, go.
    pub constraints: Vec<Constraint>,
}

/// A rule that a table checks itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Its name in the store, unique in the table: `user_age_range`. Begins with the schema's name
    /// and an underscore.
    pub name: String,
    /// The column.
    pub column: String,
    /// The column's type.
    pub logical: LogicalType,
    /// What it says.
    pub rule: ConstraintRule,
}

/// What a [`Constraint`] says of the values of its column. Null passes. Values are written as a file
/// without types would hold them, in the column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConstraintRule {
    /// From and to, both included.
    Range {
        /// The least.
        min: Option<String>,
        /// The most.
        max: Option<String>,
    },
    /// Characters, from and to, both included.
    Length {
        /// The least.
        min: Option<u64>,
        /// The most.
        max: Option<u64>,
    },
    /// The only values.
    OneOf(Vec<String>),
    /// No two rows have the same.
    Unique,
}
