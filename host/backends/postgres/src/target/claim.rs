//! Taking a target over: in one transaction the state is read, what another run left is dropped,
//! the table is found or created, and the new epoch written down.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::sink::next_epoch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{Claim, Claimed, Class, Conflict, Error, Result, fail};

use super::spare::Spare;
use super::state::{self, Memory, Owner, Whose};
use super::{Target, guard, knobs, plan, shape, sql, staging, stamps};
use crate::catalog::Table;
use crate::name::quote;
use crate::session::Session;

/// Takes the target over.
pub(super) fn claim(
    target: &Target,
    spare: &Spare,
    claim: &Claim,
    seen: &LastLook,
) -> Result<Claimed> {
    let id = target.id();
    let whose = Whose {
        job: &claim.job,
        target: &id,
    };
    let doing = format!("claim {}", target.label());
    let mut session = spare.take(&target.server)?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
        target.server.settings()
    );
    session.run(&doing, &begin)?;
    fail::point("postgres.claim.opened")?;
    state::create(&mut session)?;
    if target.reshaped.is_some() {
        stamps::create(&mut session)?;
    }
    let known = state::owner(&mut session, whose)?.map_or(0, |owner| owner.epoch);
    let epoch = next_epoch(known, claim)?;
    // One that is paused in a commit would keep us waiting for the owner's row.
    state::end_others(&mut session, whose, epoch)?;
    let memory = Memory::read(&mut session, whose)?;
    let ours = memory
        .as_ref()
        .filter(|memory| memory.owner.run == claim.run);
    let published = ours.is_some_and(|memory| memory.owner.published);
    target.published.store(published, Ordering::SeqCst);
    if target.is_staged() {
        alone(target, &mut session, whose)?;
    }
    if let Some(memory) = memory.as_ref().filter(|_| ours.is_none()) {
        seen.ensure_unmoved(&memory.clone().into_state(), &target.label())?;
        drop_leftovers(target, &mut session, whose, memory)?;
    }
    guard::hold(target, &mut session, whose, epoch)?;
    prepare(target, &mut session, &doing, ours)?;
    let witness = guard::witness(target, &mut session, ours)?;
    own(target, &mut session, whose, claim, epoch, (ours, witness))?;
    fail::point("postgres.claim.prepared")?;
    session.run(&doing, "COMMIT")?;
    fail::point("postgres.claim.committed")?;
    // One that began before the new epoch was written down.
    state::end_others(&mut session, whose, epoch)?;
    fail::point("postgres.claim.others-ended")?;
    spare.leave(session);
    *target
        .claimed
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some((claim.run.clone(), epoch));
    let checkpoints = ours.map(|memory| memory.checkpoints.clone());
    Ok(Claimed {
        epoch,
        checkpoints: checkpoints.unwrap_or_default(),
    })
}

/// Writes the new epoch down, and whose rows the table holds.
fn own(
    target: &Target,
    session: &mut Session,
    whose: Whose<'_>,
    claim: &Claim,
    epoch: u64,
    (ours, witness): (Option<&Memory>, Option<String>),
) -> Result<()> {
    let replaces = target.conflict == Conflict::ReplaceAll;
    let fresh = match ours {
        Some(memory) => memory.owner.fresh,
        None => replaces || plan::is_empty(session, &sql(&target.name)?)?,
    };
    target.plans.is_shared.store(!fresh, Ordering::SeqCst);
    let owner = Owner {
        version: CHECKPOINT_VERSION,
        run: claim.run.clone(),
        epoch,
        plan_hash: claim.plan_hash.clone(),
        fresh,
        published: ours.is_some_and(|memory| memory.owner.published),
        replaces,
        witness,
    };
    state::write_owner(session, whose, &owner)
}

/// Drops what only the other run could have used: its checkpoints and its staging table. Rows it
/// committed to the table itself stay, and meet ours under `on_conflict`.
fn drop_leftovers(
    target: &Target,
    session: &mut Session,
    whose: Whose<'_>,
    memory: &Memory,
) -> Result<()> {
    state::drop_checkpoints(session, whose)?;
    // A run that did not replace has none: one of that name is another job's.
    if !memory.owner.replaces || memory.owner.published {
        return Ok(());
    }
    let staging = sql(&target.staging_table())?;
    let drop = format!("DROP TABLE IF EXISTS {staging}");
    session.run("drop what another run left", &drop)
}

