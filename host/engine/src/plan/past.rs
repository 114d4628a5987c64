//! What the history says about a job when it is planned: the run to go on with, and the cursor.
//!
//! The cursor of an incremental job is that of its last finished run. It means nothing to another
//! source, so it is kept with a hash of what decides which records the source has; where that is
//! not the same any more, everything is read: records can come twice that way, but none is missed.

use dkhost_core::{Error, Incremental, Result, Source};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Purpose;
use super::hash::hexadecimal;
use crate::history::{History, RunRecord, Window};
use crate::job::Job;

/// What a plan takes from the history.
pub(super) struct Past {
    /// The unfinished run of this job, else a new one.
    pub run: Uuid,
    /// From where an incremental source is read.
    pub reading: Option<Reading>,
}

/// From where an incremental source is read, and why.
pub(super) struct Reading {
    pub open: Incremental,
    source: String,
    note: String,
}

impl Past {
    /// Looks the job up.
    pub fn of(job: &Job, purpose: Purpose) -> Result<Past> {
        let history = match purpose {
            Purpose::Look => None,
            Purpose::Run | Purpose::Retry | Purpose::Anew | Purpose::Full => {
                History::open_existing(&job.state)?
            }
        };
        let unfinished = match (&history, purpose) {
            (Some(history), Purpose::Run | Purpose::Retry) => history.unfinished(&job.name)?,
            _ => None,
        };
        let run = match &unfinished {
            Some(run) => run.id.parse().map_err(|cause: uuid::Error| {
                Error::state("state::corrupt", format!("`{}` is no run id", run.id))
                    .caused_by(cause)
            })?,
            None => Uuid::now_v7(),
        };
        Ok(Past {
            run,
            reading: Reading::of(job, purpose, history.as_ref(), unfinished.as_ref())?,
        })
    }
}

impl Reading {
    fn of(
        job: &Job,
        purpose: Purpose,
        history: Option<&History>,
        unfinished: Option<&RunRecord>,
    ) -> Result<Option<Reading>> {
        let Some(incremental) = &job.source.incremental else {
            return Ok(None);
        };
        let column = &incremental.column.0;
        let source = source_hash(job);
        let is_ours = |window: &&Window| window.column == *column && window.source == source;
        let kept = match history {
            Some(history) if purpose != Purpose::Full => history.cursor(&job.name)?,
            _ => None,
        };
        let interrupted = unfinished.and_then(|run| run.cursor.as_ref());
        let (cursor, until, why) = match (interrupted.filter(is_ours), &kept) {
            (Some(window), _) => (
                window.from.clone(),
                window.until.clone(),
                "where the interrupted run began",
            ),
            (None, Some(window)) if is_ours(&window) => {
                (window.until.clone(), None, "the cursor of the last run")
            }
            (None, Some(_)) => (
                None,
                None,
                "the cursor of the last run is of another source",
            ),
            (None, None) if purpose == Purpose::Full => (None, None, "the cursor is not asked"),
            (None, None) => (None, None, "no cursor is kept yet"),
        };
        let lookback = incremental.lookback.as_ref().map(|(text, _)| text.clone());
        Ok(Some(Reading {
            note: note(column, cursor.as_deref(), lookback.as_deref(), why),
            open: Incremental {
                column: column.clone(),
                lookback,
                cursor,
                until,
            },
            source,
        }))
    }

    /// What the plan says about it.
    pub fn note(&self, job: &Job) -> String {
        match job.source.limit {
            None => self.note.clone(),
            Some(_) => format!("{}; under `limit` the cursor stays where it is", self.note),
        }
    }

    /// What the history keeps of it, now that the source is open; nothing where `limit` leaves
    /// records out, which a cursor behind them would never come back to.
    pub fn window(&self, job: &Job, source: &dyn Source) -> Option<Window> {
        let Incremental {
            column,
            cursor,
            until,
            ..
        } = &self.open;
        let until = until.clone().or_else(|| source.cursor());
        job.source.limit.is_none().then(|| Window {
            column: column.clone(),
            from: cursor.clone(),
            until: until.or_else(|| cursor.clone()),
            source: self.source.clone(),
        })
    }
}

fn note(column: &str, cursor: Option<&str>, lookback: Option<&str>, why: &str) -> String {
    match (cursor, lookback) {
        (None, _) => format!("incremental by `{column}`: reads all records ({why})"),
        (Some(from), None) => {
            format!("incremental by `{column}`: reads from {from} on ({why})")
        }
        (Some(from), Some(back)) => {
            format!("incremental by `{column}`: reads from {from} less {back} on ({why})")
        }
    }
}

/// Keys of `[source]` that do not decide which records there are.
const BESIDE: [&str; 4] = ["partitions", "limit", "columns", "key"];

/// Hash of what decides which records a source has.
fn source_hash(job: &Job) -> String {
    let mut source = job.canonical["source"].clone();
    if let Some(source) = source.as_object_mut() {
        BESIDE.iter().for_each(|key| drop(source.remove(*key)));
        source.insert("incremental".into(), Value::Null);
    }
    hexadecimal(&Sha256::digest(source.to_string().as_bytes()))
}
