//! A table that a run reads and replaces: what others wrote to it meanwhile would be lost.
//!
//! From the claim to the end of the run a connection of its own holds the table in a mode in which
//! everybody reads and nobody writes, and the result is published in that connection's transaction,
//! so that no writer comes in between. The lock goes with the connection; so what the table holds is
//! written down when the run begins, and looked at again wherever the lock was lost.
//!
//! *Source* – PostgreSQL 15, "Explicit Locking"; "System Columns" (ctid, xmin: together they are
//! another for every row that is written).

use std::sync::PoisonError;

use dkhost_core::{Error, Result};

use super::state::{self, Memory, Whose};
use super::{Target, sql};
use crate::session::Session;

/// Whether others may not write to the target.
fn is_guarded(target: &Target) -> bool {
    target.reshaped.is_some() && target.found.is_some() && target.is_staged()
}

/// Keeps others from writing, on a connection that a later claim ends.
pub(super) fn hold(
    target: &Target,
    claiming: &mut Session,
    whose: Whose<'_>,
    epoch: u64,
) -> Result<()> {
    if !is_guarded(target) || !is_there(target, claiming)? {
        return Ok(());
    }
    let doing = format!("keep others from writing to {}", target.label());
    let mut session = Session::open(&target.server)?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {}; SET LOCAL idle_in_transaction_session_timeout = 0; {}; \
         LOCK TABLE {} IN SHARE MODE",
        target.server.settings(),
        state::show_holder(whose, epoch),
        sql(&target.name)?
    );
    session.run(&doing, &begin)?;
    *target.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    Ok(())
}

fn is_there(target: &Target, session: &mut Session) -> Result<bool> {
    Ok(target.name.resolve(session)?.is_some())
}

/// What the table holds, for a run that begins; of one that goes on what was written down, once it
/// is seen that nobody wrote since.
pub(super) fn witness(
    target: &Target,
    session: &mut Session,
    ours: Option<&Memory>,
) -> Result<Option<String>> {
    let written = ours.and_then(|memory| memory.owner.witness.clone());
    if !is_guarded(target) {
        return Ok(written);
    }
    match written {
        Some(written) => {
            ensure_same(target, session, &written)?;
            Ok(Some(written))
        }
        None => content(target, session).map(Some),
    }
}

/// The connection on which the result is published, in a transaction that nobody wrote before.
/// `None` where the lock was lost.
pub(super) fn take(target: &Target) -> Option<Session> {
    let mut guard = target.guard.lock().unwrap_or_else(PoisonError::into_inner);
    let mut session = guard.take()?;
    let answers = session.run("ask whether the server is there", "SELECT 1");
    answers.is_ok().then_some(session)
}

/// Sees that nobody wrote to the table since the run began.
///
/// *Errors* – `target::changed`.
pub(super) fn ensure_same(target: &Target, session: &mut Session, written: &str) -> Result<()> {
    if content(target, session)? == written {
        return Ok(());
    }
    Err(Error::state(
        "target::changed",
        format!(
            "{} was written to since the run began to read it, and replacing its rows would lose that",
            target.label()
        ),
    )
    .help("start over with `dkhost run --no-resume`"))
}

/// How many rows there are, and which: every write makes another row.
fn content(target: &Target, session: &mut Session) -> Result<String> {
    let doing = format!("look at what {} holds", target.label());
    let query = format!(
        "SELECT count(*) || ' ' || coalesce(sum(pg_catalog.hashtextextended( \
           t.tableoid::text || ' ' || t.ctid::text || ' ' || t.xmin::text, 0)), 0) FROM {} t",
        sql(&target.name)?
    );
    let rows = session.rows(&doing, &query, &[])?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}
