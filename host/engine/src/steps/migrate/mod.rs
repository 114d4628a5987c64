//! `migrate`: records brought to another version of their schema.
//!
//! A way is a row of migrations, from files or plugins, up or down. It is compiled to the steps it
//! could have been written as – `rename`, `set`, `drop` – between two that make sure of the ends: the
//! first brings columns to the fields and types of the version the records are of, the last refuses
//! what does not satisfy the version they are brought to. Records that say their version themselves
//! (in their metadata, or in the field `_schema_version`) are taken at their word, so what was
//! migrated already is not migrated again.

mod align;
mod chain;
mod kept;
mod operation;
mod removed;
mod stamp;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use dkhost_core::{Changed, Error, Field, Node, Result, Role, Schema, Span, Step};
use dkhost_schema::{Direction, Migration, Operation, REMOVED, SchemaVersion, Verb};
use semver::Version;

use self::align::{Strictness, Target, align};
use self::chain::Chain;
use self::stamp::StampAt;
use self::versions::{Candidate, Versions};
use super::built_in::{Facts, Work, changed, step};
use super::rest::{are_documents, following};
use super::validate;
use crate::expr::Scope;
use crate::registry::LoadedPlugin;

pub use dkhost_schema::VERSION_FIELD;

/// From one version to the wanted one.
pub struct Way {
    /// The version it starts from.
    pub from: SchemaVersion,
    /// The migrations in the order they happen; none where records are there already.
    pub hops: Vec<Hop>,
}

/// One migration of a way.
pub struct Hop {
    /// The version it leads to, on this way.
    pub to: SchemaVersion,
    /// Which way it is gone.
    pub direction: Direction,
    /// What does it.
    pub by: By,
}

/// What carries a migration out.
pub enum By {
    /// A migration file.
    File {
        /// Read and checked.
        migration: Migration,
        /// Where it lies, for errors.
        path: PathBuf,
    },
    /// A step of a component.
    Plugin {
        /// The component.
        component: Arc<dyn LoadedPlugin>,
        /// Which of its steps.
        step: usize,
        /// The plugin's configuration.
        config: Node,
    },
}

/// What is asked of the step.
pub struct Wanted<'a> {
    /// The version records are brought to.
    pub to: &'a SchemaVersion,
    /// The ways there are, one for each version records may be of, that version itself included.
    pub ways: &'a [Way],
    /// The version of records that do not say theirs.
    pub from: Option<&'a Version>,
    /// Whether records get a field for their version where they have no place for it.
    pub stamps: bool,
    /// The step's place in the job file.
    pub span: &'a Span,
}

/// Whether records with these columns may say which version they are of.
pub(crate) fn say_their_version(input: &Schema) -> bool {
    StampAt::of(input).is_some()
}

/// Binds the step.
///
/// *Errors* – of class `Config`: `schema::no_version` if neither the records nor the job say which
/// version they are of; those of binding the way of [`Wanted::from`], or of all ways.
pub fn build(wanted: &Wanted<'_>, scope: &Scope) -> Result<Box<dyn Step>> {
    // Behind all ways: records that come along different ones may have the same value.
    Ok(validate::once(bound(wanted, scope)?, wanted.to))
}

fn bound(wanted: &Wanted<'_>, scope: &Scope) -> Result<Box<dyn Step>> {
    let is_from = |way: &&Way| Some(&way.from.id.version) == wanted.from;
    let given = wanted.ways.iter().find(is_from);
    match (StampAt::of(scope.input), given) {
        (Some(at), _) => by_record(at, wanted, scope),
        (None, Some(way)) => Ok(Box::new(compiled(way, Strictness::Plan, wanted, scope)?)),
        (None, None) => Err(Error::config(
            "schema::no_version",
            format!("{} does not know which version the records are of", scope.reader),
        )
        .at(wanted.span.clone(), "no `from`, and records do not say it")
        .help(format!(
            "add from = \"1.0.0\"; records say it themselves by `version` in their metadata, or in a field `{VERSION_FIELD}`"
        ))),
    }
}

