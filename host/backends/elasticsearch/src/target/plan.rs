//! Plans a target: looks at what has the name, lays out a mapping, and says all that can be known to
//! go wrong.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use dkhost_core::{
    Column, Conflict, Error, Field, OpenTarget, Options, Result, Role, TargetPlan, dataknobs,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::gate::Gate;
use super::layout::Layout;
use super::mapping::{self, Abilities};
use super::options::Wanted;
use super::place::{self, Found};
use super::store::{INDEX, Store};
use super::{Plans, Target};
use crate::client::{Client, Kind, Request};

/// Fields of the server's own, which a document cannot have.
///
/// *Source* – Elasticsearch reference, "Metadata fields".
const RESERVED: [&str; 10] = [
    "_id",
    "_index",
    "_source",
    "_routing",
    "_seq_no",
    "_version",
    "_type",
    "_field_names",
    "_ignored",
    "_nested_path",
];

/// Plans the target. Nothing is written.
pub(super) fn target(mut options: Options, open: &OpenTarget) -> Result<Target> {
    let client = Client::take(&mut options, &open.base)?;
    let wanted = Wanted::take(&mut options, open)?;
    check_columns(&wanted, open)?;
    let product = client.product()?.clone();
    let can = Abilities::of(&product, &modules(&client)?);
    let found = place::find(&client, &wanted.name).map_err(|e| e.at_least(wanted.span.clone()))?;
    check_found(&wanted, found.as_ref(), open)?;
    let layout = Layout::new(&open.schema, open.nulls, wanted.dataknobs, wanted.version);
    check_key(&layout, &wanted, open)?;
    let planned = Planned {
        wanted: &wanted,
        open,
        layout: &layout,
        found: found.as_ref(),
        can,
        label: format!("index {} at {}", wanted.name, client.name()),
    };
    let (create, added) = planned.mappings();
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
        store,
        gate: Gate::new(wanted.requests),
        bulk_bytes: wanted.bulk_bytes,
        gzip: wanted.gzip,
        client,
        held: Mutex::new(None),
    })
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

fn check_columns(wanted: &Wanted, open: &OpenTarget) -> Result<()> {
    if wanted.dataknobs {
        return Ok(());
    }
    let names: Vec<&str> = open
        .schema
        .fields
        .iter()
        .filter(|field| !matches!(field.role, Some(Role::Id | Role::Rest)))
        .map(|field| field.name.as_str())
        .collect();
    for name in &names {
        let parts_empty = name.split('.').any(|part| part.trim().is_empty());
        if parts_empty || RESERVED.contains(name) {
            return Err(bad_name(
                &format!("a document cannot have a field `{name}`"),
                name,
            ));
        }
        let inside = |other: &&&str| {
            name.strip_prefix(**other)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(other) = names.iter().find(inside) {
            let message =
                format!("`{name}` would be a field inside of `{other}`, which is one itself");
            return Err(bad_name(&message, name));
        }
    }
    Ok(())
}

fn bad_name(message: &str, name: &str) -> Error {
    Error::config("elasticsearch::bad_name", message.to_owned()).help(format!(
        "rename it in a step: rename = {{ {name:?} = \"…\" }}"
    ))
}

fn check_found(wanted: &Wanted, found: Option<&Found>, open: &OpenTarget) -> Result<()> {
    let error = match found {
        None if open.create => return Ok(()),
        None => Error::config(
            "target::absent",
            format!("there is no index `{}`", wanted.name),
        )
        .help("`create = true` creates it"),
        Some(found) if found.keeps_source() => return Ok(()),
        Some(found) => {
            let message = format!(
                "index `{}` does not keep its documents as they are (`_source`)",
                found.index
            );
            Error::config("elasticsearch::no_source", message).help(
                "nothing could be read back from it, or undone: write to an index that keeps them",
            )
        }
    };
    Err(error.at(wanted.span.clone(), "here"))
}

fn check_key(layout: &Layout, wanted: &Wanted, open: &OpenTarget) -> Result<()> {
    let mode = open.conflict;
    if !layout.from.is_place() {
        return Ok(());
    }
    if wanted.dataknobs {
        return Err(Error::config(
            "dataknobs::no_id",
            "records for a dataknobs store need an id, and none of these has one",
        )
        .help("set `key` in [source] to the column that tells records apart"));
    }
    match mode {
        Conflict::Insert | Conflict::ReplaceAll => Ok(()),
        Conflict::Upsert | Conflict::Skip => Err(Error::config(
            "elasticsearch::no_key",
            format!(
                "on_conflict = \"{}\" needs a key, and these records have none",
                mode.word()
            ),
        )
        .help("set `key` in [source] to the columns that tell records apart")),
    }
}

/// What is known when the plan is written down.
struct Planned<'a> {
    wanted: &'a Wanted,
    open: &'a OpenTarget,
    layout: &'a Layout,
    found: Option<&'a Found>,
    can: Abilities,
    label: String,
}

