//! The end of a run: the result becomes visible, counters of the table go past what was written,
//! and what only a resume needs is removed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use dkhost_core::{Conflict, Error, Result, fail};
use tokio_postgres::types::Type;

use super::claim::changed;
use super::spare::Spare;
use super::state::{self, Memory, Owner, Whose};
use super::{Target, guard, knobs, plan, reshape, sql, stamps};
use crate::catalog::{Kind, Table};
use crate::name::{literal, quote, quote_all};
use crate::session::Session;

/// Makes the result visible under its final name.
pub(super) fn publish(target: &Target, spare: &Spare) -> Result<()> {
    let (run, epoch) = target.claimed()?;
    let id = target.id();
    let whose = Whose {
        job: &target.job,
        target: &id,
    };
    let doing = format!("publish {}", target.label());
    let (mut session, is_guarded) = begun(target, spare, &doing)?;
    let owner = held(&mut session, &doing, whose, &run, epoch)?;
    if owner.published {
        session.run(&doing, "ROLLBACK")?;
        return finish(target, session, &doing, spare);
    }
    if target.conflict == Conflict::ReplaceAll {
        if let Some(witness) = owner.witness.as_ref().filter(|_| !is_guarded) {
            lock(target, &mut session, &doing)?;
            guard::ensure_same(target, &mut session, witness)?;
        }
        swap(target, &mut session, &doing)?;
        stamp(target, &mut session, &run)?;
    }
    advance_counters(target, &mut session, &doing)?;
    let published = Owner {
        published: true,
        ..owner
    };
    state::write_owner(&mut session, whose, &published)?;
    fail::point("postgres.publish.prepared")?;
    session.run(&doing, "COMMIT")?;
    fail::point("postgres.publish.committed")?;
    target.published.store(true, Ordering::SeqCst);
    finish(target, session, &doing, spare)
}

/// A connection in a transaction, and whether nobody could write to the table before it.
fn begun(target: &Target, spare: &Spare, doing: &str) -> Result<(Session, bool)> {
    if let Some(session) = guard::take(target) {
        return Ok((session, true));
    }
    let mut session = spare.take(&target.server)?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
        target.server.settings()
    );
    session.run(doing, &begin)?;
    Ok((session, false))
}

/// From now on nobody else uses the table.
fn lock(target: &Target, session: &mut Session, doing: &str) -> Result<()> {
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", sql(&target.name)?);
    session.run(doing, &lock)
}

/// What keeps nobody waiting and can be done after the result is there.
fn finish(target: &Target, mut session: Session, doing: &str, spare: &Spare) -> Result<()> {
    if target.reshaped.is_some() {
        reshape::validate(target, &mut session, doing)?;
    }
    spare.leave(session);
    Ok(())
}

/// Says which version the records are of, or no longer that they are of one.
fn stamp(target: &Target, session: &mut Session, run: &str) -> Result<()> {
    let Some(oid) = target.name.resolve(session)? else {
        return Err(Error::bug("a table that was just filled is not there"));
    };
    stamps::remove(session, oid)?;
    match &target.reshaped {
        Some(reshaped) => stamps::write(session, oid, &reshaped.stamp(run)),
        None => Ok(()),
    }
}

/// The owner, who stays so until the transaction ends: a claim waits for it.
fn held(
    session: &mut Session,
    doing: &str,
    whose: Whose<'_>,
    run: &str,
    epoch: u64,
) -> Result<Owner> {
    state::fence(session, whose, run, epoch)?;
    let lock = "SELECT FROM dkhost.owner WHERE job = $1 AND target = $2 FOR UPDATE";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&whose.job, Type::TEXT), (&whose.target, Type::TEXT)];
    session.rows(doing, lock, &parameters)?;
    state::fence(session, whose, run, epoch)
}

