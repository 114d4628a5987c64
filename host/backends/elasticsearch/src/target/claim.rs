//! Takes a target over: in an order in which whoever dies leaves nothing behind that the next one
//! does not find.
//!
//! ```text
//! owner by compare-and-set     from here on the processes before us can publish nothing
//! index                        created, or found as it was left
//! alias of this epoch          from here on their bulks find no index
//! partitions                   each rewritten under our epoch: from here on their commits fail;
//!                              then what was about to be written is undone
//! settings                     refresh off
//! ```

use std::sync::atomic::Ordering;

use dkhost_core::checkpoint::CHECKPOINT_VERSION;
use dkhost_core::sink::next_epoch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{Checkpoint, Claim, Claimed, Class, Conflict, Error, Result, Stamp, fail};
use serde_json::{Map, Value as Json, json};

use super::journal::adopt;
use super::store::{On, Owner, Put};
use super::{Held, Target, place, swap};
use crate::client::{Request, segment};
use crate::fault;

/// Takes the target over for a run.
///
/// *Errors* – `target::busy`, `target::exists`, `state::target_gone`, and the server's.
pub(super) fn claim(target: &Target, seen: &LastLook, claim: &Claim) -> Result<Claimed> {
    target.store.create()?;
    let known = swap::owner(target)?;
    let ours = known.as_ref().filter(|(owner, _)| owner.run == claim.run);
    if known.is_some()
        && ours.is_none()
        && let Some(state) = target.store.state()?
    {
        seen.ensure_unmoved(&state, &target.label())?;
    }
    let owner = match ours {
        Some((owner, _)) => Owner {
            epoch: next_epoch(owner.epoch, claim)?,
            plan_hash: claim.plan_hash.clone(),
            ..owner.clone()
        },
        None => begin(target, known.as_ref().map(|(owner, _)| owner), claim)?,
    };
    let owner = Owner {
        stamp: format!("claimed {} by {}", owner.epoch, std::process::id()),
        ..owner
    };
    let on = known
        .as_ref()
        .map_or(On::Nothing, |(_, seat)| On::Seat(*seat));
    if let Put::Overtaken = target.store.put_owner(&owner, on)? {
        return Err(busy(target));
    }
    fail::point("elasticsearch.claim.owned")?;
    target.plans.is_shared.store(!owner.fresh, Ordering::SeqCst);
    if let Some((before, _)) = known.as_ref().filter(|_| ours.is_none()) {
        sweep(target, before, &owner)?;
    }
    let held = Held {
        run: owner.run.clone(),
        epoch: owner.epoch,
        alias: target.store.alias(owner.epoch),
        index: owner.index.clone(),
    };
    let checkpoints = take(target, &owner, &held)?;
    target.hold(held);
    Ok(Claimed {
        epoch: owner.epoch,
        checkpoints,
    })
}

/// Everything after the owner is written, each step of which may have been done before.
fn take(target: &Target, owner: &Owner, held: &Held) -> Result<Vec<Checkpoint>> {
    if owner.published {
        return parts(target, held);
    }
    let has_parts = !target.store.parts()?.is_empty();
    let created = prepare(target, owner, held, has_parts)?;
    fail::point("elasticsearch.claim.prepared")?;
    if !created {
        move_alias(target, held)?;
    }
    fail::point("elasticsearch.claim.fenced")?;
    let checkpoints = parts(target, held)?;
    fail::point("elasticsearch.claim.undone")?;
    if !created {
        place::put_settings(&target.client, &owner.index, &place::during())?;
    }
    Ok(checkpoints)
}

fn busy(target: &Target) -> Error {
    let message = format!(
        "another process took over {} in this moment",
        target.label()
    );
    Error::new(Class::Locked, "target::busy", message)
        .help("run the same command again: it goes on with what that process began")
}

/// The owner of a run that begins.
fn begin(target: &Target, known: Option<&Owner>, claim: &Claim) -> Result<Owner> {
    let replaces = target.conflict == Conflict::ReplaceAll;
    let found = place::find(&target.client, &target.name)?;
    let (index, fresh, before) = match (&found, replaces) {
        (found, true) => {
            let before = found.as_ref().map(place::Found::before);
            (place::staging(&target.name, &claim.run), true, before)
        }
        (Some(found), false) => {
            place::refresh(&target.client, &found.index)?;
            let fresh = place::count(&target.client, &found.index)? == 0;
            // What an unfinished run found, and not what it left.
            let known = known.filter(|known| known.index == found.index && !known.published);
            let before = known.map_or_else(|| found.before(), |known| known.before.clone());
            (found.index.clone(), fresh, Some(before))
        }
        (None, false) => (target.name.clone(), true, None),
    };
    Ok(Owner {
        version: CHECKPOINT_VERSION,
        stamp: String::new(),
        owner: target.store.key.clone(),
        job: claim.job.clone(),
        run: claim.run.clone(),
        epoch: next_epoch(known.map_or(0, |known| known.epoch), claim)?,
        plan_hash: claim.plan_hash.clone(),
        name: target.name.clone(),
        index,
        fresh,
        published: false,
        replaces,
        before: before.unwrap_or_else(unset),
    })
}

