//! What the plan says about a target: what will be done to it, and what is to be known about it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use dkhost_core::{Conflict, Field, OpenTarget, Result, Stamp, TargetPlan};

use super::columns::Held;
use super::plan::{has_schema, is_empty};
use super::reshape::Reshaped;
use super::state::{Memory, Whose};
use super::{Plans, shown, stamps};
use crate::catalog::{Name, OUR_SCHEMA, Table};
use crate::server::Server;
use crate::session::Session;

/// What is known when the plan is written down.
pub(super) struct Planned<'a> {
    pub server: &'a Server,
    pub found: Option<&'a Table>,
    pub definition: &'a Table,
    pub name: &'a Name,
    pub open: &'a OpenTarget,
    pub held: &'a [Held],
    pub key: &'a [String],
    pub reshaped: Option<&'a Reshaped>,
}

impl Planned<'_> {
    /// The plan, and the one for a target that others write to.
    pub(super) fn plans(&self, session: &mut Session) -> Result<Plans> {
        let id = format!("{}.{}", self.definition.schema, self.definition.name);
        let whose = Whose {
            job: &self.open.job,
            target: &id,
        };
        let memory = Memory::read(session, whose)?;
        // A run that goes on finds its own rows; whose they are was written down when it began.
        let own = memory.filter(|memory| !memory.owner.published);
        let fresh = self.open.conflict == Conflict::ReplaceAll
            || match (own, self.found) {
                (Some(memory), _) => memory.owner.fresh,
                (None, Some(table)) => is_empty(session, &table.sql()?)?,
                (None, None) => true,
            };
        let planned = TargetPlan {
            label: format!("table {} in {}", shown(self.name), self.server.name),
            promise: "effectively-once".to_owned(),
            mechanism: "rows and checkpoint in one transaction of the database".to_owned(),
            effects: self.effects(session)?,
            notes: self.notes(),
            columns: self.held.iter().map(|held| held.shown.clone()).collect(),
            fresh,
            concurrent: true,
        };
        let shared = TargetPlan {
            fresh: false,
            ..planned.clone()
        };
        Ok(Plans {
            planned,
            shared,
            is_shared: AtomicBool::new(false),
        })
    }

    fn effects(&self, session: &mut Session) -> Result<Vec<String>> {
        let name = shown(self.name);
        let mut effects = Vec::new();
        if self.found.is_none() && !has_schema(session, self.name)? {
            let schema = self.name.schema.clone().unwrap_or_default();
            effects.push(format!("creates schema {schema}"));
        }
        let key = self.key.join(", ");
        effects.push(match (self.found, self.open.conflict) {
            (None, _) => format!("creates table {name} ({} columns)", self.definition.columns.len()),
            (Some(_), Conflict::ReplaceAll) => format!(
                "collects the rows in a table of schema {OUR_SCHEMA} and, in one transaction at the end, \
                 empties table {name}{} and puts them there; nobody can use it meanwhile{}",
                if self.reshaped.is_some() { ", alters it" } else { "" },
                if self.reshaped.is_some() { ", nor write to it while the run reads it" } else { "" }
            ),
            (Some(_), Conflict::Insert) => format!("adds rows to table {name}"),
            (Some(_), Conflict::Upsert) => {
                format!("adds rows to table {name} and replaces those with the same {key}")
            }
            (Some(_), Conflict::Skip) => {
                format!("adds rows to table {name} and keeps those with the same {key}")
            }
        });
        if let Some(reshaped) = self.reshaped {
            effects.extend(reshaped.effects(&name, self.found.is_none()));
        } else if let Some(stamp) = self.forgotten(session)? {
            effects.push(format!(
                "removes from {} that the records of table {name} are {}@{}",
                stamps::LABEL,
                stamp.schema,
                stamp.version
            ));
        }
        effects.push(format!(
            "keeps checkpoints in schema {OUR_SCHEMA} until the run is done"
        ));
        Ok(effects)
    }

    /// The version that the records of the table are of, and the job's need not be.
    fn forgotten(&self, session: &mut Session) -> Result<Option<Stamp>> {
        match (self.found, self.open.conflict) {
            (Some(table), Conflict::ReplaceAll) => stamps::read(session, table.oid),
            _ => Ok(None),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (table, name) = (self.definition, shown(self.name));
        if table.triggers > 0 {
            let when = match self.open.conflict {
                Conflict::ReplaceAll => "which run for every row when the result is published",
                _ => "which run for every row",
            };
            notes.push(format!("table {name} has triggers, {when}"));
        }
        if table.row_security {
            notes.push(format!(
                "row security hides rows of table {name} from this user: only what it shows is counted and compared"
            ));
        }
        let computed: Vec<&str> = table
            .columns
            .iter()
            .filter(|column| column.generated)
            .map(|column| column.name.as_str())
            .collect();
        if !computed.is_empty() {
            notes.push(format!("the server computes {}", computed.join(", ")));
        }
        notes.extend(self.no_index());
        notes.extend(self.left_behind());
        if let Some(reshaped) = self.reshaped {
            notes.extend(reshaped.notes.iter().cloned());
        }
        notes
    }

    /// What columns of the source have and those of a new table have not: a line for each kind.
    fn left_behind(&self) -> Vec<String> {
        let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let fields = self.open.schema.fields.iter();
        for field in fields.filter(|_| self.found.is_none()) {
            for kind in &field.left_behind {
                kinds.entry(kind).or_default().push(&field.name);
            }
        }
        let line = |(kind, columns): (&str, Vec<&str>)| {
            format!(
                "the new table goes without the source's {kind} of {}: create it beforehand to have it",
                columns.join(", ")
            )
        };
        kinds.into_iter().map(line).collect()
    }

    /// Where keys are declared and nothing in the table keeps them apart.
    fn no_index(&self) -> Option<String> {
        let declared = self.open.key();
        if !self.key.is_empty() || declared.is_empty() {
            return None;
        }
        let names: Vec<&str> = declared
            .iter()
            .map(|field: &&Field| field.name.as_str())
            .collect();
        Some(format!(
            "table {} has no unique index on {}: a record whose key is there already is added beside it",
            shown(self.name),
            names.join(", ")
        ))
    }
}