/// Puts what was collected into the target. The table itself stays: with it everything that hangs
/// on it (indexes, grants, defaults, comments, views, policies).
fn swap(target: &Target, session: &mut Session, doing: &str) -> Result<()> {
    let staging = Table::find(session, &target.staging_table())?.ok_or_else(|| {
        Error::state(
            "state::target_gone",
            format!(
                "the table that holds the result for {} is gone",
                target.label()
            ),
        )
        .help("start over with `dkhost run --no-resume`")
    })?;
    let from = staging.sql()?;
    if target.reshaped.is_some() && target.found.is_some() {
        lock(target, session, doing)?;
    }
    let now = Table::find(session, &target.name)?;
    if target.reshaped.is_some() && now.as_ref().map(plan::fingerprint) != target.found {
        return Err(changed(target).help("start over with `dkhost run --no-resume`"));
    }
    if now.is_none() {
        let rename = format!(
            "ALTER TABLE {from} SET SCHEMA {}; ALTER TABLE {}.{} RENAME TO {}",
            quote(target.schema_name())?,
            quote(target.schema_name())?,
            quote(&staging.name)?,
            quote(&target.name.name)?,
        );
        session.run(doing, &rename)?;
        fail::point("postgres.swap.renamed")?;
        rename_key(target, session, doing, &staging.name)?;
        if let Some(reshaped) = &target.reshaped {
            reshaped.adopt(session, doing, &sql(&target.name)?)?;
        }
        return match target.store {
            Some(_) => session.run(doing, &knobs::indexes(&target.name)?),
            None => Ok(()),
        };
    }
    refill(target, session, doing, &staging)?;
    session.run(doing, &format!("DROP TABLE {from}"))
}

/// Empties the target and fills it with what was collected.
fn refill(target: &Target, session: &mut Session, doing: &str, staging: &Table) -> Result<()> {
    let (from, to) = (staging.sql()?, sql(&target.name)?);
    let written = staging.columns.iter().filter(|column| !column.generated);
    let columns = quote_all(written.map(|column| column.name.as_str()))?;
    session.run(doing, &format!("TRUNCATE {to}"))?;
    if let Some(reshaped) = &target.reshaped {
        reshaped.alter(session, doing, &to)?;
    }
    fail::point("postgres.swap.emptied")?;
    let insert = match columns.is_empty() {
        true => format!("INSERT INTO {to} SELECT FROM {from}"),
        false => format!(
            "INSERT INTO {to} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {from}"
        ),
    };
    let moved = session.execute(doing, &insert, &[])?;
    let rows = session.rows(doing, &format!("SELECT count(*) FROM {from}"), &[])?;
    let staged: i64 = rows.first().map_or(0, |row| row.get(0));
    if moved != staged.unsigned_abs() {
        return Err(Error::data(
            "postgres::trigger",
            format!(
                "a trigger of {} keeps {} rows of the result out",
                target.label(),
                staged.unsigned_abs() - moved.min(staged.unsigned_abs())
            ),
        )
        .help("disable the trigger for the time of the run, or use on_conflict = \"upsert\""));
    }
    if target.content {
        ensure_same(target, session, doing, &from, &columns)?;
    }
    fail::point("postgres.swap.filled")
}

/// Refuses a result that triggers changed on its way from the table it was compared in.
fn ensure_same(
    target: &Target,
    session: &mut Session,
    doing: &str,
    from: &str,
    columns: &str,
) -> Result<()> {
    let may_change = Table::find(session, &target.name)?
        .is_some_and(|table| table.triggers > 0 || table.kind == Kind::Partitioned);
    if !may_change || columns.is_empty() {
        return Ok(());
    }
    let sum = |table: &str| {
        format!("(SELECT sum(pg_catalog.hashtextextended(ROW({columns})::text, 0)) FROM {table})")
    };
    let sql = format!(
        "SELECT {} IS NOT DISTINCT FROM {}",
        sum(from),
        sum(&sql(&target.name)?)
    );
    let rows = session.rows(doing, &sql, &[])?;
    if rows.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    Err(Error::data(
        "postgres::trigger",
        format!("a trigger of {} changes rows of the result", target.label()),
    )
    .help("disable the trigger for the time of the run, or leave `verify` at \"count\""))
}

