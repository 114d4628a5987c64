//! The end of a run: what was written becomes visible, under `replace-all` by one swap of an alias.

use dkhost_core::{Result, fail};
use serde_json::{Value as Json, json};

use super::store::{On, Owner, Put, Seat};
use super::{Target, place};
use crate::client::Request;

/// Makes the result visible under its final name. Repeating it changes nothing.
///
/// *Errors* – `run::fenced`.
pub(super) fn publish(target: &Target) -> Result<()> {
    let held = target.held()?;
    let fenced = || target.store.fenced(&held.run, held.epoch);
    let Some((owner, seat)) = target.store.owner()? else {
        return Err(fenced());
    };
    if (&owner.run, owner.epoch) != (&held.run, held.epoch) {
        return Err(fenced());
    }
    if owner.published {
        return Ok(());
    }
    // Settings first: an index that takes a name is complete.
    place::put_settings(
        &target.client,
        &owner.index,
        &Json::Object(owner.before.clone()),
    )?;
    place::refresh(&target.client, &owner.index)?;
    fail::point("elasticsearch.publish.refreshed")?;
    if owner.replaces {
        swap(target, &owner)?;
    }
    fail::point("elasticsearch.publish.swapped")?;
    let published = Owner {
        published: true,
        stamp: format!("published {}", owner.epoch),
        ..owner
    };
    match target.store.put_owner(&published, On::Seat(seat))? {
        Put::Done(_) => fail::point("elasticsearch.publish.noted"),
        Put::Overtaken => Err(fenced()),
    }
}

/// Who owns the target. Whether the result is published is looked up where it was swapped in and its
/// process died before it could say so: from then on the index is the one that readers have.
pub(super) fn owner(target: &Target) -> Result<Option<(Owner, Seat)>> {
    let Some((mut owner, seat)) = target.store.owner()? else {
        return Ok(None);
    };
    if owner.replaces && !owner.published {
        let found = place::find(&target.client, &owner.name)?;
        owner.published = found.is_some_and(|found| found.index == owner.index);
    }
    Ok(Some((owner, seat)))
}

/// Gives the name to the new index, in the same moment in which the old one loses it.
fn swap(target: &Target, owner: &Owner) -> Result<()> {
    let name = &target.name;
    let found = place::find(&target.client, name)?;
    let mut actions = vec![json!({"add": {"index": owner.index, "alias": name}})];
    match &found {
        // Swapped already, by us before a crash.
        Some(found) if found.index == owner.index => return Ok(()),
        Some(found) if found.by_alias && !found.is_ours() => {
            actions.insert(0, json!({"remove": {"index": found.index, "alias": name}}));
        }
        Some(found) => {
            // Its other names would go with it.
            for (alias, said) in found.other_names(name) {
                let mut action = said.clone();
                (action["index"], action["alias"]) = (json!(owner.index), json!(alias));
                actions.push(json!({"add": action}));
            }
            actions.insert(0, json!({"remove_index": {"index": found.index}}));
        }
        None => {}
    }
    let doing = format!("give the name {name} to index {}", owner.index);
    let request = Request::post(&doing, "_aliases").json(&json!({"actions": actions}));
    target.client.ask(&request)?;
    Ok(())
}