fn by_record(at: StampAt, wanted: &Wanted<'_>, scope: &Scope) -> Result<Box<dyn Step>> {
    let mut candidates = Vec::new();
    let mut refused = None;
    for way in wanted.ways {
        let version = way.from.id.version.clone();
        let way = match compiled(way, Strictness::Records, wanted, scope) {
            Ok(chain) => Ok(chain),
            // What a component refuses is a mistake of the job, and no record's fault.
            Err(error) if wanted.from == Some(&version) || error.code().starts_with("plugin::") => {
                return Err(error);
            }
            Err(error) => {
                let why = error.chain();
                refused.get_or_insert(error);
                Err(why)
            }
        };
        candidates.push(Candidate { version, way });
    }
    if let Some(error) = refused
        && candidates.iter().all(|one| one.way.is_err())
    {
        return Err(error);
    }
    let output = united(&mut candidates, wanted.to);
    let index_of = |version: &Version| candidates.iter().position(|one| one.version == *version);
    let (unstamped, to) = (
        wanted.from.and_then(index_of),
        index_of(&wanted.to.id.version),
    );
    Ok(Box::new(Versions {
        wanted: to,
        input: scope.input.clone(),
        summary: summary(&candidates, wanted),
        candidates: candidates.into(),
        at,
        unstamped,
        output,
    }))
}

fn summary(candidates: &[Candidate], wanted: &Wanted<'_>) -> String {
    let reachable = candidates.iter().filter(|one| one.way.is_ok());
    let versions: Vec<String> = reachable.map(|one| one.version.to_string()).collect();
    let unstamped = match wanted.from {
        Some(from) => format!("; records that do not say theirs are of {from}"),
        None => String::new(),
    };
    format!(
        "{} by record from {}{unstamped}",
        wanted.to.id,
        versions.join(", ")
    )
}

/// A way as a chain of steps.
fn compiled(
    way: &Way,
    strictness: Strictness,
    wanted: &Wanted<'_>,
    scope: &Scope,
) -> Result<Chain> {
    let title = format!("{} to {}", way.from.id, wanted.to.id.version);
    let mut chain = Chain::new(title, scope.input);
    let mut binding = Binding {
        reader: &scope.reader,
        now: scope.now,
        span: wanted.span,
    };
    binding.align(&mut chain, &beginning(way, strictness, &made(way)))?;
    for (at, hop) in way.hops.iter().enumerate() {
        binding.hop(&mut chain, hop)?;
        binding.align(&mut chain, &Target::of(&hop.to))?;
        // Behind the last hop all rules of its version are asked anyway.
        if at + 1 < way.hops.len() {
            binding.constrain(&mut chain, hop)?;
        }
    }
    let input = chain.schema().clone();
    let scope = binding.scope(&input);
    let valid = validate::each(wanted.to, wanted.span, &scope)?;
    chain.push(following(valid, &input));
    if let Some(stamped) = stamp::stamp(
        &wanted.to.id.version.to_string(),
        wanted.stamps,
        chain.schema(),
    ) {
        chain.push(stamped);
    }
    Ok(chain)
}

/// What records are brought to before the first hop: of records of several versions, that fields pass
/// which belong to another one is not to be seen in the first version alone.
fn beginning<'a>(way: &'a Way, strictness: Strictness, made: &'a [&str]) -> Target<'a> {
    let start = Target::of(&way.from);
    let later = || way.hops.iter().find_map(|hop| align::closed(&hop.to));
    Target {
        strictness,
        closed: match strictness {
            Strictness::Plan => start.closed,
            Strictness::Records => start.closed.or_else(later),
        },
        made,
        ..start
    }
}

/// The fields that a way makes: those of its later versions, whoever makes them, and what operations
/// add or take for a while.
fn made(way: &Way) -> Vec<&str> {
    let hops = way.hops.iter();
    let fields = hops.clone().flat_map(|hop| &hop.to.fields);
    let operations = hops.flat_map(Hop::operations);
    let names = operations.flat_map(|operation| match &operation.verb {
        Verb::Add(fields) => fields.iter().map(|(name, _)| name.as_str()).collect(),
        Verb::Rename(names) => names.iter().map(|(_, new)| new.as_str()).collect(),
        Verb::Restore(_) | Verb::Remove { keep: true, .. } => vec![REMOVED],
        _ => Vec::new(),
    });
    fields
        .map(|field| field.name.as_str())
        .chain(names)
        .collect()
}

impl Hop {
    /// What a file does on this way; nothing is known of a component's.
    fn operations(&self) -> &[Operation] {
        match &self.by {
            By::File { migration, .. } => migration.operations(self.direction).unwrap_or_default(),
            By::Plugin { .. } => &[],
        }
    }
}

/// What all steps of a way have in common.
struct Binding<'a> {
    reader: &'a str,
    now: Option<DateTime<Utc>>,
    span: &'a Span,
}

