//! SQLite as a target: rows, checkpoint and epoch change in one transaction.
//!
//! A batch is staged in an open transaction (`BEGIN IMMEDIATE`) and committed with its checkpoint;
//! a row the table refuses undoes its own statement only. Commits are synced (`synchronous =
//! FULL`), so that they outlive the process and the power. Two processes are kept apart by the
//! epoch in [`state`], which every transaction reads before it writes.

mod attempt;
mod bind;
mod columns;
mod constraint;
mod ddl;
mod definition;
mod guard;
mod knobs;
mod layout;
mod plan;
mod reshape;
mod sink;
pub(crate) mod stamps;
mod state;
mod statements;
mod upsert;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dkhost_core::{
    Conflict, Error, OpenTarget, Options, Reshape, Result, Schema, Sink, Stamp, TargetPlan,
};

use crate::place::Place;
use layout::Layout;

/// Opens a target for the plan's schema.
pub(crate) fn open(options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
    Ok(Box::new(sink::SqliteSink::new(plan::target(
        options, open,
    )?)))
}

/// What the database says of the version of a target's records.
pub(crate) fn stamp(options: Options, base: &Path) -> Result<Option<Stamp>> {
    plan::stamp(options, base)
}

/// What a sink and its writers share.
pub(crate) struct Target {
    pub place: Place,
    /// The table's final name.
    pub table: String,
    pub layout: Layout,
    pub job: String,
    pub conflict: Conflict,
    /// The plan's schema.
    pub schema: Schema,
    /// The table's columns that tell rows apart, as the conflict mode needs them; else empty.
    pub key: Vec<String>,
    /// The table's definition when it was planned; `None` when it was absent.
    pub found: Option<String>,
    /// What creates the table, under a name.
    pub create: fn(&Target, &str) -> Result<String>,
    pub plans: Plans,
    /// What becomes of the table itself, when its records get another version.
    pub reshaped: Option<reshape::Reshaped>,
    /// The version they get.
    pub reshape: Option<Reshape>,
    /// The run and epoch that were claimed.
    pub claimed: Mutex<Option<(String, u64)>>,
    /// Whether the claimed run's result was published.
    pub published: AtomicBool,
}

/// The plan, and the same for a target that holds rows the plan did not reckon with.
pub(crate) struct Plans {
    pub planned: TargetPlan,
    pub shared: TargetPlan,
    /// Set by the claim, when an abandoned run left rows in a table that was empty before it.
    pub is_shared: AtomicBool,
}

impl Target {
    /// The plan as it stands.
    pub(crate) fn plan(&self) -> &TargetPlan {
        match self.plans.is_shared.load(Ordering::SeqCst) {
            true => &self.plans.shared,
            false => &self.plans.planned,
        }
    }

    /// The table rows go to.
    pub(crate) fn working_table(&self) -> String {
        match self.conflict {
            Conflict::ReplaceAll if !self.published.load(Ordering::SeqCst) => {
                ddl::staging_name(&self.table)
            }
            _ => self.table.clone(),
        }
    }

    /// The run and epoch of this process.
    pub(crate) fn claimed(&self) -> Result<(String, u64)> {
        let claimed = self
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        claimed.ok_or_else(|| Error::bug("an SQLite target was used before it was claimed"))
    }

    /// Table and file, for messages.
    pub(crate) fn label(&self) -> String {
        format!("table `{}` in {}", self.table, self.place.name)
    }
}
