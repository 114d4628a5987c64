//! Migrations: how records of one version become records of another, and back.
//!
//! A migration is a file beside the versions, `schemas/user/1.0.0--2.0.0.toml`: operations in the
//! order in which they happen, once for the way up and once for the way down. It is generated, read
//! and edited by people, and looked at again against both versions.
//!
//! ```toml
//! [[up]]
//! rename = { years = "age" }
//!
//! [[up]]
//! cast = { price = "decimal(10, 2)" }
//!
//! [[up]]
//! add = { status = "'active'" }
//!
//! [[up]]
//! remove = ["legacy"]
//! keep_values = true
//!
//! [[up]]
//! constrain = ["age"]
//!
//! [[down]]
//! restore = ["legacy"]
//! ```

pub mod check;
pub mod generate;
pub mod lossless;
mod read;
pub mod route;
pub(crate) mod text;

use dkhost_core::{LogicalType, Span};
use semver::Version;

pub use read::read;

/// The field, of type json, that holds what a migration took out of a record and was asked to keep:
/// an object of the removed fields' values. No version has a field of this name.
pub const REMOVED: &str = "_removed";

/// The field, of type utf8, that holds a record's version where records have no metadata.
pub const VERSION_FIELD: &str = "_schema_version";

/// What migrations keep for themselves: a version's field of such a name would be overwritten.
pub const RESERVED: [&str; 2] = [REMOVED, VERSION_FIELD];

/// A migration file, read.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The schema.
    pub schema: String,
    /// The version it starts from; always the older.
    pub from: Version,
    /// The version it leads to.
    pub to: Version,
    /// What it is for; empty when nobody said.
    pub description: String,
    /// What happens on the way up, in order.
    pub up: Vec<Operation>,
    /// What happens on the way down; `None` where there is no way down.
    pub down: Option<Vec<Operation>>,
    /// The file's text, for diagnostics and its hash.
    pub text: String,
}

/// Which way a migration is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the newer version.
    Up,
    /// To the older one.
    Down,
}

/// An operation of a migration, at its place in the file.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What happens.
    pub verb: Verb,
    /// Where it stands.
    pub span: Span,
}

/// What an operation does. Names are those that the fields have at this point of the migration;
/// expressions are SQL, as in the step `set`, and see the columns as they are at this point.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Old name and new name, all at once.
    Rename(Vec<(String, String)>),
    /// New fields and the expressions that compute them, in the types that the version has.
    Add(Vec<(String, String)>),
    /// Fields that go; with `keep`, their values go into the field [`REMOVED`].
    Remove {
        /// Which.
        fields: Vec<String>,
        /// Whether their values are kept.
        keep: bool,
    },
    /// Fields that come back out of [`REMOVED`]; null where nothing was kept.
    Restore(Vec<String>),
    /// Fields that get another type, checked value by value: what does not fit refuses its record.
    Cast(Vec<(String, LogicalType)>),
    /// Fields that get another value.
    Set(Vec<(String, String)>),
    /// Fields whose values must satisfy the rules of the version this way leads to.
    Constrain(Vec<String>),
}

impl Direction {
    /// In a word: `up`, `down`.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }
}

impl Migration {
    /// The operations of a direction; `None` where it has no way down.
    pub fn operations(&self, direction: Direction) -> Option<&[Operation]> {
        match direction {
            Direction::Up => Some(&self.up),
            Direction::Down => self.down.as_deref(),
        }
    }
}