impl Binding<'_> {
    fn scope<'s>(&self, input: &'s Schema) -> Scope<'s> {
        Scope {
            reader: self.reader.to_owned(),
            input,
            now: self.now,
        }
    }

    fn align(&mut self, chain: &mut Chain, to: &Target<'_>) -> Result<()> {
        let input = chain.schema().clone();
        let step = align(to, self.span, &self.scope(&input))?;
        if let Some(step) = step {
            chain.push(step);
        }
        Ok(())
    }

    fn hop(&mut self, chain: &mut Chain, hop: &Hop) -> Result<()> {
        match &hop.by {
            By::Plugin {
                component,
                step,
                config,
            } => {
                let input = chain.schema().clone();
                let name = self
                    .reader
                    .trim_start_matches("stage `")
                    .trim_end_matches('`');
                let bound = component
                    .bind_migration(name, *step, hop.direction, config, &input)
                    .map_err(|error| error.at_least(self.span.clone()))?;
                chain.push(following(bound, &input));
                Ok(())
            }
            By::File { migration, path } => {
                let operations = migration
                    .operations(hop.direction)
                    .ok_or_else(|| Error::bug("a way goes down where there is none"))?;
                for operation in operations {
                    let input = chain.schema().clone();
                    let step = operation::bind(operation, &hop.to, &self.scope(&input))
                        .map_err(|error| error.within(path))?;
                    if let Some(step) = step {
                        chain.push(step);
                    }
                }
                Ok(())
            }
        }
    }

    /// The fields that a hop's operations constrain.
    fn constrain(&mut self, chain: &mut Chain, hop: &Hop) -> Result<()> {
        let operations = hop.operations().iter();
        let constrained = operations.filter_map(|operation| match &operation.verb {
            Verb::Constrain(fields) => Some(fields),
            _ => None,
        });
        let fields: Vec<String> = constrained.flatten().cloned().collect();
        if !fields.is_empty() {
            let input = chain.schema().clone();
            let step = validate::constrain(&hop.to, &fields, self.span, &self.scope(&input))?;
            chain.push(following(step, &input));
        }
        Ok(())
    }
}

/// Brings all ways to the same columns: those of the version, then what any of them has besides.
fn united(candidates: &mut [Candidate], to: &SchemaVersion) -> Schema {
    let mut fields: Vec<Field> = Vec::new();
    let ways = candidates.iter().filter_map(|one| one.way.as_ref().ok());
    let documents = ways.clone().all(|way| are_documents(way.schema()));
    for way in ways {
        for field in &way.schema().fields {
            match fields.iter_mut().find(|known| known.name == field.name) {
                Some(known) => {
                    known.nullable |= field.nullable;
                    // A record that stays as it is gets no null for a field that it does not have.
                    known.null_is_absent |= field.null_is_absent;
                }
                None => fields.push(Field {
                    // Ways without it have nothing to put there.
                    nullable: field.nullable || to.field(&field.name).is_none(),
                    null_is_absent: field.null_is_absent
                        || (to.field(&field.name).is_none() && documents && field.role.is_none()),
                    ..field.clone()
                }),
            }
        }
    }
    // Reserved columns stand where every way has them: the id first, the others last.
    fields.sort_by_key(|field| match field.role {
        Some(Role::Id) => 0,
        None => 1,
        Some(Role::Meta) => 2,
        Some(Role::Rest) => 3,
    });
    let output = Schema::new(fields);
    for one in candidates {
        if let Ok(way) = &mut one.way
            && let Some(step) = arranged(way.schema(), &output)
        {
            way.push(step);
        }
    }
    output
}

/// The step that brings columns into the order of `output`, null where there is none of the name;
/// `None` if they are so already.
fn arranged(input: &Schema, output: &Schema) -> Option<Box<dyn Step>> {
    if input == output {
        return None;
    }
    let columns = output.names().map(|name| input.index_of(name)).collect();
    let facts = Facts {
        carries: input
            .names()
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect(),
        output: output.clone(),
        ..Facts::default()
    };
    let work = Arranged {
        columns,
        output: output.clone(),
        schema: output.to_arrow(),
    };
    Some(step(facts, work))
}

struct Arranged {
    columns: Vec<Option<usize>>,
    output: Schema,
    schema: SchemaRef,
}

impl Work for Arranged {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let rows = records.num_rows();
        let columns = self.output.fields.iter().zip(&self.columns);
        let columns: Vec<ArrayRef> = columns
            .map(|(field, column)| match column {
                Some(at) => records.column(*at).clone(),
                None => new_null_array(&field.logical.arrow(), rows),
            })
            .collect();
        changed(self.schema.clone(), columns, rows, Vec::new())
    }
}
