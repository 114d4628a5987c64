//! Job → Plan: everything that can be known to fail fails here, before anything is written.
//!
//! Making a plan opens the source (which reads its sample and nothing more), loads the plugins,
//! takes the schema through every step to the target, and asks the target what it would do. A
//! [`Plan`] exists only if all of that worked, so a run has nothing left to doubt.

mod binding;
mod evolution;
pub(crate) mod hash;
mod nowhere;
mod opening;
mod past;
mod reshape;
mod view;
mod ways;

use chrono::{DateTime, Utc};
use dkhost_core::error::nearest;
use dkhost_core::options::unknown_key;
use dkhost_core::{
    Backend, Capabilities, Conflict, Error, OpenTarget, OptionSpec, Options, Partition, Result,
    Role, Schema, Sink, Source, Span, Step,
};

use uuid::Uuid;

use crate::drift::Guard;
use crate::history::Window;
use crate::job::{Drift, Job, KEYS_HELP, OnError, SOURCE_OPTIONS, TARGET_OPTIONS, Verify};
use crate::registry::Registry;

use binding::Binding;
use opening::{Opened, Opening};
use past::Past;

pub use evolution::Evolution;
pub use view::{ColumnView, PlanView, StageView};

/// A job that was resolved, typed and found possible.
pub struct Plan {
    /// The job.
    pub job: Job,
    /// The source, open.
    pub source: Box<dyn Source>,
    /// Its slices, in order.
    pub partitions: Vec<Partition>,
    /// The steps, bound.
    pub stages: Vec<PlannedStage>,
    /// What happens to what the source's schema cannot hold.
    pub guard: Guard,
    /// The schema of what the target is given.
    pub schema: Schema,
    /// The target, open, nothing written.
    pub sink: Box<dyn Sink>,
    /// Whether the target holds documents.
    pub documents: bool,
    /// SHA-256 of what decides the result, hexadecimal.
    pub hash: String,
    /// The run it is for: the unfinished one of this job, else a new one (UUIDv7). Its time is the
    /// value of `now()`, so that a batch that is written again comes out the same.
    pub run: Uuid,
    /// Parts of the job's filter the source checks itself, as they were written.
    pub pushed: Vec<String>,
    /// What an incremental run reads; `None` for jobs that read all, and for trials (`limit`).
    pub cursor: Option<Window>,
    /// What the engine has to say about the source, beside what it says itself.
    notes: Vec<String>,
}

/// A step at its place in a plan.
pub struct PlannedStage {
    /// What reports and dead letters call it: its name in the job, else `2:apply`.
    pub name: String,
    /// The verb.
    pub verb: String,
    /// The step.
    pub step: Box<dyn Step>,
    /// What happens to records it refuses.
    pub on_error: OnError,
    /// SHA-256 of the files beside the job that it is made of: versions of schemas, migrations.
    pub files: Option<String>,
    /// What it does to the versions of records.
    pub evolution: Option<Evolution>,
}

/// For what a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To run the job, going on with an interrupted run.
    Run,
    /// To run the job from the start, whatever was interrupted.
    Anew,
    /// As `Anew`, and an incremental source is read whole.
    Full,
    /// To bring dead letters of an earlier run into the target as it is now.
    Retry,
    /// To look at the source and the steps only: the target is not opened for writing.
    Look,
}

impl Plan {
    /// Makes the plan of a job.
    pub fn make(job: Job, registry: &Registry, purpose: Purpose) -> Result<Plan> {
        Self::resolve(job, registry, purpose).map_err(|error| error.help_at_least(KEYS_HELP))
    }

    fn resolve(job: Job, registry: &Registry, purpose: Purpose) -> Result<Plan> {
        let reading = registry.backend(&job.source.backend.0, &job.source.backend.1)?;
        let writing = registry.backend(&job.target.backend.0, &job.target.backend.1)?;
        check_keys(
            &job.source.options,
            reading.source_options(),
            SOURCE_OPTIONS,
        )?;
        check_keys(
            &job.target.options,
            writing.target_options(),
            TARGET_OPTIONS,
        )?;
        let capabilities = writing.target_capabilities(&job.target.options)?;
        check_drift(&job, capabilities, writing.name())?;

        let Past { run, reading: from } = Past::of(&job, purpose)?;
        let now = started_at(&run);
        let opening = Opening {
            job: &job,
            backend: reading.as_ref(),
            target: capabilities,
            incremental: from.as_ref().map(|from| from.open.clone()),
            now,
        };
        let opened = opening.open()?;
        let stages = Binding::of(&job, registry, now).bind(&opened)?;
        let Opened { source, pushed, .. } = opened;
        let output = stages
            .last()
            .map_or(source.schema(), |stage| stage.step.output());
        let schema = target_schema(&job, output, capabilities)?;
        let sink = match purpose {
            Purpose::Look => Box::new(nowhere::Nowhere::default()),
            Purpose::Run | Purpose::Anew | Purpose::Full | Purpose::Retry => {
                open_target(&job, writing.as_ref(), &schema, &stages, purpose)?
            }
        };
        check_lossy(&job, &schema, sink.as_ref())?;
        let partitions = source.partitions()?;
        let guard = Guard::new(
            source.schema(),
            &stages,
            capabilities.documents,
            job.run.drift,
        );
        let hash = hash::plan_hash(&job, source.schema(), &stages, &pushed);
        let cursor = from
            .as_ref()
            .and_then(|from| from.window(&job, source.as_ref()));
        let notes = notes(&job, &pushed, from.as_ref());
        Ok(Plan {
            job,
            source,
            partitions,
            stages,
            guard,
            schema,
            sink,
            documents: capabilities.documents,
            hash,
            run,
            pushed,
            cursor,
            notes,
        })
    }

