//! Writing: rows and their checkpoint become durable together, or not at all.
//!
//! ```text
//! open_target → plan()                      nothing is written
//! claim(run)  → epoch, checkpoints          the target is ours; older epochs can no longer commit
//! writer(partition) → write(batch)… commit(checkpoint)      repeated
//! scan()                                    reads back what is held, for verification
//! publish()                                 makes the result visible under its final name
//! retire()                                  forgets the run, after the history knows it is done
//! ```

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::{Batch, Checkpoint, ContentSum, Error, Field, Partition, Result, RowReject};

/// What happens when a record meets one with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// Refuse the newcomer.
    Insert,
    /// Replace what is there.
    Upsert,
    /// Keep what is there.
    Skip,
    /// Build the whole target anew beside the old one and swap at the end.
    ReplaceAll,
}

impl Conflict {
    /// The spelling in job files.
    pub fn word(self) -> &'static str {
        match self {
            Conflict::Insert => "insert",
            Conflict::Upsert => "upsert",
            Conflict::Skip => "skip",
            Conflict::ReplaceAll => "replace-all",
        }
    }
}

/// How one column of the plan's schema is held in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The type in the target's own words: `TEXT`, `INT64`, `string`.
    pub target_type: String,
    /// How values get there when it is not their own type: `as ISO 8601 text`.
    pub how: Option<String>,
    /// Why values may change on the way; must be allowed by `allow_lossy`.
    pub lossy: Option<String>,
}

/// What the target will do, known before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetPlan {
    /// For people: `table movies in out/movies.db`.
    pub label: String,
    /// `effectively-once` or `at-least-once`.
    pub promise: String,
    /// By which mechanism.
    pub mechanism: String,
    /// What will be created, altered or replaced, a sentence each.
    pub effects: Vec<String>,
    /// What the target cannot hold, a sentence each.
    pub notes: Vec<String>,
    /// The target's columns.
    pub columns: Vec<Column>,
    /// Whether the target holds none of somebody else's rows: then what it holds at the end is
    /// what this run sent.
    pub fresh: bool,
    /// Whether several partitions may write at once; otherwise they go one after the other.
    pub concurrent: bool,
}

/// What is found in a target of an earlier, unretired run of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetState {
    /// The run that wrote last.
    pub run: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its plan hash.
    pub plan_hash: String,
    /// Its checkpoints, by partition; empty before the first commit.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether its result was published.
    pub published: bool,
}

/// Who takes the target over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job's name.
    pub job: String,
    /// The run (UUIDv7).
    pub run: String,
    /// Its plan hash.
    pub plan_hash: String,
    /// The epoch must be greater than this.
    pub epoch_floor: u64,
}

/// The target is ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Greater than every epoch this target has seen.
    pub epoch: u64,
    /// Where this run's partitions stand, as the target knows it; empty for a new run.
    pub checkpoints: Vec<Checkpoint>,
}

/// A target that is open and planned; nothing was written yet.
pub trait Sink: Send + Sync {
    /// What the target will do.
    fn plan(&self) -> &TargetPlan;

    /// What is left in the target of an earlier run of `job`; `None` when nothing is.
    fn inspect(&self, job: &str) -> Result<Option<TargetState>>;

    /// Takes the target over: creates what the plan said (or finds it, on resume), raises the
    /// epoch, drops what a run other than `claim.run` left behind unpublished.
    ///
    /// *Errors* – `target::exists` and the like if what the plan found has changed since.
    fn claim(&self, claim: &Claim) -> Result<Claimed>;

    /// Opens a partition for writing, from the checkpoint the target holds (uncommitted leftovers
    /// are cut off). Only after [`Sink::claim`].
    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>>;

    /// How many rows the target holds now, somebody else's included.
    fn count(&self) -> Result<u64> {
        let mut rows = 0;
        self.scan(&mut |records| {
            rows += records.num_rows() as u64;
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads back every row the target holds now, in the plan's schema. After [`Sink::claim`];
    /// under `replace-all` this is the staged result, not what it will replace.
    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()>;

    /// Makes the result visible under its final name. Repeating it changes nothing.
    fn publish(&self) -> Result<()>;

    /// Forgets the run: removes the temporary files and checkpoints that only a resume needs.
    /// Called when the history knows that the run is done. Repeating it changes nothing. Without a
    /// claim it sweeps after a run that published its result and was killed before it could.
    fn retire(&self) -> Result<()>;
}

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the target (once committed).
    Written,
    /// It met a row that stays: `skip`, or equal already.
    Unchanged,
    /// A later row of this batch with the same key took its place.
    Deduplicated,
    /// It is among [`WriteReport::rejects`].
    Rejected,
}

/// What became of every row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcomes {
    /// All of them were written.
    AllWritten,
    /// One per row.
    Each(Vec<Outcome>),
}

/// A sink's answer for one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteReport {
    /// What became of every row of the batch.
    pub outcomes: Outcomes,
    /// Why rows were rejected; one for each `Outcome::Rejected`, by row, ascending.
    pub rejects: Vec<RowReject>,
    /// Content of the target's rows that were overwritten, in the plan's schema.
    pub replaced: ContentSum,
    /// How many rows were overwritten.
    pub replaced_rows: u64,
}

