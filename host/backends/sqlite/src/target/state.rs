//! What a target remembers of a run: who owns it, and how far each partition is.
//!
//! Both are rows of `dkhost_checkpoint`, in the database of the data, so that they change in the
//! data's own transactions. The row of partition -1 is the claim; whoever raises its epoch fences
//! out every older process.

use dkhost_core::sink::fenced;
use dkhost_core::takeover::recall;
use dkhost_core::{Checkpoint, Class, Error, Result, TargetState};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::catalog::CHECKPOINT_TABLE;
use crate::fault::fault;
use crate::name::same;

/// The partition of the row that says who owns the target.
const CLAIM: i64 = -1;

/// Who owns the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub version: u32,
    pub run: String,
    pub epoch: u64,
    pub plan_hash: String,
    /// The table it writes to.
    pub table: String,
    /// Whether the table held nobody's rows when the run began.
    pub fresh: bool,
    pub published: bool,
    /// Whether it writes to a staging table that replaces the table at the end.
    #[serde(default)]
    pub replaces: bool,
    /// What the table held when the run began to read it, to bring it to another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// How the database kept its journal before.
    pub journal_mode: String,
}

/// The other job that is replacing `table` and has not published its result.
///
/// *Errors* – `state::newer` and `state::corrupt`.
pub(crate) fn replacing(db: &Connection, job: &str, table: &str) -> Result<Option<String>> {
    let read = || -> rusqlite::Result<Vec<(String, String)>> {
        let sql = "SELECT job, body FROM dkhost_checkpoint WHERE partition = ?1 AND job <> ?2";
        let mut statement = db.prepare(sql)?;
        statement
            .query_map((CLAIM, job), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    for (other, body) in read().map_err(reading)? {
        let owner: Owner = parse(&body, &other)?;
        if owner.replaces && !owner.published && same(&owner.table, table) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Everything a target remembers of a job.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub owner: Owner,
    pub checkpoints: Vec<Checkpoint>,
}

impl Memory {
    /// Reads it; `None` when there is nothing.
    ///
    /// *Errors* – `state::newer` and `state::corrupt`.
    pub(crate) fn read(db: &Connection, job: &str) -> Result<Option<Self>> {
        if !exists(db)? {
            return Ok(None);
        }
        let mut owner = None;
        let mut checkpoints = Vec::new();
        for (partition, body) in rows(db, job)? {
            if partition == CLAIM {
                owner = Some(parse::<Owner>(&body, job)?);
            } else {
                checkpoints.push(parse::<Checkpoint>(&body, job)?);
            }
        }
        match owner {
            Some(owner) => Ok(Some(Memory { owner, checkpoints })),
            None if checkpoints.is_empty() => Ok(None),
            None => Err(corrupt(job, "it has checkpoints, but nobody owns them")),
        }
    }

    /// As the engine sees it.
    pub(crate) fn into_state(self) -> TargetState {
        let Memory { owner, checkpoints } = self;
        TargetState {
            run: owner.run,
            epoch: owner.epoch,
            plan_hash: owner.plan_hash,
            checkpoints,
            published: owner.published,
        }
    }
}

fn exists(db: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    db.query_row(sql, [CHECKPOINT_TABLE], |row| row.get(0))
        .map_err(reading)
}

fn rows(db: &Connection, job: &str) -> Result<Vec<(i64, String)>> {
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let sql = "SELECT partition, body FROM dkhost_checkpoint WHERE job = ?1 ORDER BY partition";
        let mut statement = db.prepare(sql)?;
        statement
            .query_map([job], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    read().map_err(|cause| match cause.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::DatabaseBusy
            | rusqlite::ErrorCode::DatabaseLocked
            | rusqlite::ErrorCode::SystemIoFailure,
        ) => reading(cause),
        _ => corrupt(job, "the table has another shape").caused_by(cause),
    })
}

fn parse<T: for<'de> Deserialize<'de>>(body: &str, job: &str) -> Result<T> {
    recall(body, job, |why| corrupt(job, why))
}

fn corrupt(job: &str, why: &str) -> Error {
    Error::state("state::corrupt", format!("the checkpoint of job `{job}` cannot be read: {why}"))
        .help("if nobody needs to resume that run: DELETE FROM dkhost_checkpoint, and start anew with `dkhost run --no-resume`")
}

fn reading(cause: rusqlite::Error) -> Error {
    fault("read the checkpoints in the target", cause)
}

fn writing(cause: rusqlite::Error) -> Error {
    fault("write the checkpoint in the target", cause)
}

/// Creates the table.
pub(crate) fn create(db: &Connection) -> Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS dkhost_checkpoint (job TEXT NOT NULL, partition INTEGER NOT NULL, \
         body TEXT NOT NULL, PRIMARY KEY (job, partition)) WITHOUT ROWID",
    )
    .map_err(writing)
}

