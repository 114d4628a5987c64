//! The suite every backend passes.
//!
//! A backend's test says how to get a fresh place and what the backend cannot do, and calls
//! [`run`]:
//!
//! ```no_run
//! use dkhost_core::conformance::{self, Fixture, Found, Place, Planted, Stray, Traits};
//! use dkhost_core::{Backend, Schema, memory::Memory};
//! use serde_json::json;
//!
//! struct InMemory(std::sync::atomic::AtomicUsize);
//!
//! impl Fixture for InMemory {
//!     fn backend(&self) -> &dyn Backend {
//!         &Memory
//!     }
//!     fn place(&self) -> Place {
//!         let next = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!         Place { base: "".into(), target: json!({"name": format!("trial {next}")}) }
//!     }
//!     fn source(&self, place: &Place, _schema: &Schema) -> serde_json::Value {
//!         place.target.clone()
//!     }
//!     fn plant(&self, strays: &[Stray]) -> Planted {
//!         // A number is no record in memory, and the options of a job have no null.
//!         let text = |stray: &Stray| stray.document().unwrap_or("7");
//!         let held = |stray: &&Stray| !text(stray).contains("null");
//!         let texts: Vec<&str> = strays.iter().filter(held).map(text).collect();
//!         let records: serde_json::Value =
//!             serde_json::from_str(&format!("[{}]", texts.join(","))).unwrap();
//!         let found = strays.iter().map(|stray| match stray {
//!             Stray::Malformed => Found::Refused(b"7".to_vec()),
//!             stray if held(&stray) => Found::Whole,
//!             _ => Found::Nowhere,
//!         });
//!         Planted {
//!             base: "".into(),
//!             source: json!({"records": records, "fields": conformance::declared(), "infer": 1}),
//!             found: found.collect(),
//!             tells_nulls: true,
//!         }
//!     }
//!     fn traits(&self) -> Traits {
//!         Traits::default()
//!     }
//! }
//!
//! conformance::run(&InMemory(Default::default()));
//! ```
//!
//! Nothing is skipped silently: what a fixture says the backend cannot do, the suite sees it
//! refuse. Every trial opens the backend anew, so a process is "killed" by dropping what it held.
//!
//! The cases of the suite, each callable alone: [`CASES`]. Where what a backend must do is tested:
//!
//! | what | where |
//! |---|---|
//! | round trip of every type and extreme | `types`, values in `values` |
//! | conflict modes | `conflicts` |
//! | positions, partitions, payloads | `positions` |
//! | resume at every batch; empty, one row, exactly *k* batches | `commits`, `loads` |
//! | drift at the source: fields and values the columns do not hold | `strays` |
//! | drift at the target: documents take the rest, columns are added, or it is refused | `documents`, `columns` |
//! | dead letters of the source: bytes, place, neighbours, positions, retry | `strays` |
//! | dead letters of the target: exactly the refused rows, also after a kill | `refusals` |
//!
//! What a job says about drift and refused records (`schema_drift`, `on_error`) is the engine's, and
//! is tested there.

mod columns;
mod commits;
mod compare;
mod conflicts;
mod documents;
mod loads;
mod positions;
mod refusals;
mod strays;
mod trial;
mod types;
mod values;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::in_memory;

use std::path::PathBuf;

use crate::{Backend, Conflict, LogicalType, Schema};

pub use compare::same_json;
pub use strays::{COLUMNS, Found, Planted, Stray, declared};
pub use values::{extremes, held_types};

/// How the suite gets at a backend.
pub trait Fixture {
    /// The backend.
    fn backend(&self) -> &dyn Backend;

    /// A place where nothing is yet, another one at each call.
    fn place(&self) -> Place;

    /// Options that read what a run published at `place`. `schema` is what was written: a backend
    /// whose stores keep no types declares them here (`fields = …`).
    fn source(&self, place: &Place, schema: &Schema) -> serde_json::Value;

    /// Writes these records to a new place the way any other program might, and says what a reader
    /// is to find of each. The order is kept.
    fn plant(&self, strays: &[Stray]) -> Planted;

    /// What the backend can and cannot do.
    fn traits(&self) -> Traits;
}

/// Where a trial writes.
#[derive(Debug, Clone)]
pub struct Place {
    /// Relative paths in the options start here.
    pub base: PathBuf,
    /// Options of the target, those of the backend only.
    pub target: serde_json::Value,
}

/// How a backend keeps two processes from writing at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fencing {
    /// The second claim succeeds and the first one's commits fail with `run::fenced`.
    Epoch,
    /// As `Epoch`, but a second claim waits for the batch that is being written, and fails as
    /// [`crate::Class::Transient`] when that does not end: the store has one writer at a time.
    EpochBetweenBatches,
    /// The second claim fails as [`crate::Class::Locked`] while the first sink lives.
    Lock,
}

