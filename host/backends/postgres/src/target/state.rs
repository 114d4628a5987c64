//! What a target remembers of a run: who owns it, and how far each partition is.
//!
//! Both are rows of tables in the schema `dkhost`, in the database of the data, so that they change
//! in the data's own transactions. Whoever raises the owner's epoch fences out every older process:
//! a commit writes its checkpoint only while the owner's row says its own epoch, and holds that row
//! until it is over.

use dkhost_core::sink::fenced;
use dkhost_core::takeover::recall;
use dkhost_core::{Checkpoint, Class, Error, Result, TargetState};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;

use super::{mark, stamps};
use crate::session::Session;

const READING: &str = "read the checkpoints in the target";
const WRITING: &str = "write the checkpoint in the target";

/// By this comment the schema is known as one that we made, and may remove.
const COMMENT: &str = "dkhost: checkpoints of runs that are not finished";

/// What to do where the schema is another user's.
const SHARING: &str = "the schema `dkhost` keeps checkpoints of another user's runs, and goes with the last of them; to share it meanwhile: \
    GRANT USAGE, CREATE ON SCHEMA dkhost TO …; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dkhost TO …";

/// Who owns the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub version: u32,
    pub run: String,
    pub epoch: u64,
    pub plan_hash: String,
    /// Whether the table held nobody's rows when the run began.
    pub fresh: bool,
    pub published: bool,
    /// Whether it writes to a staging table that replaces the table at the end.
    pub replaces: bool,
    /// Which rows a table held when a run began that reads it and replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
}

/// Which target of which job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub job: &'a str,
    /// `schema.table`.
    pub target: &'a str,
}

impl Whose<'_> {
    /// What an advisory lock is taken on by everybody who writes for this job and target.
    fn lock(&self) -> i32 {
        (mark(&format!("dkhost {} {}", self.job, self.target)) >> 32) as i32
    }

    /// The same for one partition, taken alone.
    fn partition_lock(&self, partition: u32) -> i32 {
        let name = format!("dkhost {} {} {partition}", self.job, self.target);
        (mark(&name) >> 32) as i32
    }
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
    pub(crate) fn read(session: &mut Session, whose: Whose<'_>) -> Result<Option<Self>> {
        Self::look(session, whose).map_err(|error| match error.code() {
            "postgres::denied" => error.help(SHARING),
            _ => error,
        })
    }

    fn look(session: &mut Session, whose: Whose<'_>) -> Result<Option<Self>> {
        if !exists(session)? {
            return Ok(None);
        }
        let Some(owner) = owner(session, whose)? else {
            return Ok(None);
        };
        let sql =
            "SELECT body FROM dkhost.checkpoint WHERE job = $1 AND target = $2 ORDER BY partition";
        let rows = session.rows(READING, sql, &text2(&whose.job, &whose.target))?;
        let checkpoints = rows.iter().map(|row| parse(row.get(0), whose.job));
        Ok(Some(Memory {
            owner,
            checkpoints: checkpoints.collect::<Result<_>>()?,
        }))
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

type Parameter<'a> = (&'a (dyn tokio_postgres::types::ToSql + Sync), Type);

fn text2<'a>(first: &'a &str, second: &'a &str) -> [Parameter<'a>; 2] {
    [(first, Type::TEXT), (second, Type::TEXT)]
}