/// A column and the field it becomes.
struct Mapped<'a> {
    field: &'a Field,
    definition: Json,
    how: Option<String>,
    /// It is in the index already.
    there: bool,
    lossy: Option<String>,
}

impl<'a> Planned<'a> {
    /// Definitions of fields that are there, by the path of `properties` the layout has.
    fn properties(&self) -> Json {
        let all = self
            .found
            .map_or(&Json::Null, |found| &found.mappings["properties"]);
        match self.wanted.dataknobs {
            true => all["data"]["properties"].clone(),
            false => all.clone(),
        }
    }

    /// Every column that becomes a field.
    fn mapped(&self) -> Vec<Mapped<'a>> {
        let there = self.properties();
        let of_key: Vec<usize> = self.open.schema.key();
        let fields = self.open.schema.fields.iter().enumerate();
        let becomes = |field: &Field| match self.wanted.dataknobs {
            true => field.role.is_none(),
            false => !matches!(field.role, Some(Role::Id | Role::Rest)),
        };
        fields
            .filter(|(_, field)| becomes(field))
            .map(|(index, field)| self.one(field, of_key.contains(&index), &there))
            .collect()
    }

    fn one(&self, field: &'a Field, is_key: bool, there: &Json) -> Mapped<'a> {
        let found = field
            .name
            .split('.')
            .try_fold(there, |at, part| {
                at.get(part).or_else(|| at.get("properties")?.get(part))
            })
            .filter(|found| found.is_object());
        let by_job = self.wanted.mapping.get(&field.name);
        let (definition, how) = match (found, by_job) {
            (Some(found), _) => (found.clone(), None),
            (None, Some(job)) => (job.clone(), Some("as `mapping` says".to_owned())),
            (None, None) => mapping::definition(field, is_key, self.can),
        };
        let chosen = found.is_some() || by_job.is_some();
        let enabled = definition["enabled"] != false;
        let fit = match chosen && enabled {
            true => mapping::fit(&field.logical, kind_of(&definition)),
            false => mapping::Fit::default(),
        };
        Mapped {
            field,
            how: fit.refuses.map(|what| format!("refuses {what}")).or(how),
            lossy: fit
                .changes
                .map(|how| format!("searched and summed {how}; the document keeps the value")),
            there: found.is_some(),
            definition,
        }
    }

    /// What creates an index, and what is added to the one that is there.
    fn mappings(&self) -> (Json, Json) {
        let mapped = self.mapped();
        let mut new = Map::new();
        for column in mapped.iter().filter(|column| !column.there) {
            new.insert(column.field.name.clone(), column.definition.clone());
        }
        let added = match (new.is_empty(), self.wanted.dataknobs) {
            (true, _) => json!({}),
            (false, true) => json!({"data": {"properties": new}}),
            (false, false) => Json::Object(new),
        };
        // An index that parses no document has no fields.
        let parses = self
            .found
            .is_none_or(|found| found.mappings["enabled"] != false);
        let added = if self.open.create && parses {
            added
        } else {
            json!({})
        };
        let (mut mappings, mut settings) = match self.found {
            Some(found) => (found.mappings.clone(), found.settings_of_successor()),
            None if self.wanted.dataknobs => (
                knobs_mappings(),
                json!({"number_of_shards": 1, "number_of_replicas": 0}),
            ),
            // What no column names is kept and not indexed: its first value would decide for all.
            None => (json!({"dynamic": false, "properties": {}}), json!({})),
        };
        merge(&mut mappings["properties"], &added);
        if self.open.conflict == Conflict::ReplaceAll {
            place::mark(&mut mappings, &self.wanted.name);
        }
        merge(&mut settings, &nested(place::during()));
        (
            json!({"settings": {"index": settings}, "mappings": mappings}),
            added,
        )
    }

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

    fn plan(&self, client: &Client, added: &Json, fresh: bool) -> TargetPlan {
        let mut columns: Vec<Column> = Vec::new();
        for field in &self.open.schema.fields {
            columns.extend(self.beside(field));
        }
        let mapped = self.mapped();
        columns.extend(mapped.iter().map(|column| Column {
            name: column.field.name.clone(),
            target_type: kind_of(&column.definition).to_owned(),
            how: column.how.clone(),
            lossy: column.lossy.clone(),
        }));
        // In the order of the records.
        columns.sort_by_key(|column| self.open.schema.index_of(&column.name));
        let mut notes = client.notes();
        notes.extend(self.notes(&mapped));
        TargetPlan {
            label: self.label.clone(),
            promise: "effectively-once".to_owned(),
            mechanism: self.mechanism().to_owned(),
            effects: self.effects(added),
            notes,
            columns,
            fresh,
            concurrent: true,
        }
    }

    fn mechanism(&self) -> &'static str {
        match (self.layout.from.is_place(), self.layout.version) {
            (_, Some(_)) => {
                "by `_id` and each document's version; checkpoint by compare-and-set; readers see partial batches"
            }
            (true, _) => {
                "by `_id` made of the record's place, checkpoint by compare-and-set; readers see partial batches"
            }
            (false, _) => {
                "by `_id`, what a batch changes written down before it, checkpoint by compare-and-set; readers see partial batches"
            }
        }
    }

    /// Columns that are no fields.
    fn beside(&self, field: &Field) -> Option<Column> {
        let (target_type, how) = match field.role {
            Some(Role::Id) => ("_id", None),
            Some(Role::Rest) => ("document", Some("merged into the document")),
            Some(Role::Meta) if self.wanted.dataknobs => ("metadata", None),
            _ => return None,
        };
        Some(Column {
            name: field.name.clone(),
            target_type: target_type.to_owned(),
            how: how.map(str::to_owned),
            lossy: None,
        })
    }

    fn effects(&self, added: &Json) -> Vec<String> {
        let name = &self.wanted.name;
        let fields = self.mapped().len();
        let mut effects = Vec::new();
        match (self.found, self.open.conflict) {
            (None, Conflict::ReplaceAll) => effects.push(format!("creates an index {name}-dkhost-RUN ({fields} fields) and an alias {name} of it at the end")),
            (None, _) => effects.push(format!("creates index {name} ({fields} fields)")),
            (Some(found), Conflict::ReplaceAll) => {
                effects.push(format!("builds index {name}-dkhost-RUN beside {}, with its settings and mapping", found.index));
                effects.push(match (found.by_alias, found.is_ours()) {
                    (true, true) => format!("points alias {name} to it at the end, and deletes index {}, which an earlier run made", found.index),
                    (true, false) => format!("points alias {name} to it at the end; index {} stays, without that name", found.index),
                    (false, _) => format!("deletes index {name} at the end, and in the same moment gives its name to the new one as an alias"),
                });
            }
            (Some(found), mode) => {
                let index = match found.by_alias {
                    true => format!("index {} (by its alias {name})", found.index),
                    false => format!("index {name}"),
                };
                effects.push(match mode {
                    Conflict::Upsert => format!("adds documents to {index} and replaces those with the same _id"),
                    Conflict::Skip => format!("adds documents to {index} and keeps those with the same _id"),
                    _ => format!("adds documents to {index}"),
                });
            }
        }
        if self.found.is_some() && added != &json!({}) {
            let names: Vec<String> = self
                .mapped()
                .iter()
                .filter(|column| !column.there)
                .map(|column| column.field.name.clone())
                .collect();
            effects.push(format!("adds to its mapping: {}", names.join(", ")));
        }
        effects.push("turns its refresh off during the load, so that searches find nothing new until the end, and back on after it".to_owned());
        effects.push(format!("keeps checkpoints in the hidden index {INDEX}, and an alias of the load on the index, until the run is done"));
        effects
    }

    fn notes(&self, mapped: &[Mapped<'_>]) -> Vec<String> {
        let mut notes = Vec::new();
        if self.layout.from.is_place() {
            notes.push("documents are called by their place in the run, since these records have no key: another run adds them again".to_owned());
        }
        if self.layout.version.is_some() {
            notes.push(
                "with versions a batch that was not committed is not undone; it is written again"
                    .to_owned(),
            );
        }
        let dynamic = self.found.map(|found| &found.mappings["dynamic"]);
        let is_dynamic = dynamic.is_some_and(|dynamic| {
            !matches!(dynamic.as_str(), Some("false" | "strict")) && *dynamic != false
        });
        let missing = mapped.iter().filter(|column| !column.there);
        if self.found.is_some() && !self.open.create {
            for column in missing {
                let name = &column.field.name;
                notes.push(match dynamic.and_then(Json::as_str) {
                    Some("strict") => format!("the mapping is strict and has no field {name}: documents that have it are refused"),
                    _ if is_dynamic => format!("the mapping has no field {name}; the server makes it {} by its first value", mapping::dynamic(&column.field.logical)),
                    _ => format!("the mapping has no field {name}: it is kept and not searchable"),
                });
            }
        }
        if self.open.schema.role(Role::Rest).is_some() && !self.wanted.dataknobs {
            notes.push(match is_dynamic {
                true => "fields that are no column are indexed as the server likes, by their first value: numbers with a fraction as 32-bit floats; values that do not fit are refused".to_owned(),
                false => "fields that are no column are kept and not searchable; values their column's type cannot hold are refused".to_owned(),
            });
        }
        if self.can.kind == Kind::Elasticsearch && self.wanted.dataknobs {
            notes.push("vectors are indexed for cosine similarity, as dataknobs does: one of zeros only is refused".to_owned());
        }
        if self.wanted.dataknobs {
            notes.extend(dataknobs::lost_when_flat(&self.open.schema));
        }
        notes
    }
}