/// Puts the owner down.
pub(crate) fn write_owner(db: &Connection, job: &str, owner: &Owner) -> Result<()> {
    write(db, job, CLAIM, owner)
}

/// Puts a partition's checkpoint down.
pub(crate) fn write_checkpoint(db: &Connection, checkpoint: &Checkpoint) -> Result<()> {
    write(
        db,
        &checkpoint.job,
        i64::from(checkpoint.partition),
        checkpoint,
    )
}

fn write(db: &Connection, job: &str, partition: i64, body: &impl Serialize) -> Result<()> {
    let body = serde_json::to_string(body)
        .map_err(|cause| Error::bug("a checkpoint could not be written").caused_by(cause))?;
    db.execute(
        "INSERT OR REPLACE INTO dkhost_checkpoint (job, partition, body) VALUES (?1, ?2, ?3)",
        (job, partition, body),
    )
    .map(drop)
    .map_err(writing)
}

/// Forgets the checkpoints of a job.
pub(crate) fn drop_checkpoints(db: &Connection, job: &str) -> Result<()> {
    db.execute(
        "DELETE FROM dkhost_checkpoint WHERE job = ?1 AND partition <> ?2",
        (job, CLAIM),
    )
    .map(drop)
    .map_err(writing)
}

/// Forgets a job, and the table with the last one.
pub(crate) fn forget(db: &Connection, job: &str) -> Result<()> {
    let forget = || -> rusqlite::Result<()> {
        db.execute("DELETE FROM dkhost_checkpoint WHERE job = ?1", [job])?;
        let left: bool = db.query_row(
            "SELECT EXISTS(SELECT 1 FROM dkhost_checkpoint)",
            [],
            |row| row.get(0),
        )?;
        if !left {
            db.execute_batch("DROP TABLE dkhost_checkpoint")?;
        }
        Ok(())
    };
    forget().map_err(writing)
}

/// The owner of the target, which must still be `epoch` of `run`.
///
/// *Errors* – `run::fenced`.
pub(crate) fn fence(db: &Connection, job: &str, run: &str, epoch: u64) -> Result<Owner> {
    let body: Option<String> = match exists(db)? {
        true => db
            .query_row(
                "SELECT body FROM dkhost_checkpoint WHERE job = ?1 AND partition = ?2",
                (job, CLAIM),
                |row| row.get(0),
            )
            .optional()
            .map_err(reading)?,
        false => None,
    };
    let Some(body) = body else {
        return Err(Error::new(
            Class::Locked,
            "run::fenced",
            format!("run {run} no longer owns its target: another process ended it"),
        )
        .help("`dkhost history` shows what became of it"));
    };
    let owner: Owner = parse(&body, job)?;
    if owner.run != run || owner.epoch != epoch {
        return Err(fenced(run, epoch, owner.epoch));
    }
    Ok(owner)
}

/// The checkpoint of a partition.
pub(crate) fn checkpoint(db: &Connection, job: &str, partition: u32) -> Result<Option<Checkpoint>> {
    let body: Option<String> = db
        .query_row(
            "SELECT body FROM dkhost_checkpoint WHERE job = ?1 AND partition = ?2",
            (job, partition),
            |row| row.get(0),
        )
        .optional()
        .map_err(reading)?;
    body.map(|body| parse(&body, job)).transpose()
}
