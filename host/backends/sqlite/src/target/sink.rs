//! The target as a whole: claimed, scanned, published, retired.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::sink::next_epoch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{
    Claim, Claimed, Class, Conflict, Error, Partition, Result, Sink, TargetPlan, TargetState,
    Writer, fail,
};
use rusqlite::{Connection, TransactionBehavior};

use super::layout::Layout;
use super::state::{self, Memory, Owner};
use super::writer::SqliteWriter;
use super::{Target, ddl, guard, knobs, stamps};
use crate::catalog::Table;
use crate::fault::fault;
use crate::name::{quote, quote_all};

/// Rows given to `scan`'s callback at once.
const SCAN_ROWS: usize = 8192;

/// An open target.
pub(super) struct SqliteSink {
    target: Arc<Target>,
    seen: LastLook,
}

impl SqliteSink {
    pub(super) fn new(target: Target) -> Self {
        SqliteSink {
            target: Arc::new(target),
            seen: LastLook::default(),
        }
    }

    /// Opens the target to read back what this run wrote, unless somebody took it over: then the
    /// staging table may be gone or another's.
    fn open_ours(&self) -> Result<Connection> {
        let db = self.target.place.open_to_look()?;
        if let Ok((run, epoch)) = self.target.claimed() {
            state::fence(&db, &self.target.job, &run, epoch)?;
        }
        Ok(db)
    }

    fn failed(&self, doing: &str, cause: rusqlite::Error) -> Error {
        fault(format!("{doing} {}", self.target.label()), cause)
    }
}

impl Sink for SqliteSink {
    fn plan(&self) -> &TargetPlan {
        self.target.plan()
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let memory = match self.target.place.exists() {
            true => Memory::read(&self.target.place.open_to_look()?, job)?,
            false => None,
        };
        let state = memory.map(Memory::into_state);
        self.seen.note(state.as_ref());
        Ok(state)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let target = &self.target;
        let mut db = target.place.open_to_write(true)?;
        let before = journal_mode(&db);
        fail::point("sqlite.claim.opened")?;
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|cause| self.failed("claim", cause))?;
        state::create(&tx)?;
        let memory = Memory::read(&tx, &claim.job)?;
        let ours = memory
            .as_ref()
            .filter(|memory| memory.owner.run == claim.run);
        let published = ours.is_some_and(|memory| memory.owner.published);
        target.published.store(published, Ordering::SeqCst);
        if target.conflict == Conflict::ReplaceAll && !published {
            alone(target, &tx, &claim.job)?;
        }
        if let Some(memory) = memory.as_ref().filter(|_| ours.is_none()) {
            let found = memory.clone().into_state();
            self.seen.ensure_unmoved(&found, &target.label())?;
            drop_leftovers(&tx, &claim.job, memory)?;
        }
        prepare(target, &tx, ours)?;
        let fresh = match ours {
            Some(memory) => memory.owner.fresh,
            None => target.conflict == Conflict::ReplaceAll || count(&tx, &target.table)? == 0,
        };
        target.plans.is_shared.store(!fresh, Ordering::SeqCst);
        let known = memory.as_ref().map_or(0, |memory| memory.owner.epoch);
        let content = match published {
            true => None,
            false => guard::content(
                target,
                &tx,
                ours.and_then(|memory| memory.owner.content.clone()),
            )?,
        };
        let owner = Owner {
            version: CHECKPOINT_VERSION,
            run: claim.run.clone(),
            epoch: next_epoch(known, claim)?,
            plan_hash: claim.plan_hash.clone(),
            table: target.table.clone(),
            fresh,
            published,
            replaces: target.conflict == Conflict::ReplaceAll,
            content,
            journal_mode: memory
                .as_ref()
                .map_or(before, |memory| memory.owner.journal_mode.clone()),
        };
        state::write_owner(&tx, &claim.job, &owner)?;
        fail::point("sqlite.claim.prepared")?;
        tx.commit().map_err(|cause| self.failed("claim", cause))?;
        fail::point("sqlite.claim.committed")?;
        // A log makes a commit one append and one sync, and lets others read meanwhile. A database
        // that somebody is reading stays as it is: only slower.
        let _ = db.pragma_update(None, "journal_mode", "WAL");
        fail::point("sqlite.claim.journal-changed")?;
        *target
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((claim.run.clone(), owner.epoch));
        let checkpoints = ours
            .map(|memory| memory.checkpoints.clone())
            .unwrap_or_default();
        Ok(Claimed {
            epoch: owner.epoch,
            checkpoints,
        })
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(SqliteWriter::open(
            self.target.clone(),
            partition.index,
        )?))
    }

    fn count(&self) -> Result<u64> {
        count(&self.open_ours()?, &self.target.working_table())
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let target = &self.target;
        let db = self.open_ours()?;
        let names = target.layout.selected(&target.schema);
        let columns = if names.is_empty() {
            "NULL".to_owned()
        } else {
            quote_all(names.iter().map(String::as_str))?
        };
        let sql = format!("SELECT {columns} FROM {}", quote(&target.working_table())?);
        let mut statement = db
            .prepare(&sql)
            .map_err(|cause| self.failed("read back", cause))?;
        let mut rows = statement
            .query([])
            .map_err(|cause| self.failed("read back", cause))?;
        let mut back = target.layout.read_back(&target.schema);
        let mut left = SCAN_ROWS;
        while let Some(row) = rows
            .next()
            .map_err(|cause| self.failed("read back", cause))?
        {
            back.push(row, 0);
            left -= 1;
            if left == 0 {
                each(back.finish()?)?;
                left = SCAN_ROWS;
            }
        }
        if left < SCAN_ROWS {
            each(back.finish()?)
        } else {
            Ok(())
        }
    }

    fn publish(&self) -> Result<()> {
        let target = &self.target;
        let (run, epoch) = target.claimed()?;
        let mut db = target.place.open_to_write(false)?;
        // The swap drops a table others may refer to, and puts one of the same name in its place:
        // neither foreign keys nor views are to notice.
        db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;")
            .map_err(|cause| self.failed("publish", cause))?;
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|cause| self.failed("publish", cause))?;
        let owner = state::fence(&tx, &target.job, &run, epoch)?;
        if owner.published {
            return Ok(());
        }
        if let Some(content) = &owner.content {
            guard::ensure_same(target, &tx, content)?;
        }
        if target.conflict == Conflict::ReplaceAll {
            swap(target, &tx)?;
            stamps::write(&tx, &target.table, target.reshape.as_ref(), &run)?;
        }
        state::write_owner(
            &tx,
            &target.job,
            &Owner {
                published: true,
                ..owner
            },
        )?;
        fail::point("sqlite.publish.prepared")?;
        tx.commit().map_err(|cause| self.failed("publish", cause))?;
        fail::point("sqlite.publish.committed")?;
        target.published.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn retire(&self) -> Result<()> {
        let target = &self.target;
        let claimed = target.claimed().ok();
        if !target.place.exists() {
            return Ok(());
        }
        let mut db = target.place.open_to_write(false)?;
        let is_ours = |memory: &Memory| match &claimed {
            Some((run, epoch)) => (&memory.owner.run, memory.owner.epoch) == (run, *epoch),
            None => memory.owner.published,
        };
        // Nothing if it is retired already, or taken over by a process that will.
        let ours =
            |db: &Connection| -> Result<_> { Ok(Memory::read(db, &target.job)?.filter(is_ours)) };
        let Some(memory) = ours(&db)? else {
            return Ok(());
        };
        if memory.owner.journal_mode != "wal" {
            // Before the run is forgotten: who is killed in here leaves files of SQLite's that only
            // the next sweep removes. Not if somebody reads the database now; it then keeps its
            // log, which harms nobody.
            let _ = db.pragma_update(None, "journal_mode", &memory.owner.journal_mode);
        }
        fail::point("sqlite.retire.journal-changed")?;
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|cause| self.failed("retire", cause))?;
        if ours(&tx)?.is_some() {
            state::forget(&tx, &target.job)?;
        }
        fail::point("sqlite.retire.prepared")?;
        tx.commit().map_err(|cause| self.failed("retire", cause))?;
        fail::point("sqlite.retire.forgotten")
    }
}