/// The primary key of a table that was staged is called after the staging table.
fn rename_key(target: &Target, session: &mut Session, doing: &str, staged: &str) -> Result<()> {
    let sql_name = sql(&target.name)?;
    let query = "SELECT c.conname::text FROM pg_catalog.pg_constraint c \
                 WHERE c.conrelid = $1::regclass AND c.contype = 'p' AND starts_with(c.conname::text, $2)";
    let rows = session.rows(
        doing,
        &query.replace("$1::regclass", "$1::text::regclass"),
        &[(&sql_name, Type::TEXT), (&staged, Type::TEXT)],
    )?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let name = free_name(target, session, doing)?;
    let rename = format!(
        "ALTER TABLE {sql_name} RENAME CONSTRAINT {} TO {}",
        quote(row.get(0))?,
        quote(&name)?
    );
    session.run(doing, &rename)
}

/// A name for the primary key as the server makes it up, and as it counts up where another table
/// has it.
fn free_name(target: &Target, session: &mut Session, doing: &str) -> Result<String> {
    let sql = "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
               ON n.oid = c.relnamespace WHERE n.nspname = $1";
    let rows = session.rows(doing, sql, &[(&target.schema_name(), Type::TEXT)])?;
    let taken: BTreeSet<&str> = rows.iter().map(|row| row.get(0)).collect();
    let made_up = |count: usize| {
        let tail = match count {
            0 => "_pkey".to_owned(),
            count => format!("_pkey{count}"),
        };
        let mut name = target.name.name.clone();
        while name.len() > crate::name::NAME_BYTES - tail.len() {
            name.pop();
        }
        name + &tail
    };
    let mut names = (0..=taken.len()).map(made_up);
    names
        .find(|name| !taken.contains(name.as_str()))
        .ok_or_else(|| Error::bug("no name for a primary key is free"))
}

/// Moves the counters of columns that were written past the highest value, so that the next insert
/// of anybody else meets nothing.
fn advance_counters(target: &Target, session: &mut Session, doing: &str) -> Result<()> {
    let table = sql(&target.name)?;
    for field in &target.schema.fields {
        let query = format!(
            "SELECT pg_catalog.pg_get_serial_sequence({}, {})",
            literal(&table),
            literal(&field.name)
        );
        let rows = session.rows(doing, &query, &[])?;
        let Some(sequence) = rows.first().and_then(|row| row.get::<_, Option<String>>(0)) else {
            continue;
        };
        let column = quote(&field.name)?;
        let advance = format!(
            "SELECT setval({}, most) FROM (SELECT max({column})::bigint AS most FROM {table}) m, {sequence} s, \
             (SELECT seqmax, seqmin, seqincrement FROM pg_catalog.pg_sequence WHERE seqrelid = {}::regclass) q \
             WHERE most BETWEEN q.seqmin AND q.seqmax AND q.seqincrement > 0 \
               AND (most > s.last_value OR (most = s.last_value AND NOT s.is_called))",
            literal(&sequence),
            literal(&sequence)
        );
        session.run(doing, &advance)?;
    }
    Ok(())
}

/// Forgets the run. Without a claim only one that published its result.
pub(super) fn retire(target: &Target, spare: &Spare) -> Result<()> {
    let claimed = target.claimed().ok();
    let id = target.id();
    let whose = Whose {
        job: &target.job,
        target: &id,
    };
    let doing = format!("retire {}", target.label());
    let is_ours = |memory: &Memory| match &claimed {
        Some((run, epoch)) => (&memory.owner.run, memory.owner.epoch) == (run, *epoch),
        None => memory.owner.published,
    };
    let mut session = spare.take(&target.server)?;
    // Nothing if it is retired already, or taken over by a process that will.
    if Memory::read(&mut session, whose)?.filter(is_ours).is_none() {
        return Ok(());
    }
    session.run(
        &doing,
        &format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
            target.server.settings()
        ),
    )?;
    state::alone(&mut session)?;
    if Memory::read(&mut session, whose)?.filter(is_ours).is_some() {
        state::forget(&mut session, whose)?;
    }
    fail::point("postgres.retire.prepared")?;
    session.run(&doing, "COMMIT")?;
    fail::point("postgres.retire.forgotten")
}