/// Refuses to replace a table that another job is replacing: they would share the staging table.
fn alone(target: &Target, session: &mut Session, whose: Whose<'_>) -> Result<()> {
    let Some(other) = state::replacing(session, whose)? else {
        return Ok(());
    };
    Err(Error::new(
        Class::Locked,
        "target::busy",
        format!("job `{other}` is replacing {} and has not finished", target.label()),
    )
    .help(format!(
        "finish job `{other}` first: `dkhost run` goes on with it, and starts it over with --no-resume; \
         if nobody will: DELETE FROM dkhost.owner WHERE job = {}",
        crate::name::literal(&other)
    )))
}

/// Creates the table rows go to, or finds it as it was planned or left.
fn prepare(
    target: &Target,
    session: &mut Session,
    doing: &str,
    ours: Option<&Memory>,
) -> Result<()> {
    let there = Table::find(session, &target.working_table())?;
    let old = match target.is_staged() {
        true => Table::find(session, &target.name)?,
        false => there.clone(),
    };
    if let Some(memory) = ours {
        return match there {
            Some(staged) => ensure_shape(target, &staged),
            None => {
                ensure_not_begun(target, memory)?;
                create(target, session, doing, old.as_ref())
            }
        };
    }
    if old.as_ref().map(plan::fingerprint) != target.found {
        return Err(changed(target).help("run the same command again"));
    }
    match there {
        Some(_) if !target.is_staged() => Ok(()),
        Some(_) => {
            let staging = sql(&target.staging_table())?;
            session.run(doing, &format!("DROP TABLE {staging}"))?;
            create(target, session, doing, old.as_ref())
        }
        None => create(target, session, doing, old.as_ref()),
    }
}

/// Refuses to go on where what was written before is gone.
fn ensure_not_begun(target: &Target, memory: &Memory) -> Result<()> {
    if memory
        .checkpoints
        .iter()
        .all(|checkpoint| checkpoint.seq == 0)
    {
        return Ok(());
    }
    Err(Error::state(
        "state::target_gone",
        format!(
            "what run {} wrote for {} is gone",
            memory.owner.run,
            target.label()
        ),
    )
    .help("start over with `dkhost run --no-resume`"))
}

/// Refuses to go on in a table that was made for another shape: the target was altered since.
fn ensure_shape(target: &Target, staged: &Table) -> Result<()> {
    let as_planned = plan::shape_of(staged) == target.shape;
    if target.reshaped.is_none() || !target.is_staged() || as_planned {
        return Ok(());
    }
    Err(changed(target).help("start over with `dkhost run --no-resume`"))
}

/// The error where somebody else changed the table.
pub(super) fn changed(target: &Target) -> Error {
    Error::config(
        "target::changed",
        format!(
            "{} was created, altered or dropped since the plan was made",
            target.label()
        ),
    )
}

/// Creates a table: under its final name from the plan, as a staging table after the old one.
fn create(target: &Target, session: &mut Session, doing: &str, old: Option<&Table>) -> Result<()> {
    if let Some(old) = old {
        let staging = target.staging_table();
        staging::create(session, doing, old, &staging)?;
        return match &target.reshaped {
            Some(reshaped) => reshaped.apply(session, &sql(&staging)?, &target.label()),
            None => Ok(()),
        };
    }
    if !plan::has_schema(session, &target.name)? {
        let create = format!("CREATE SCHEMA {}", quote(target.schema_name())?);
        session.run(doing, &create)?;
    }
    let create = shape::create_table(&target.working_table(), &target.create)?;
    session.run(doing, &create)?;
    match target.store.as_ref().filter(|_| !target.is_staged()) {
        Some(_) => session.run(doing, &knobs::indexes(&target.name)?),
        None => Ok(()),
    }
}
