//! Plans a target: looks at what has the name, lays out a mapping, and says all that can be known to
//! go wrong.
//!
//! What is refused is in [`checks`], which fields columns become in [`fields`], what people are told
//! in [`told`].

mod checks;
mod fields;
mod reshape;
mod told;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use dkhost_core::{Conflict, OpenTarget, Options, Result, TargetPlan};
use serde::Deserialize;
use serde_json::Value as Json;

use super::gate::Gate;
use super::layout::Layout;
use super::mapping::Abilities;
use super::options::Wanted;
use super::place::{self, Found};
use super::store::Store;
use super::{Plans, Target};
use crate::client::{Client, Product, Request};
use checks::{check_columns, check_found, check_key, check_parents, check_room, check_vectors};
use reshape::Successor;

/// Plans the target. Nothing is written.
pub(super) fn target(mut options: Options, open: &OpenTarget) -> Result<Target> {
    let client = Client::take(&mut options, &open.base)?;
    let wanted = Wanted::take(&mut options, open)?;
    check_columns(&wanted, open)?;
    let product = client.product()?.clone();
    let can = Abilities::of(&product, &modules(&client)?);
    let found = place::find(&client, &wanted.name).map_err(|e| e.at_least(wanted.span.clone()))?;
    check_found(&wanted, found.as_ref(), open)?;
    let successor = successor(found.as_ref(), &wanted, open, can);
    if !wanted.dataknobs && found.is_some() {
        check_parents(open, &successor.mappings["properties"])?;
    }
    let layout = Layout::new(&open.schema, open.nulls, wanted.dataknobs, wanted.version);
    check_key(&layout, &wanted, open)?;
    let planned = Planned {
        wanted: &wanted,
        open,
        layout: &layout,
        found: found.as_ref(),
        successor: &successor,
        product: &product,
        can,
        label: format!("index {} at {}", wanted.name, client.name()),
    };
    let (create, added) = planned.mappings();
    if let Some(found) = found
        .as_ref()
        .filter(|_| open.conflict != Conflict::ReplaceAll)
    {
        check_room(&wanted, found, &create["mappings"])?;
        check_vectors(&wanted, &client, found, &create["mappings"])?;
    }
    let store = Store::new(client.clone(), &open.job, &wanted.name);
    let fresh = planned.fresh(&client, &store)?;
    let plan = planned.plan(&client, &added, fresh);
    Ok(Target {
        plans: Plans {
            shared: TargetPlan {
                fresh: false,
                ..plan.clone()
            },
            planned: plan,
            is_shared: AtomicBool::new(false),
        },
        name: wanted.name,
        conflict: open.conflict,
        content: open.content,
        layout,
        create,
        added,
        reshape: open.reshape.clone(),
        store,
        gate: Gate::new(wanted.requests),
        bulk_bytes: wanted.bulk_bytes,
        gzip: wanted.gzip,
        client,
        held: Mutex::new(None),
    })
}

/// The mapping that goes on: as it is, unless the documents are brought to another version.
fn successor(
    found: Option<&Found>,
    wanted: &Wanted,
    open: &OpenTarget,
    can: Abilities,
) -> Successor {
    let mappings = found.map_or(&Json::Null, |found| &found.mappings);
    match &open.reshape {
        Some(reshape) if found.is_some() => {
            let path = match wanted.dataknobs {
                true => "/properties/data/properties",
                false => "/properties",
            };
            reshape::successor(mappings, path, reshape, &open.schema, can)
        }
        _ => Successor {
            mappings: mappings.clone(),
            effects: Vec::new(),
        },
    }
}

/// The modules a node has, as far as it says so.
fn modules(client: &Client) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Nodes {
        #[serde(default)]
        nodes: std::collections::BTreeMap<String, Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        #[serde(default)]
        modules: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let doing = format!("connect to {}", client.name());
    let request = Request::get(&doing, "_nodes/_local").with("filter_path", "nodes.*.modules.name");
    let answer = client.send(&request)?;
    if !answer.is_fine() {
        return Ok(Vec::new());
    }
    let nodes: Nodes = answer.parse(&doing)?;
    let modules = nodes.nodes.into_values().flat_map(|node| node.modules);
    Ok(modules.map(|module| module.name).collect())
}

/// What is known when the plan is written down.
struct Planned<'a> {
    wanted: &'a Wanted,
    open: &'a OpenTarget,
    layout: &'a Layout,
    found: Option<&'a Found>,
    /// The mapping that goes on of what was found.
    successor: &'a Successor,
    product: &'a Product,
    can: Abilities,
    label: String,
}

impl Planned<'_> {
    /// Whether it holds nobody else's documents.
    fn fresh(&self, client: &Client, store: &Store) -> Result<bool> {
        if self.open.conflict == Conflict::ReplaceAll {
            return Ok(true);
        }
        // A run that goes on finds its own; whose they are was written down when it began.
        if let Some((owner, _)) = store.owner()?.filter(|(owner, _)| !owner.published) {
            return Ok(owner.fresh);
        }
        match self.found {
            Some(found) => Ok(place::count(client, &found.index)? == 0),
            None => Ok(true),
        }
    }
}
