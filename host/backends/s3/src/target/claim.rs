//! Taking a target over: who was here, what is in the way, and what is swept.

use std::collections::HashSet;

use dkhost_core::sink::next_epoch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{Claim, Claimed, Conflict, Error, Result, fail};

use super::names::Manifest;
use super::state::{self, Held, State};
use super::{Target, lock, probe, publish, sweep};
use crate::fault::is_precondition;
use crate::{put, source};

/// What is under a prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The run readers are led to.
    pub latest: Option<String>,
    /// What an unfinished run left.
    pub left: Option<State>,
    /// An object that is none of ours.
    pub foreign: Option<String>,
}

/// What an unfinished run left, and the ETag of that; whether it was published is looked up.
pub(crate) fn left(target: &Target) -> Result<Option<(State, String)>> {
    let Some((mut state, etag)) = state::read(&target.client, &target.names.state())? else {
        return Ok(None);
    };
    if !state.published {
        let latest = publish::latest(target)?;
        state.published = latest.is_some_and(|(latest, _)| latest.run == state.run);
    }
    Ok(Some((state, etag)))
}

/// Looks at what is under the prefix, and refuses what may not be replaced.
///
/// *Errors* – `target::exists`, `target::foreign_files`, `target::absent`; those of the server.
pub(crate) fn look(target: &Target, job: &str) -> Result<Found> {
    let found = find(target)?;
    let ours = found
        .left
        .as_ref()
        .is_some_and(|left| left.job == job && left.published);
    check(target, &found, ours)?;
    Ok(found)
}

fn find(target: &Target) -> Result<Found> {
    let names = &target.names;
    let listed = source::under(&target.client, &names.prefix)?;
    if listed.is_empty() {
        return Ok(Found::default());
    }
    let latest = publish::latest(target)?.map(|(latest, _)| latest.run);
    let left = left(target)?.map(|(state, _)| state);
    let mut known: HashSet<String> = HashSet::new();
    if let Some(run) = &latest {
        known.extend([names.latest(), names.manifest(run)]);
        if let Some(found) = put::get(&target.client, &names.manifest(run))?
            && let Ok(manifest) = serde_json::from_slice::<Manifest>(&found.bytes)
        {
            let parts = manifest.parts.into_iter();
            known.extend(parts.map(|part| format!("{}{}", names.prefix, part.name)));
        }
    }
    let unfinished = left.as_ref().map(|left| names.run(&left.run));
    let replaced = left.as_ref().and_then(|left| left.replaces.clone());
    let replaced = replaced.map(|run| names.run(&run));
    let own = names.own_folder();
    let is_ours = |key: &str| {
        let inside = |folder: &Option<String>| folder.as_ref().is_some_and(|f| key.starts_with(f));
        key.starts_with(&own)
            || key == names.prefix
            || known.contains(key)
            || inside(&unfinished)
            || inside(&replaced)
    };
    let foreign = listed.into_iter().map(|listed| listed.key);
    Ok(Found {
        foreign: foreign.into_iter().find(|key| !is_ours(key)),
        latest,
        left,
    })
}

fn check(target: &Target, found: &Found, ours: bool) -> Result<()> {
    let (label, span) = (target.client.server.label(), &target.client.server.span());
    if let Some(key) = &found.foreign {
        let error = match target.conflict {
            Conflict::ReplaceAll => Error::config(
                "target::foreign_files",
                format!("{label} holds `{key}`, which no run of dkhost wrote there"),
            )
            .help("`replace-all` swaps all that is under the prefix: choose a prefix of its own, or empty this one"),
            _ => Error::config("target::exists", format!("{label} holds objects already: `{key}`"))
                .help("choose another prefix, or remove what is there"),
        };
        return Err(error.at(span.clone(), "exists"));
    }
    if found.latest.is_some() && !ours && target.conflict != Conflict::ReplaceAll {
        return Err(Error::config("target::exists", format!("the target {label} exists"))
            .at(span.clone(), "exists")
            .help("choose another prefix, or say `on_conflict = \"replace-all\"` to swap it for the new one at the end"));
    }
    if !target.create && !ours && found.latest.is_none() {
        return Err(Error::config(
            "target::absent",
            format!("{label} does not exist, and `create` is false"),
        )
        .at(span.clone(), "not there")
        .help("remove `create = false`"));
    }
    Ok(())
}

/// How often a claim that somebody was faster than is tried again.
const TRIES: usize = 5;

/// Takes the target over.
pub(crate) fn claim(target: &Target, claim: &Claim, seen: &LastLook) -> Result<Claimed> {
    if target.conditional {
        let span = &target.client.server.span();
        probe::conditions(&target.client, &target.names.probe(&claim.run), span)?;
    }
    fail::point("s3.claim.probed")?;
    for _ in 0..TRIES {
        match claim_once(target, claim, seen) {
            Err(error) if is_precondition(&error) => continue,
            other => return other,
        }
    }
    Err(super::busy(&target.client))
}

fn claim_once(target: &Target, claim: &Claim, seen: &LastLook) -> Result<Claimed> {
    let names = &target.names;
    let left = left(target)?;
    let found = find(target)?;
    let ours = left
        .as_ref()
        .is_some_and(|(left, _)| left.run == claim.run && left.published);
    check(target, &found, ours)?;
    let known = left.as_ref().map_or(0, |(left, _)| left.epoch);
    let mut next = State::new(claim, next_epoch(known, claim)?, target.parts.words());
    next.replaces = found.latest.filter(|latest| *latest != claim.run);
    let mut dropped = None;
    let etag = left.as_ref().map(|(_, etag)| etag.clone());
    match left {
        Some((left, _)) if left.run == claim.run => {
            // What is published is not written to any more; and where the run read what it replaced,
            // the plan of whoever ends it is of the new columns.
            if !left.published {
                refuse_other_shape(target, &left, &next)?;
            }
            next.parts = left.parts;
            next.checkpoints = left.checkpoints;
            next.published = left.published;
            next.replaces = left.replaces.or(next.replaces);
        }
        Some((left, _)) => {
            if left.job == claim.job {
                seen.ensure_unmoved(
                    &left.clone().into_target_state(),
                    &target.client.server.label(),
                )?;
            }
            dropped = (!left.published).then_some(left.run);
        }
        None => {}
    }
    let held = Held::take(
        &target.client,
        names.state(),
        target.conditional,
        etag,
        next,
    )?;
    fail::point("s3.claim.taken")?;
    // From here on nobody else can make anything count.
    if let Some(run) = dropped {
        sweep::run(&target.client, names, &run, &HashSet::new())?;
    }
    if !held.state.published {
        let parts = held.state.parts.iter();
        let kept = parts.map(|part| format!("{}{}", names.prefix, part.name));
        sweep::run(&target.client, names, &claim.run, &kept.collect())?;
    }
    fail::point("s3.claim.swept")?;
    let claimed = Claimed {
        epoch: held.state.epoch,
        checkpoints: held.state.checkpoints.values().cloned().collect(),
    };
    lock(&target.growing).clear();
    *target.held() = Some(held);
    Ok(claimed)
}

fn refuse_other_shape(target: &Target, left: &State, next: &State) -> Result<()> {
    if left.shape == next.shape {
        return Ok(());
    }
    Err(Error::config(
        "target::other_shape",
        format!(
            "the unfinished run wrote {} in another format or with other columns",
            target.client.server.label()
        ),
    )
    .help("`dkhost run JOB --no-resume` drops what it wrote and starts anew"))
}