fn journal_mode(db: &Connection) -> String {
    db.query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap_or_else(|_| "delete".to_owned())
}

fn count(db: &Connection, table: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", quote(table)?);
    let rows: i64 = db
        .query_row(&sql, [], |row| row.get(0))
        .map_err(|cause| fault(format!("count the rows of table `{table}`"), cause))?;
    Ok(rows.unsigned_abs())
}

/// Refuses to replace a table that another job is replacing: they would share the staging table.
fn alone(target: &Target, db: &Connection, job: &str) -> Result<()> {
    let Some(other) = state::replacing(db, job, &target.table)? else {
        return Ok(());
    };
    Err(Error::new(
        Class::Locked,
        "target::busy",
        format!("job `{other}` is replacing {} and has not finished", target.label()),
    )
    .help(format!(
        "finish job `{other}` first: `dkhost run` goes on with it, and starts it over with --no-resume; \
         if nobody will: DELETE FROM dkhost_checkpoint WHERE job = '{}'",
        other.replace('\'', "''")
    )))
}

/// Drops what only the other run could have used: its checkpoints and its staging table. Rows it
/// committed to the table itself stay, and meet ours under `on_conflict`.
fn drop_leftovers(db: &Connection, job: &str, memory: &Memory) -> Result<()> {
    state::drop_checkpoints(db, job)?;
    // A run that did not replace has none: one of that name is another job's.
    if memory.owner.replaces && !memory.owner.published {
        let staging = ddl::staging_name(&memory.owner.table);
        run(
            db,
            &format!("DROP TABLE IF EXISTS {}", quote(&staging)?),
            &staging,
        )?;
    }
    Ok(())
}

