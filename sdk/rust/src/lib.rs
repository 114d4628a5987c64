//! Write dkhost plugins in Rust.
//!
//! A plugin gets batches of columns and says what becomes of them. In *column style* it works on
//! whole columns ([`Transformer`], [`Filter`]): the fast path, a few nanoseconds a record. In *row
//! style* it sees one record at a time ([`RowTransformer`], [`RowFilter`]), either as a struct of
//! yours with `#[derive(Row)]` or as a [`Record`] with fields by name.
//!
//! ```
//! use dkhost_sdk::{Descriptor, Failure, NoConfig, Plan, Record, Reject, RowTransformer, Rows};
//!
//! struct Shout;
//!
//! impl RowTransformer for Shout {
//!     type Config = NoConfig;
//!     type Row = Record<'static>;
//!
//!     fn descriptor() -> Descriptor {
//!         Descriptor::new("shout", env!("CARGO_PKG_VERSION")).summary("titles in upper case")
//!     }
//!
//!     fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
//!         plan.edit("title")?;
//!         Ok(Shout)
//!     }
//!
//!     fn row(&mut self, mut record: Record<'_>, out: &mut Rows<'_, Record<'static>>) -> Result<(), Reject> {
//!         if let Some(title) = record.text("title").map(str::to_uppercase) {
//!             record.set("title", title)?;
//!         }
//!         out.emit(&record)
//!     }
//! }
//!
//! dkhost_sdk::export! { row_transformers: [Shout] }
//! # fn main() {}
//! ```
//!
//! `dkhost plugin new NAME` writes a project like this, `dkhost plugin build` makes the component,
//! `dkhost plugin test` runs its `case.in.jsonl` and compares with `case.out.jsonl`.
//!
//! The same rows must always give the same answer: a run that resumes, or runs in parallel, opens
//! the plugin anew, and the host checks now and then that this makes no difference.

// What the macros expand to names this crate; so do its own tests.
#[cfg(test)]
extern crate self as dkhost_sdk;

mod builder;
mod cell;
mod errors;
mod migration;
mod plan;
mod plugin;
mod record;
mod rows;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod view;

pub mod log;

#[doc(hidden)]
pub mod derived;
#[doc(hidden)]
#[allow(missing_docs)]
pub mod export;
#[doc(hidden)]
pub mod wit;

pub use builder::{
    AnyBuilder, Bits, BoolBuilder, Built, BytesBuilder, FixedBuilder, TextBuilder, VectorBuilder,
};
pub use cell::Cell;
pub use dkhost_sdk_derive::{Row, export};
pub use errors::{Failure, Reject};
pub use migration::{Irreversible, Migration, PerRow};
pub use plan::{Edit, Inputs, Plan, Read, Write};
pub use plugin::{Descriptor, Filter, NoConfig, Output, Transformer, Verdict};
pub use record::{Record, RecordBound};
pub use rows::{Columns, Row, RowFilter, RowTransformer, Rows};
pub use types::{Field, Type};
pub use value::Value;
pub use view::{Batch, Bools, Bytes, Fixed, Native, Text, View};

#[doc(hidden)]
pub use rows::{ByRow, Filtering, Transforming};
#[doc(hidden)]
pub use wit_bindgen;
