//! The nouns of dkhost and the traits that hang on them.
//!
//! | noun | meaning |
//! |---|---|
//! | [`Batch`] | an Arrow `RecordBatch`, where its rows come from, and the position after its last row |
//! | [`Schema`], [`Field`], [`LogicalType`] | an Arrow schema plus what Arrow does not know |
//! | [`Source`], [`Sink`] | reads batches from a [`Position`]; commits batches with their [`Checkpoint`] |
//! | [`Partition`] | an independent slice of a source: a key range, a file, an index slice |
//! | [`Step`], [`Stage`] | one step of a job; the same step at work inside one partition |
//! | [`Checkpoint`] | "everything up to here is in the target" |
//! | [`Reject`], [`DeadLetter`] | a row that was refused; the same with everything needed to try again |
//!
//! The traits are synchronous. The engine gives each partition threads of its own, so a backend
//! may block; one that speaks an asynchronous driver holds a runtime of its own.
//!
//! This crate reaches no file, socket, clock or runtime (invariant 1). The memory backend in
//! [`memory`] is the reference meaning of the traits.

pub mod backend;
pub mod batch;
pub mod checkpoint;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod content;
pub mod dataknobs;
pub mod dead_letter;
pub mod error;
pub mod fail;
pub mod foreign;
pub mod json;
pub mod memory;
pub mod options;
pub mod predicate;
pub mod schema;
pub mod sink;
pub mod source;
pub mod stamp;
pub mod step;
pub mod takeover;
pub mod text;
pub mod tree;
pub mod types;

pub use backend::{
    Backend, BatchSize, Capabilities, Incremental, Lookback, Nulls, OpenSource, OpenTarget,
    SourceCapabilities,
};
pub use batch::{Batch, Changed, Locator, Payload, Reject, RowReject, SourceRows};
pub use checkpoint::{Checkpoint, Counts, Position, StageCounts};
pub use content::ContentSum;
pub use dead_letter::{DeadLetter, StageKind};
pub use error::{Class, Error, Result, Span};
pub use options::{Node, NodeKind, OptionSpec, OptionType, Options};
pub use predicate::{Comparison, Literal, Predicate};
pub use schema::{Field, Role, Schema};
pub use sink::{
    Claim, Claimed, Column, Conflict, Durable, Outcome, Outcomes, Sink, TargetPlan, TargetState,
    WriteReport, Writer,
};
pub use source::{BatchReader, Partition, Source};
pub use stamp::{Constraint, ConstraintRule, Reshape, Stamp};
pub use step::{Stage, Step, StepNote};
pub use types::LogicalType;