/// The mapping dataknobs gives a store, but for numbers, which it lets become 32-bit floats.
///
/// *Source* – `dataknobs-data` 0.4.13, run against Elasticsearch 8.19.
fn knobs_mappings() -> Json {
    json!({
        "dynamic_templates": [{"numbers": {"match_mapping_type": "double", "mapping": {"type": "double"}}}],
        "properties": {
            "id": {"type": "keyword"},
            "data": {"type": "object", "properties": {}},
            "metadata": {"type": "object"},
            "created_at": {"type": "date"},
            "updated_at": {"type": "date"},
        },
    })
}

/// The type of a field; one with fields in it is an object.
fn kind_of(definition: &Json) -> &str {
    definition["type"].as_str().unwrap_or("object")
}

/// Adds the members of an object to another, inside of those both have.
fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// `{"a.b": 1}` as `{"a": {"b": 1}}`.
fn nested(settings: Json) -> Json {
    let mut nested = json!({});
    for (name, value) in settings.as_object().into_iter().flatten() {
        let inner = name
            .rsplit('.')
            .fold(value.clone(), |value, part| json!({part: value}));
        merge(&mut nested, &inner);
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_dots_are_put_where_they_belong() {
        let during = nested(json!({"refresh_interval": "-1", "translog.durability": "request"}));
        let mut settings = json!({"translog": {"durability": "async", "sync_interval": "5s"}, "number_of_shards": "1"});
        merge(&mut settings, &during);
        assert_eq!(
            settings,
            json!({"translog": {"durability": "request", "sync_interval": "5s"}, "number_of_shards": "1", "refresh_interval": "-1"})
        );
    }
}