    /// The plan as people and programs read it.
    pub fn view(&self) -> PlanView {
        view::view(self)
    }
}

/// What is read, in sentences.
fn notes(job: &Job, pushed: &[String], reading: Option<&past::Reading>) -> Vec<String> {
    let mut notes: Vec<String> = reading
        .map(|reading| reading.note(job))
        .into_iter()
        .collect();
    if !pushed.is_empty() {
        notes.push(format!(
            "the source itself checks: {}; other records are not read",
            pushed.join(" and ")
        ));
    }
    notes
}

/// The backend's own keys, checked; the common ones were taken out before and are only offered.
fn check_keys(options: &Options, own: &[OptionSpec], common: &[OptionSpec]) -> Result<()> {
    let known = || own.iter().chain(common).map(|spec| spec.name);
    match options
        .keys()
        .find(|(key, _)| !own.iter().any(|spec| spec.name == *key))
    {
        Some((key, span)) => Err(unknown_key(&options.section, key, span, known())),
        None => options.check(&[own]),
    }
}

fn check_drift(job: &Job, capabilities: Capabilities, backend: &str) -> Result<()> {
    if job.run.drift == Drift::Evolve && !capabilities.evolves && !capabilities.documents {
        return Err(Error::config("plan::cannot_evolve", format!("a {backend} target of this kind cannot take new columns during a run"))
            .help("use schema_drift = \"freeze\", \"discard_row\" or \"discard_value\", or a format of documents (json, jsonl)"));
    }
    Ok(())
}

fn known_column(name: &str, schema: &Schema, span: &Span, what: &str) -> Result<()> {
    if schema.index_of(name).is_some() {
        return Ok(());
    }
    let label = match nearest(name, schema.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "no such column".to_owned(),
    };
    Err(Error::config(
        "plan::unknown_field",
        format!("{what} names the column `{name}`, which is not there"),
    )
    .at(span.clone(), label)
    .help(format!(
        "the columns are: {}",
        schema.names().collect::<Vec<_>>().join(", ")
    )))
}

/// When a run began: its id says so, to the millisecond.
pub(crate) fn started_at(run: &Uuid) -> DateTime<Utc> {
    let (seconds, nanos) = run.get_timestamp().map_or((0, 0), |time| time.to_unix());
    DateTime::from_timestamp(seconds as i64, nanos).unwrap_or_default()
}

/// What the target is given: without the rest unless it holds documents, with the target's key.
fn target_schema(job: &Job, output: &Schema, capabilities: Capabilities) -> Result<Schema> {
    let mut schema = output.clone();
    if !capabilities.documents {
        schema.fields.retain(|field| field.role != Some(Role::Rest));
    }
    if let Some((key, span)) = &job.target.key {
        for name in key {
            known_column(name, &schema, span, "the target's key")?;
        }
        for field in &mut schema.fields {
            field.key = key
                .iter()
                .position(|name| *name == field.name)
                .map(|place| place as u32);
        }
    }
    let has_columns = schema
        .fields
        .iter()
        .any(|field| field.role != Some(Role::Rest));
    // An empty store of documents is a valid source, and its copy an empty store of documents.
    let copies_documents = capabilities.documents && job.steps.is_empty();
    if !has_columns && !copies_documents {
        let error = Error::config("plan::no_columns", "there is no column for the target");
        return Err(error.help("the source showed no readable record, or the steps leave no column; `dkhost preview` shows which, `fields` declares columns"));
    }
    Ok(schema)
}

fn open_target(
    job: &Job,
    backend: &dyn Backend,
    schema: &Schema,
    stages: &[PlannedStage],
    purpose: Purpose,
) -> Result<Box<dyn Sink>> {
    let conflict = match (purpose, job.target.conflict.0) {
        // Letters join what the run left behind; they must not replace it.
        (Purpose::Retry, Conflict::ReplaceAll) => Conflict::Insert,
        (_, conflict) => conflict,
    };
    let open = OpenTarget {
        base: job.base.clone(),
        job: job.name.clone(),
        schema: schema.clone(),
        conflict,
        create: job.target.create,
        nulls: job.run.nulls,
        content: job.run.verify > Verify::Count,
        reshape: stages
            .last()
            .and_then(|stage| stage.evolution.as_ref())
            .filter(|_| job.reshapes)
            .map(|evolution| evolution.reshape.clone()),
    };
    backend
        .open_target(job.target.options.clone(), &open)
        .map_err(|error| error.at_least(job.target.backend.1.clone()))
}

fn check_lossy(job: &Job, schema: &Schema, sink: &dyn Sink) -> Result<()> {
    for name in &job.run.allow_lossy {
        known_column(name, schema, &job.target.backend.1, "allow_lossy")?;
    }
    let plan = sink.plan();
    let changing: Vec<(&str, &str)> = plan
        .columns
        .iter()
        .filter(|column| !job.run.allow_lossy.contains(&column.name))
        .filter_map(|column| Some((column.name.as_str(), column.lossy.as_deref()?)))
        .collect();
    if changing.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = changing
        .iter()
        .map(|(name, reason)| format!("`{name}` may change on the way: {reason}"))
        .collect();
    let allowed = job.run.allow_lossy.iter().map(String::as_str);
    let names: Vec<&str> = allowed
        .chain(changing.iter().map(|(name, _)| *name))
        .collect();
    let what = if changing.len() == 1 {
        "the column"
    } else {
        "the columns"
    };
    Err(
        Error::config("plan::lossy", format!("values of {}", why.join("; of ")))
            .at(job.target.backend.1.clone(), "in this target")
            .help(format!(
                "convert {what} in a step, or allow it: run.allow_lossy = {names:?}"
            )),
    )
}