/// Settings that nobody has set.
fn unset() -> Map<String, Json> {
    let during = place::during();
    let names = during.as_object().into_iter().flatten();
    names.map(|(name, _)| (name.clone(), Json::Null)).collect()
}

/// Clears away what only the other run could have used. Documents it committed stay, and meet ours
/// under `on_conflict`.
fn sweep(target: &Target, before: &Owner, owner: &Owner) -> Result<()> {
    if before.index == owner.index {
        return Ok(());
    }
    if before.replaces && !before.published {
        return place::delete(&target.client, &before.index);
    }
    place::put_settings(
        &target.client,
        &before.index,
        &Json::Object(before.before.clone()),
    )?;
    drop_aliases(target, &before.index)
}

/// Creates the index documents go to, with its alias and settings, or finds it as it was planned or
/// left; says whether it was created.
fn prepare(target: &Target, owner: &Owner, held: &Held, has_parts: bool) -> Result<bool> {
    let client = &target.client;
    if place::find(client, &owner.index)?.is_none() {
        if has_parts
            && target
                .store
                .parts()?
                .iter()
                .any(|(part, _)| part.run == owner.run)
        {
            return Err(Error::state(
                "state::target_gone",
                format!("index `{}` at {} is gone", owner.index, client.name()),
            )
            .help("somebody deleted it during the run; start over with `dkhost run --no-resume`"));
        }
        let doing = format!("create index {}", owner.index);
        let mut create = target.create.clone();
        if let Some(reshape) = target.reshape.as_ref().filter(|_| owner.replaces) {
            let stamp = Stamp {
                schema: reshape.schema.clone(),
                version: reshape.version.clone(),
                run: owner.run.clone(),
            };
            place::stamp(&mut create["mappings"], &stamp);
        }
        create["aliases"] = json!({&held.alias: {"is_hidden": true}});
        let request = Request::put(&doing, segment(&owner.index)).json(&create);
        client.ask(&request).map_err(not_defined)?;
        return Ok(true);
    }
    if target.added != json!({}) && !owner.replaces {
        let doing = format!("add fields to the mapping of index {}", owner.index);
        let request = Request::put(&doing, format!("{}/_mapping", segment(&owner.index)));
        let request = request.json(&json!({"properties": target.added}));
        client.ask(&request).map_err(not_defined)?;
    }
    Ok(false)
}

/// What the server refuses in a mapping is the job's, and no record's.
fn not_defined(error: Error) -> Error {
    if error.class() != Class::Data {
        return error;
    }
    let error = error.with_class(Class::Config);
    match fault::refusal(&error).is_some_and(|said| said.kind == "mapper_parsing_exception") {
        true => {
            error.help("`mapping` in [target] says how a column is indexed: { name = \"keyword\" }")
        }
        false => error,
    }
}

/// The aliases of processes that write to an index, of whichever epoch.
fn aliases(target: &Target, index: &str) -> Result<Vec<String>> {
    let doing = format!("look at the aliases of index {index}");
    let path = format!(
        "{}/_alias/{}",
        segment(index),
        segment(&target.store.aliases())
    );
    let answer = target.client.send(&Request::get(&doing, path))?;
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    if !answer.is_fine() {
        return Err(fault::refused(&doing, &answer));
    }
    let found: Json = answer.parse(&doing)?;
    let aliases = found[index]["aliases"].as_object();
    Ok(aliases
        .map(|aliases| aliases.keys().cloned().collect())
        .unwrap_or_default())
}

/// Gives the index the alias of our epoch in the moment in which those of earlier ones go.
fn move_alias(target: &Target, held: &Held) -> Result<()> {
    let remove = aliases(target, &held.index)?.into_iter();
    let mut actions: Vec<Json> = remove
        .filter(|alias| *alias != held.alias)
        .map(|alias| json!({"remove": {"index": held.index, "alias": alias}}))
        .collect();
    actions.push(json!({"add": {"index": held.index, "alias": held.alias, "is_hidden": true}}));
    let doing = format!("take over index {}", held.index);
    let request = Request::post(&doing, "_aliases").json(&json!({"actions": actions}));
    target.client.ask(&request).map(drop)
}

/// Removes the aliases of processes that wrote.
pub(super) fn drop_aliases(target: &Target, index: &str) -> Result<()> {
    let aliases = aliases(target, index)?.into_iter();
    let actions: Vec<Json> = aliases
        .map(|alias| json!({"remove": {"index": index, "alias": alias}}))
        .collect();
    if actions.is_empty() {
        return Ok(());
    }
    let doing = format!("put back the aliases of index {index}");
    let request = Request::post(&doing, "_aliases").json(&json!({"actions": actions}));
    target.client.ask(&request).map(drop)
}

/// Rewrites every partition under our epoch and undoes what it was about to write. Those of other
/// runs are forgotten.
fn parts(target: &Target, held: &Held) -> Result<Vec<Checkpoint>> {
    let mut checkpoints = Vec::new();
    for (part, seat) in target.store.parts()? {
        let is_ours = part.run == held.run;
        let (part, _) = adopt(target, held, (part, seat))?;
        match is_ours {
            true => checkpoints.extend(part.checkpoint),
            false => target.store.forget_part(part.partition)?,
        }
    }
    Ok(checkpoints)
}
