//! What people are told before a run: what becomes of each column, what will be done to the cluster,
//! and what they may not expect.

use dkhost_core::{Column, Conflict, Field, Role, TargetPlan, dataknobs};
use serde_json::{Value as Json, json};

use super::super::mapping;
use super::super::store::INDEX;
use super::Planned;
use super::fields::{Mapped, kind_of};
use crate::client::{Client, Kind};

impl Planned<'_> {
    pub fn plan(&self, client: &Client, added: &Json, fresh: bool) -> TargetPlan {
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
        if let Some(found) = self.found.filter(|found| {
            self.open.conflict == Conflict::ReplaceAll && (!found.by_alias || found.is_ours())
        }) {
            let names: Vec<&str> = found
                .other_names(name)
                .map(|(alias, _)| alias.as_str())
                .collect();
            if !names.is_empty() {
                effects.push(format!("hands its other aliases on: {}", names.join(", ")));
            }
        }
        effects.extend(self.successor.effects.iter().cloned());
        if self.found.is_some() && added != &json!({}) {
            let names: Vec<String> = self
                .mapped()
                .iter()
                .filter(|column| !column.there)
                .map(|column| column.field.name.clone())
                .collect();
            effects.push(format!("adds to its mapping: {}", names.join(", ")));
        }
        if let Some(reshape) = &self.open.reshape {
            effects.push(format!(
                "says in its mapping that its documents are of {}@{}",
                reshape.schema, reshape.version
            ));
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
        if let Some(reshape) = &self.open.reshape
            && !(reshape.constraints.is_empty() && reshape.required.is_empty())
        {
            notes.push(format!("an index checks nothing: what {}@{} asks of its documents is checked on the way, and not by {}", reshape.schema, reshape.version, self.wanted.name));
        }
        let dynamic = self.found.map(|found| &found.mappings["dynamic"]);
        let is_dynamic = dynamic.is_some_and(|dynamic| {
            !matches!(dynamic.as_str(), Some("false" | "strict")) && *dynamic != false
        });
        let missing = mapped.iter().filter(|column| !column.there);
        if self.found.is_some() && !self.adds_fields() {
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