impl WriteReport {
    /// Every row was written and none overwrote another.
    pub fn all_written() -> Self {
        WriteReport {
            outcomes: Outcomes::AllWritten,
            rejects: Vec::new(),
            replaced: ContentSum::default(),
            replaced_rows: 0,
        }
    }
}

/// Whether a commit survives a power cut already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// The checkpoint and everything before it is durable.
    Now,
    /// It will be with a later commit, or with [`Writer::flush`]; until then a crash resumes from
    /// an earlier checkpoint of this target.
    Later,
}

/// Writes one partition.
pub trait Writer: Send {
    /// The checkpoint this partition resumes from, as the target holds it.
    fn checkpoint(&self) -> Option<&Checkpoint>;

    /// Stages a batch. Nothing of it survives a crash before [`Writer::commit`].
    ///
    /// *Shape* – `batch.records` has the plan's schema and may have no rows.
    /// *Errors* – about the target as a whole. A row it refuses comes back in the report. After a
    /// transient one the engine rolls back and writes the same batch again, so the call must work
    /// on a connection that was lost before it.
    fn write(&mut self, batch: &Batch) -> Result<WriteReport>;

    /// The staged rows with [`Outcome::Written`] as the target holds them, in batch order and the
    /// plan's schema; for `verify = "full"`, before the commit.
    fn read_back(&mut self) -> Result<RecordBatch>;

    /// Makes the staged rows and `checkpoint` durable together, after checking that no newer
    /// epoch has taken the target over. Repeated with the same epoch and seq it is a no-op; repeated
    /// after an error it commits what is staged still, or fails: never the checkpoint alone.
    ///
    /// *Errors* – `run::fenced` when a newer epoch owns the target; [`staged_lost`] when the
    /// connection went before the commit happened, and what was staged with it: only then is the
    /// batch written again instead of the commit repeated.
    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable>;

    /// Drops what was staged since the last commit.
    ///
    /// A writer that lost its connection has nothing staged any more: its transaction ended with
    /// it. It answers `Ok` and connects again, here or with the next call.
    ///
    /// *Errors* – a transient one when it cannot say (the server does not answer): the engine drops
    /// the writer and opens another one ([`Sink::writer`]), which must not find what was staged.
    /// After any other error nothing is written any more.
    fn roll_back(&mut self) -> Result<()>;

    /// Makes everything committed durable: before a pause and at the end of the partition.
    fn flush(&mut self) -> Result<()>;

    /// Adds columns to the target under `schema_drift = "evolve"`; later batches have them at
    /// their end. Columns it has already are no error, and those it adds stay when a batch is rolled
    /// back.
    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        Err(Error::data(
            "target::cannot_evolve",
            format!(
                "this target cannot take the new column `{}`",
                columns.first().map_or("", |c| &c.name)
            ),
        ))
    }
}

/// The epoch of a claim on a target that has seen epoch `seen`: greater than all before it.
///
/// *Errors* – `state::corrupt` when there is none; no run comes that far, so the number was changed.
pub fn next_epoch(seen: u64, claim: &Claim) -> Result<u64> {
    // Targets and history keep it as a signed number.
    let last = seen.max(claim.epoch_floor);
    let next = last
        .checked_add(1)
        .filter(|next| i64::try_from(*next).is_ok());
    next.ok_or_else(|| {
        Error::state("state::corrupt", format!("job `{}` cannot have come to epoch {last}", claim.job))
            .help("the history or what the target keeps of the run was changed; put it back as it was, or write to another target")
    })
}

/// The code of [`staged_lost`].
pub const STAGED_LOST: &str = "target::staged_lost";

/// The error of a commit that did not happen and cannot happen any more: what was staged ended
/// with the connection.
pub fn staged_lost(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        crate::Class::Transient,
        STAGED_LOST,
        "the connection was lost before the commit, and what was staged with it",
    )
    .caused_by(cause)
}

/// The error of a commit by a process whose run was taken over.
pub fn fenced(run: &str, ours: u64, theirs: u64) -> Error {
    Error::new(
        crate::Class::Locked,
        "run::fenced",
        format!("run {run} was taken over by another process (epoch {theirs}, ours is {ours})"),
    )
    .help("nothing was written by this process since; `dkhost history` shows the run that goes on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_no_run_can_reach_is_corrupt_and_no_overflow() {
        let claim = |epoch_floor| Claim {
            job: "job".into(),
            run: "run".into(),
            plan_hash: String::new(),
            epoch_floor,
        };
        assert_eq!(next_epoch(4, &claim(2)).unwrap(), 5);
        for (seen, floor) in [(u64::MAX, 0), (0, u64::MAX), (0, i64::MAX as u64)] {
            let error = next_epoch(seen, &claim(floor)).unwrap_err();
            assert_eq!(
                (error.code(), error.class()),
                ("state::corrupt", crate::Class::State)
            );
        }
    }
}
