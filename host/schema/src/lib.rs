//! Versions of schemas: what they say, how they differ, and what a change may do to records.
//!
//! A version is a file, `schemas/user/2.0.0.toml` ([`read()`]). Two of them are compared without
//! looking at a single record ([`differences`]); a verdict is *safe* only where no record that
//! satisfies the older version can be refused by the newer one or lose a value.

pub mod bump;
mod check;
pub mod compatibility;
pub mod constant;
pub mod difference;
pub mod json_schema;
pub mod migration;
mod read;
pub mod registry;
pub mod rule;
pub mod sample;
mod tightening;
pub mod toml_text;
pub mod types;
pub mod version;

pub use bump::Bump;
pub use compatibility::Mode;
pub use difference::{Difference, Kind, Verdict, differences};
pub use migration::{Direction, Migration, Operation, REMOVED, RESERVED, VERSION_FIELD, Verb};
pub use read::read;
pub use registry::Registry;
pub use tightening::Change;
pub use types::TypeChange;
pub use version::{FieldVersion, SchemaId, SchemaVersion};