/// What a backend can and cannot do. Each "cannot" is checked.
#[derive(Debug, Clone)]
pub struct Traits {
    /// Types whose columns the target refuses to open or calls lossy in its plan.
    pub cannot_hold: Vec<LogicalType>,
    /// Values the target rejects although it holds their type: type and text, as in
    /// [`extremes`]: `("float64", "NaN")`.
    pub rejects: Vec<(&'static str, &'static str)>,
    /// What works on a target that exists; the others are refused when the target is opened.
    pub conflicts: Vec<Conflict>,
    /// Whether a declared key is unique in the target.
    pub keyed: bool,
    /// Whether each record has an id in the store, taken from the field `id`: a source shows it as
    /// a column of its own, and no two records have the same.
    pub named: bool,
    /// How two processes are kept apart.
    pub fencing: Fencing,
    /// Whether a source yields the rows in the order they were written.
    pub ordered: bool,
}

impl Default for Traits {
    /// Can do everything.
    fn default() -> Self {
        Traits {
            cannot_hold: Vec::new(),
            rejects: Vec::new(),
            conflicts: vec![
                Conflict::Insert,
                Conflict::Upsert,
                Conflict::Skip,
                Conflict::ReplaceAll,
            ],
            keyed: true,
            named: false,
            fencing: Fencing::Epoch,
            ordered: true,
        }
    }
}

/// Why a case failed.
#[derive(Debug)]
pub struct Failure(pub String);

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Failure(format!("{}: {}", error.code(), error.chain()))
    }
}

impl From<crate::json::RowError> for Failure {
    fn from(error: crate::json::RowError) -> Self {
        Failure(format!("{}: {}", error.code, error.message))
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Failure(error.to_string())
    }
}

/// What a case says.
pub type Verdict = Result<(), Failure>;

/// A case of the suite.
pub type Case = fn(&dyn Fixture) -> Verdict;

/// Every case, by the behaviour it asks for.
pub const CASES: &[(&str, Case)] = &[
    (
        "every type and extreme comes back, or is refused",
        types::every_type_comes_back,
    ),
    (
        "all types side by side come back",
        types::types_side_by_side,
    ),
    (
        "documents come back the same",
        documents::documents_come_back,
    ),
    (
        "an empty source has a valid final state",
        loads::an_empty_source,
    ),
    ("one row comes back", loads::one_row),
    (
        "exactly k batches come back in order",
        loads::exactly_k_batches,
    ),
    (
        "a run killed at any batch resumes to the same content",
        commits::resume_at_every_batch,
    ),
    (
        "an older epoch cannot commit",
        commits::an_older_epoch_is_fenced,
    ),
    (
        "a repeated commit changes nothing",
        commits::a_repeated_commit,
    ),
    (
        "a roll-back leaves nothing",
        commits::a_roll_back_leaves_nothing,
    ),
    (
        "what was written is read back before the commit",
        commits::read_back_is_what_was_written,
    ),
    (
        "publish and retire can be repeated",
        commits::publish_and_retire_repeat,
    ),
    (
        "leftovers of another run are dropped",
        commits::another_runs_leftovers,
    ),
    ("two partitions end up together", commits::two_partitions),
    ("columns are added, or refused", columns::are_added),
    (
        "an added column is there after a roll-back and after a kill",
        columns::outlive_a_kill,
    ),
    (
        "an absent target is not created against the job",
        commits::create_false,
    ),
    (
        "every conflict mode does what it says",
        conflicts::every_mode,
    ),
    (
        "a mode the backend has not is refused",
        conflicts::other_modes_are_refused,
    ),
    (
        "replace-all shows the old rows until it is published",
        conflicts::replace_all_is_staged,
    ),
    ("insert adds to what is there", conflicts::insert_adds),
    (
        "reading from a position gives what is left",
        positions::from_every_position,
    ),
    (
        "reading twice gives the same batches and locators",
        positions::reading_is_repeatable,
    ),
    (
        "partitions cover every record once",
        positions::partitions_cover_all,
    ),
    ("payloads decode again", positions::payloads_decode_again),
    (
        "drifted records come whole, or are refused with their bytes",
        strays::drifted_records,
    ),
    (
        "malformed records are refused alone, with bytes and place",
        strays::malformed_records,
    ),
    (
        "positions around refused records are right",
        strays::positions_around_refusals,
    ),
    (
        "a refused record can be tried again",
        strays::refusals_are_tried_again,
    ),
    (
        "refused rows take no other along, also after a kill",
        refusals::refused_rows_take_no_other_along,
    ),
    (
        "only the columns asked for are read",
        positions::only_some_columns,
    ),
];

/// Runs every case and panics with all failures.
#[expect(clippy::panic, reason = "this is a test")]
pub fn run(fixture: &dyn Fixture) {
    let mut failures = Vec::new();
    for (name, case) in CASES {
        if let Err(Failure(why)) = case(fixture) {
            failures.push(format!("- {name}:\n  {why}"));
        }
    }
    if !failures.is_empty() {
        let (count, all) = (failures.len(), CASES.len());
        panic!(
            "{count} of {all} cases fail for `{}`:\n{}",
            fixture.backend().name(),
            failures.join("\n")
        );
    }
}

/// Fails unless `condition` holds.
fn ensure(condition: bool, why: impl FnOnce() -> String) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(Failure(why()))
    }
}
