//! PostgreSQL as a target: rows, checkpoint and epoch change in one transaction.
//!
//! A batch goes by binary COPY straight into the table, or into a temporary table and from there
//! with `INSERT … SELECT` where values are converted or keys may meet ([`stage`]). What the server
//! refuses is found on the server, row by row ([`culprits`]). Two processes are kept apart by the
//! epoch in [`state`], which every commit checks; a claim also ends the connections of older ones,
//! whose locks would keep it waiting.

mod allowed;
mod claim;
mod columns;
mod culprits;
mod ddl;
mod guard;
mod halves;
mod kept;
mod keys;
mod knobs;
mod plan;
mod publish;
mod reasons;
mod reshape;
mod scan;
mod shape;
mod sink;
mod spare;
mod stage;
mod staging;
mod stamps;
mod state;
mod store;
mod times;
mod words;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use dkhost_core::{Conflict, Error, OpenTarget, Options, Result, Schema, Sink, TargetPlan};

use crate::catalog::{Name, OUR_SCHEMA};
use crate::name::quote;
use crate::server::Server;
use crate::session::Session;
use knobs::Store;

pub(crate) use stamps::of as stamp;

/// Opens a target for the plan's schema.
pub(crate) fn open(options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
    let target = plan::target(options, open)?;
    let store = target.store.clone();
    let table = sink::PostgresSink::new(target);
    Ok(match store {
        Some(store) => Box::new(store::StoreSink { table, store }),
        None => Box::new(table),
    })
}

/// What a sink and its writers share.
pub(crate) struct Target {
    pub server: Server,
    /// The table's name, its schema known.
    pub name: Name,
    pub job: String,
    pub conflict: Conflict,
    /// The plan's schema; of a store, that of its table.
    pub schema: Schema,
    /// What keeps records, where the table is a dataknobs store ([`store`]).
    store: Option<Arc<Store>>,
    /// The table's columns that tell rows apart, as the conflict mode needs them; else empty.
    pub key: Vec<String>,
    /// What the table looked like when it was planned; `None` when it was absent.
    pub found: Option<String>,
    /// CREATE TABLE's columns and constraints, for a table that is absent.
    pub create: String,
    /// The columns of the table as it will be, by name.
    shape: Vec<(String, String)>,
    /// What a migration makes of the table, where there is one.
    reshaped: Option<reshape::Reshaped>,
    /// Whether the content of rows that are overwritten is asked for.
    pub content: bool,
    pub plans: Plans,
    /// The run and epoch that were claimed.
    pub claimed: Mutex<Option<(String, u64)>>,
    /// What keeps others from writing to the table while it is read and replaced.
    guard: Mutex<Option<Session>>,
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

    /// The table's schema.
    pub(crate) fn schema_name(&self) -> &str {
        self.name.schema.as_deref().unwrap_or("public")
    }

    /// How the state in the target's database names this target; also for people.
    pub(crate) fn id(&self) -> String {
        format!("{}.{}", self.schema_name(), self.name.name)
    }

    /// The table rows end up in.
    pub(crate) fn final_table(&self) -> Name {
        self.name.clone()
    }

    /// The table in our schema that a result is built in before it replaces the other.
    pub(crate) fn staging_table(&self) -> Name {
        Name::of(OUR_SCHEMA, &format!("staging_{:016x}", mark(&self.id())))
    }

    /// The table rows go to.
    pub(crate) fn working_table(&self) -> Name {
        match self.is_staged() {
            true => self.staging_table(),
            false => self.final_table(),
        }
    }

    /// Whether rows go to a table that replaces the other in the end.
    pub(crate) fn is_staged(&self) -> bool {
        self.conflict == Conflict::ReplaceAll && !self.published.load(Ordering::SeqCst)
    }

    /// The run and epoch of this process.
    pub(crate) fn claimed(&self) -> Result<(String, u64)> {
        let claimed = self
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        claimed.ok_or_else(|| Error::bug("a PostgreSQL target was used before it was claimed"))
    }

    /// Table and database, for messages.
    pub(crate) fn label(&self) -> String {
        format!("table `{}` in {}", shown(&self.name), self.server.name)
    }
}

impl Target {
    /// Rows of the table in the plan's schema.
    pub(crate) fn planned(&self, rows: RecordBatch) -> Result<RecordBatch> {
        match &self.store {
            Some(store) => store.read(&rows),
            None => Ok(rows),
        }
    }
}

/// A name as people write it.
pub(crate) fn shown(name: &Name) -> String {
    match name.schema.as_deref() {
        None | Some("public") => name.name.clone(),
        Some(schema) => format!("{schema}.{}", name.name),
    }
}

/// A name as it stands in SQL.
pub(crate) fn sql(name: &Name) -> Result<String> {
    let table = quote(&name.name)?;
    match &name.schema {
        Some(schema) => Ok(format!("{}.{table}", quote(schema)?)),
        None => Ok(table),
    }
}

/// A number that tells texts apart, the same in every process and version (FNV-1a).
pub(crate) fn mark(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