fn exists(session: &mut Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.to_regclass('dkhost.owner') IS NOT NULL";
    let rows = session.rows(READING, sql, &[])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Who owns the target, if anybody does.
pub(crate) fn owner(session: &mut Session, whose: Whose<'_>) -> Result<Option<Owner>> {
    let sql = "SELECT body FROM dkhost.owner WHERE job = $1 AND target = $2";
    let rows = session.rows(READING, sql, &text2(&whose.job, &whose.target))?;
    let owner = rows.first().map(|row| parse(row.get(0), whose.job));
    owner.transpose()
}

/// The other job that is replacing the target and has not published its result.
pub(crate) fn replacing(session: &mut Session, whose: Whose<'_>) -> Result<Option<String>> {
    let sql = "SELECT job, body FROM dkhost.owner WHERE job <> $1 AND target = $2";
    for row in session.rows(READING, sql, &text2(&whose.job, &whose.target))? {
        let other: String = row.get(0);
        let owner: Owner = parse(row.get(1), &other)?;
        if owner.replaces && !owner.published {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

fn parse<T: for<'de> Deserialize<'de>>(body: &str, job: &str) -> Result<T> {
    recall(body, job, |why| corrupt(job, why))
}

fn corrupt(job: &str, why: &str) -> Error {
    Error::state(
        "state::corrupt",
        format!("the checkpoint of job `{job}` in the target cannot be read: {why}"),
    )
    .help(format!(
        "if nobody needs to resume that run: DELETE FROM dkhost.checkpoint WHERE job = {job}; \
         DELETE FROM dkhost.owner WHERE job = {job}; and start anew with `dkhost run --no-resume`",
        job = crate::name::literal(job)
    ))
}

fn json(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body)
        .map_err(|cause| Error::bug("a checkpoint could not be written").caused_by(cause))
}

/// Creates schema and tables unless they are there. Whoever claims holds a lock meanwhile, and so
/// does whoever removes them.
pub(crate) fn create(session: &mut Session) -> Result<()> {
    alone(session)?;
    if exists(session)? {
        return Ok(());
    }
    let sql = "SELECT pg_catalog.to_regnamespace('dkhost') IS NOT NULL";
    let rows = session.rows(READING, sql, &[])?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        let create = format!("CREATE SCHEMA dkhost; COMMENT ON SCHEMA dkhost IS '{COMMENT}'");
        session.run("create the schema `dkhost` for checkpoints", &create)?;
    }
    session.run(
        "create the tables for checkpoints",
        "CREATE TABLE IF NOT EXISTS dkhost.owner (job text COLLATE \"C\", target text COLLATE \"C\", \
           run text NOT NULL, epoch bigint NOT NULL, body text NOT NULL, PRIMARY KEY (job, target)); \
         CREATE TABLE IF NOT EXISTS dkhost.checkpoint (job text COLLATE \"C\", target text COLLATE \"C\", \
           partition bigint, run text NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL, \
           body text NOT NULL, PRIMARY KEY (job, target, partition)) WITH (fillfactor = 50)",
    )
}

/// Waits until nobody else creates or removes state, and keeps others waiting to the end of the
/// transaction.
pub(crate) fn alone(session: &mut Session) -> Result<()> {
    let sql = format!(
        "SELECT pg_advisory_xact_lock({}, 0)",
        mark("dkhost state") as i32
    );
    session.run("claim the target", &sql)
}

/// Puts the owner down.
pub(crate) fn write_owner(session: &mut Session, whose: Whose<'_>, owner: &Owner) -> Result<()> {
    let (body, epoch) = (json(owner)?, owner.epoch as i64);
    let sql = "INSERT INTO dkhost.owner (job, target, run, epoch, body) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (job, target) DO UPDATE SET run = excluded.run, epoch = excluded.epoch, body = excluded.body";
    let parameters: [Parameter<'_>; 5] = [
        (&whose.job, Type::TEXT),
        (&whose.target, Type::TEXT),
        (&owner.run, Type::TEXT),
        (&epoch, Type::INT8),
        (&body, Type::TEXT),
    ];
    session.execute(WRITING, sql, &parameters).map(drop)
}

/// Writes a partition's checkpoint if its epoch still owns the target and it is ahead of what is
/// there; the owner's row is held until the transaction ends. False if not.
pub(crate) fn advance(
    session: &mut Session,
    whose: Whose<'_>,
    checkpoint: &Checkpoint,
) -> Result<bool> {
    let sql = "WITH owner AS (SELECT FROM dkhost.owner WHERE job = $1 AND target = $2 AND run = $3 AND epoch = $4 FOR SHARE) \
               INSERT INTO dkhost.checkpoint AS c (job, target, partition, run, epoch, seq, body) \
               SELECT $1, $2, $5, $3, $4, $6, $7 FROM owner \
               ON CONFLICT (job, target, partition) DO UPDATE \
               SET run = excluded.run, epoch = excluded.epoch, seq = excluded.seq, body = excluded.body \
               WHERE c.run <> excluded.run OR c.seq < excluded.seq";
    let (epoch, seq, body) = (
        checkpoint.epoch as i64,
        checkpoint.seq as i64,
        json(checkpoint)?,
    );
    let partition = i64::from(checkpoint.partition);
    let parameters: [Parameter<'_>; 7] = [
        (&whose.job, Type::TEXT),
        (&whose.target, Type::TEXT),
        (&checkpoint.run, Type::TEXT),
        (&epoch, Type::INT8),
        (&partition, Type::INT8),
        (&seq, Type::INT8),
        (&body, Type::TEXT),
    ];
    Ok(session.execute(WRITING, sql, &parameters)? > 0)
}

/// The checkpoint of a partition; waits for whoever is writing it.
pub(crate) fn checkpoint(
    session: &mut Session,
    whose: Whose<'_>,
    partition: u32,
) -> Result<Option<Checkpoint>> {
    let sql = "SELECT body FROM dkhost.checkpoint WHERE job = $1 AND target = $2 AND partition = $3 FOR UPDATE";
    let partition = i64::from(partition);
    let parameters: [Parameter<'_>; 3] = [
        (&whose.job, Type::TEXT),
        (&whose.target, Type::TEXT),
        (&partition, Type::INT8),
    ];
    let rows = session.rows(READING, sql, &parameters)?;
    let found = rows.first().map(|row| parse(row.get(0), whose.job));
    found.transpose()
}

/// The owner of the target, which must still be `epoch` of `run`.
///
/// *Errors* – `run::fenced`.
pub(crate) fn fence(
    session: &mut Session,
    whose: Whose<'_>,
    run: &str,
    epoch: u64,
) -> Result<Owner> {
    let owner = match exists(session)? {
        true => owner(session, whose)?,
        false => None,
    };
    match owner {
        Some(owner) if owner.run == run && owner.epoch == epoch => Ok(owner),
        Some(owner) => Err(fenced(run, epoch, owner.epoch)),
        None => Err(Error::new(
            Class::Locked,
            "run::fenced",
            format!("run {run} no longer owns its target: another process ended it"),
        )
        .help("`dkhost history` shows what became of it")),
    }
}

/// What shows in the server that a transaction writes this partition in this epoch: see
/// [`end_others`] and [`end_own`]. Two never do at once.
pub(crate) fn show(whose: Whose<'_>, epoch: u64, partition: u32) -> String {
    let epoch = epoch as u32 as i32;
    format!(
        "SELECT pg_advisory_xact_lock_shared({}, {epoch}), pg_advisory_xact_lock({}, {epoch})",
        whose.lock(),
        whose.partition_lock(partition),
    )
}

/// The same for a connection that holds the target for all partitions.
pub(crate) fn show_holder(whose: Whose<'_>, epoch: u64) -> String {
    let epoch = epoch as u32 as i32;
    format!(
        "SELECT pg_advisory_xact_lock_shared({}, {epoch})",
        whose.lock()
    )
}

/// Ends the connections of older epochs: one that is paused in a transaction holds rows that the
/// next writes, and would keep it waiting for ever. What they have not committed is undone.
///
/// Where the server does not let us (another role's connection), they end when they notice.
pub(crate) fn end_others(session: &mut Session, whose: Whose<'_>, epoch: u64) -> Result<()> {
    end(session, whose.lock(), "<>", epoch)
}

/// Ends connections of this partition that were lost, but whose transactions the server still
/// keeps: what became of a commit is known only when they are over.
pub(crate) fn end_own(
    session: &mut Session,
    whose: Whose<'_>,
    epoch: u64,
    partition: u32,
) -> Result<()> {
    end(session, whose.partition_lock(partition), "=", epoch)
}

fn end(session: &mut Session, lock: i32, epochs: &str, epoch: u64) -> Result<()> {
    let sql = format!(
        "SELECT pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l \
         JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.classid = ($1 & 4294967295)::oid \
           AND l.objid {epochs} $2::oid AND l.pid <> pg_backend_pid() AND pg_has_role(a.usesysid, 'USAGE') \
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    );
    let (class, object) = (i64::from(lock), i64::from(epoch as u32));
    let parameters: [Parameter<'_>; 2] = [(&class, Type::INT8), (&object, Type::INT8)];
    for _ in 0..ENDING_TRIES {
        let ended = session.rows("end what an older connection left open", &sql, &parameters)?;
        if ended.is_empty() {
            break;
        }
        std::thread::sleep(ENDING_PAUSE);
    }
    Ok(())
}

/// How often, and how long apart, it is looked whether an older epoch's connections have ended.
const ENDING_TRIES: u32 = 100;
const ENDING_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Forgets the checkpoints of a job.
pub(crate) fn drop_checkpoints(session: &mut Session, whose: Whose<'_>) -> Result<()> {
    let sql = "DELETE FROM dkhost.checkpoint WHERE job = $1 AND target = $2";
    session
        .execute(WRITING, sql, &text2(&whose.job, &whose.target))
        .map(drop)
}

/// Forgets a job; with the last one tables and schema go, unless there is more in it than we made.
pub(crate) fn forget(session: &mut Session, whose: Whose<'_>) -> Result<()> {
    alone(session)?;
    drop_checkpoints(session, whose)?;
    let sql = "DELETE FROM dkhost.owner WHERE job = $1 AND target = $2";
    session.execute(WRITING, sql, &text2(&whose.job, &whose.target))?;
    let sql = "SELECT NOT EXISTS (SELECT FROM dkhost.owner) AND NOT EXISTS (SELECT FROM dkhost.checkpoint) \
               AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = 'dkhost.owner'::regclass), 'USAGE') \
               AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = 'dkhost.checkpoint'::regclass), 'USAGE')";
    let rows = session.rows(READING, sql, &[])?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    session.run(WRITING, "DROP TABLE dkhost.owner, dkhost.checkpoint")?;
    stamps::drop_empty(session)?;
    let sql = format!(
        "SELECT pg_has_role(n.nspowner, 'USAGE') AND coalesce(obj_description(n.oid, 'pg_namespace'), '') = '{COMMENT}' \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass \
                             AND d.refobjid = n.oid AND d.deptype IN ('n', 'a', 'i')) \
         FROM pg_catalog.pg_namespace n WHERE n.nspname = 'dkhost'"
    );
    let rows = session.rows(READING, &sql, &[])?;
    match rows.first().is_some_and(|row| row.get(0)) {
        true => session.run(WRITING, "DROP SCHEMA dkhost"),
        false => Ok(()),
    }
}