/// Creates the table rows go to, or finds it as it was planned or left.
fn prepare(target: &Target, db: &Connection, ours: Option<&Memory>) -> Result<()> {
    let working = target.working_table();
    let there = Table::find(db, &target.place, &working)?;
    let old = match working == target.table {
        true => there.clone(),
        false => Table::find(db, &target.place, &target.table)?,
    };
    if let Some(memory) = ours {
        let has_begun = memory
            .checkpoints
            .iter()
            .any(|checkpoint| checkpoint.seq > 0);
        return match there {
            Some(_) => Ok(()),
            None if has_begun => Err(Error::state(
                "state::target_gone",
                format!(
                    "table `{working}` in {}, which run {} was writing, is gone",
                    target.place.name, memory.owner.run
                ),
            )
            .help("start over with `dkhost run --no-resume`")),
            None => create(target, db, &working, old.as_ref()),
        };
    }
    if old.as_ref().map(|table| &table.sql) != target.found.as_ref() {
        return Err(Error::config(
            "target::changed",
            format!(
                "{} was created, altered or dropped since the plan was made",
                target.label()
            ),
        )
        .help("run the same command again"));
    }
    match there {
        Some(_) if working == target.table => Ok(()),
        Some(_) => {
            run(db, &format!("DROP TABLE {}", quote(&working)?), &working)?;
            create(target, db, &working, old.as_ref())
        }
        None => create(target, db, &working, old.as_ref()),
    }
}

/// Creates a table: under its final name from the plan, as a staging table after the old one.
fn create(target: &Target, db: &Connection, name: &str, old: Option<&Table>) -> Result<()> {
    let Some(old) = old else {
        run(db, &(target.create)(target, name)?, name)?;
        if name == target.table && target.layout != Layout::Table {
            for index in knobs::indexes(name)? {
                run(db, &index, name)?;
            }
        }
        return Ok(());
    };
    let definition = match &target.reshaped {
        Some(reshaped) => &reshaped.table.sql,
        None => &old.sql,
    };
    let sql = ddl::renamed(definition, name)?.ok_or_else(|| {
        Error::bug(format!(
            "the definition of table `{}` cannot be read: {}",
            old.name, old.sql
        ))
    })?;
    run(db, &sql, name)?;
    for attached in attached(target, db)? {
        if let Some(index) = ddl::staged_index(&attached, name)? {
            run(db, &index, name)?;
        }
    }
    Ok(())
}

/// The indexes and triggers that the table has in the end.
fn attached(target: &Target, db: &Connection) -> Result<Vec<ddl::Attached>> {
    if let Some(reshaped) = &target.reshaped {
        return Ok(reshaped.attached.clone());
    }
    let table = &target.table;
    ddl::attached(db, table)
        .map_err(|cause| fault(format!("read the indexes of table `{table}`"), cause))
}

/// Puts the staging table in the place of the old one, with the old one's indexes and triggers.
fn swap(target: &Target, db: &Connection) -> Result<()> {
    let (table, staging) = (&target.table, ddl::staging_name(&target.table));
    if Table::find(db, &target.place, &staging)?.is_none() {
        return Err(Error::state(
            "state::target_gone",
            format!("table `{staging}`, which holds the result, is gone"),
        )
        .help("start over with `dkhost run --no-resume`"));
    }
    let replaced = Table::find(db, &target.place, table)?;
    let old = attached(target, db)?;
    // The unique indexes of the staging table stand in for the old ones under other names.
    for attached in &old {
        if let Some(index) = &attached.unique_on {
            run(
                db,
                &format!("DROP INDEX IF EXISTS {}", quote(&ddl::staging_name(index))?),
                table,
            )?;
        }
    }
    let beside = target.reshape.is_some() && target.layout != Layout::Table;
    if let Some(old) = replaced.filter(|_| beside)
        && let Some(sql) = knobs::carry_over(&old, &staging)?
    {
        run(db, &sql, table)?;
    }
    let given = ddl::last_id(db, table).map_err(|cause| ids(table, cause))?;
    run(
        db,
        &format!("DROP TABLE IF EXISTS {}", quote(table)?),
        table,
    )?;
    fail::point("sqlite.swap.dropped")?;
    run(
        db,
        &format!(
            "ALTER TABLE {} RENAME TO {}",
            quote(&staging)?,
            quote(table)?
        ),
        table,
    )?;
    if let Some(given) = given {
        ddl::go_on_after(db, table, given).map_err(|cause| ids(table, cause))?;
    }
    fail::point("sqlite.swap.renamed")?;
    for attached in &old {
        run(db, &attached.sql, table)?;
    }
    if old.is_empty() && target.layout != Layout::Table {
        for index in knobs::indexes(table)? {
            run(db, &index, table)?;
        }
    }
    Ok(())
}

fn ids(table: &str, cause: rusqlite::Error) -> Error {
    fault(format!("keep the last id of table `{table}`"), cause)
}

fn run(db: &Connection, sql: &str, table: &str) -> Result<()> {
    db.execute_batch(sql)
        .map_err(|cause| fault(format!("create or replace table `{table}`"), cause))
}
