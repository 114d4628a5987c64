//! Job → Plan: everything that can be known to fail fails here, before anything is written.
//!
//! Making a plan opens the source (which reads its sample and nothing more), loads the plugins,
//! takes the schema through every step to the target, and asks the target what it would do. A
//! [`Plan`] exists only if all of that worked, so a run has nothing left to doubt.

pub(crate) mod hash;
mod nowhere;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dkhost_core::error::nearest;
use dkhost_core::options::unknown_key;
use dkhost_core::{
    Backend, Capabilities, Class, Conflict, Error, Node, NodeKind, OpenSource, OpenTarget,
    OptionSpec, Options, Partition, Result, Role, Schema, Sink, Source, Span, Step,
};

use uuid::Uuid;

use crate::drift::Guard;
use crate::expr::Scope;
use crate::history::History;
use crate::job::{
    Drift, Job, KEYS_HELP, OnError, PluginSettings, SOURCE_OPTIONS, StepSpec, TARGET_OPTIONS, Verify,
};
use crate::registry::{LoadedPlugin, Registry};
use crate::steps;

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
}

/// For what a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To run the job, going on with an interrupted run.
    Run,
    /// To run the job from the start, whatever was interrupted.
    Anew,
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

        let source = open_source(&job, reading.as_ref(), capabilities)?;
        let run = run_id(&job, purpose)?;
        let stages = bind_stages(&job, registry, source.schema(), started_at(&run))?;
        let output = stages
            .last()
            .map_or(source.schema(), |stage| stage.step.output());
        let schema = target_schema(&job, output, capabilities)?;
        let sink = match purpose {
            Purpose::Look => Box::new(nowhere::Nowhere::default()),
            Purpose::Run | Purpose::Anew | Purpose::Retry => {
                open_target(&job, writing.as_ref(), &schema, purpose)?
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
        let hash = hash::plan_hash(&job, source.schema(), &stages);
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
        })
    }

    /// The plan as people and programs read it.
    pub fn view(&self) -> PlanView {
        view::view(self)
    }
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

fn open_source(job: &Job, backend: &dyn Backend, target: Capabilities) -> Result<Box<dyn Source>> {
    let open = OpenSource {
        base: job.base.clone(),
        batch: job.run.batch,
        // A filter may look at columns that do not go on; they are left out behind it.
        columns: match &job.source.filter {
            Some(_) => None,
            None => job
                .source
                .columns
                .as_ref()
                .map(|(columns, _)| columns.clone()),
        },
        key: job.source.key.0.clone(),
        partitions: match job.source.limit {
            Some(_) => 1,
            None => job.source.partitions.unwrap_or(job.run.parallel),
        },
        explicit_nulls: target.documents,
        ..OpenSource::default()
    };
    let source = backend
        .open_source(job.source.options.clone(), &open)
        .map_err(|error| error.at_least(job.source.backend.1.clone()))?;
    for name in &job.source.key.0 {
        known_column(name, source.schema(), &job.source.key.1, "the key")?;
    }
    Ok(source)
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

/// The run a plan is for.
fn run_id(job: &Job, purpose: Purpose) -> Result<Uuid> {
    let unfinished = match purpose {
        Purpose::Run | Purpose::Retry => History::open_existing(&job.state)?
            .map(|history| history.unfinished(&job.name))
            .transpose()?
            .flatten(),
        Purpose::Anew | Purpose::Look => None,
    };
    match unfinished {
        Some(run) => run.id.parse().map_err(|cause: uuid::Error| {
            Error::state("state::corrupt", format!("`{}` is no run id", run.id)).caused_by(cause)
        }),
        None => Ok(Uuid::now_v7()),
    }
}

/// When a run began: its id says so, to the millisecond.
pub(crate) fn started_at(run: &Uuid) -> DateTime<Utc> {
    let (seconds, nanos) = run.get_timestamp().map_or((0, 0), |time| time.to_unix());
    DateTime::from_timestamp(seconds as i64, nanos).unwrap_or_default()
}

/// Binds every step to the output of the one before.
fn bind_stages(
    job: &Job,
    registry: &Registry,
    input: &Schema,
    now: DateTime<Utc>,
) -> Result<Vec<PlannedStage>> {
    let mut loaded: BTreeMap<String, Arc<dyn LoadedPlugin>> = BTreeMap::new();
    let mut stages: Vec<PlannedStage> = Vec::new();
    if let Some((filter, span)) = &job.source.filter {
        let node = Node {
            span: span.clone(),
            kind: NodeKind::Text(filter.clone()),
        };
        let step = steps::build(
            "filter",
            &node,
            &Scope::stage("source.filter", input).at(now),
        )?;
        stages.push(PlannedStage {
            name: "source.filter".into(),
            verb: "filter".into(),
            step,
            on_error: job.run.on_error,
        });
    }
    if let (Some((columns, span)), Some(_)) = (&job.source.columns, &job.source.filter) {
        let input = stages.last().map_or(input, |stage| stage.step.output());
        let names = columns.iter().map(|name| Node {
            span: span.clone(),
            kind: NodeKind::Text(name.clone()),
        });
        let node = Node {
            span: span.clone(),
            kind: NodeKind::Array(names.collect()),
        };
        let step = steps::build("keep", &node, &Scope::stage("source.columns", input))?;
        stages.push(PlannedStage {
            name: "source.columns".into(),
            verb: "keep".into(),
            step,
            on_error: job.run.on_error,
        });
    }
    for (index, spec) in job.steps.iter().enumerate() {
        let input = stages.last().map_or(input, |stage| stage.step.output());
        let name = stage_name(spec, index, &stages);
        let step = match spec.plugin_name() {
            None => steps::build(&spec.verb, &spec.node, &Scope::stage(&name, input).at(now))
                .map_err(|error| error.at_least(spec.span.clone()))?,
            Some((component, plugin)) => {
                let plugin_of = plugin_settings(job, component, &spec.node.span)?;
                let component = match loaded.get(component) {
                    Some(component) => component.clone(),
                    None => {
                        let fresh = load(job, registry, plugin_of, spec)?;
                        loaded.insert(component.to_owned(), fresh.clone());
                        fresh
                    }
                };
                bind_plugin(component.as_ref(), spec, plugin, &name, input)?
            }
        };
        stages.push(PlannedStage {
            name,
            verb: spec.verb.clone(),
            step,
            on_error: spec.on_error.unwrap_or(job.run.on_error),
        });
    }
    Ok(stages)
}

fn stage_name(spec: &StepSpec, index: usize, before: &[PlannedStage]) -> String {
    let plain = match (&spec.name, spec.plugin_name()) {
        (Some(name), _) => name.clone(),
        (None, Some((component, None))) => format!("{}:{component}", index + 1),
        (None, Some((component, Some(plugin)))) => format!("{}:{component}/{plugin}", index + 1),
        (None, None) => format!("{}:{}", index + 1, spec.verb),
    };
    if before.iter().any(|stage| stage.name == plain) {
        format!("{plain}#{}", index + 1)
    } else {
        plain
    }
}

fn plugin_settings<'a>(job: &'a Job, component: &str, span: &Span) -> Result<&'a PluginSettings> {
    job.plugins.iter().find(|plugin| plugin.name == component).ok_or_else(|| {
        let label = match nearest(component, job.plugins.iter().map(|p| p.name.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no component has this name".to_owned(),
        };
        Error::config("plan::unknown_plugin", format!("a step names the plugin `{component}`, which was not given"))
            .at(span.clone(), label)
            .help(format!("add `--plugin {component}=PATH.wasm`, or write [plugins.{component}] path = \"PATH.wasm\""))
    })
}

fn load(
    job: &Job,
    registry: &Registry,
    settings: &PluginSettings,
    spec: &StepSpec,
) -> Result<Arc<dyn LoadedPlugin>> {
    let path = if settings.from_command_line {
        settings.path.clone()
    } else {
        job.base.join(&settings.path)
    };
    let span = if settings.span.is_empty() {
        spec.span.clone()
    } else {
        settings.span.clone()
    };
    registry.plugins.load(&path, settings).map_err(|error| {
        let error = match error.code() {
            // The job or the command line names a file that is not there.
            "io::not_found" => error.with_class(Class::Config),
            _ => error,
        };
        if span.is_empty() {
            error
        } else {
            error.at_least(span)
        }
    })
}

fn bind_plugin(
    component: &dyn LoadedPlugin,
    spec: &StepSpec,
    plugin: Option<&str>,
    name: &str,
    input: &Schema,
) -> Result<Box<dyn Step>> {
    let empty = Node::new(NodeKind::Table(Vec::new()));
    let config = spec.config.as_ref().unwrap_or(&empty);
    let step = component
        .bind(name, plugin, config, input)
        .map_err(|error| {
            let span = if config.span.is_empty() {
                spec.span.clone()
            } else {
                config.span.clone()
            };
            if span.is_empty() {
                error
            } else {
                error.at_least(span)
            }
        })?;
    Ok(steps::rest::following(step, input))
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
    };
    backend
        .open_target(job.target.options.clone(), &open)
        .map_err(|error| error.at_least(job.target.backend.1.clone()))
}

fn check_lossy(job: &Job, schema: &Schema, sink: &dyn Sink) -> Result<()> {
    for name in &job.run.allow_lossy {
        known_column(name, schema, &job.target.backend.1, "allow_lossy")?;
    }
    for column in &sink.plan().columns {
        if let Some(reason) = &column.lossy
            && !job.run.allow_lossy.contains(&column.name)
        {
            return Err(Error::config(
                "plan::lossy",
                format!(
                    "values of `{}` may change on the way: {reason}",
                    column.name
                ),
            )
            .at(job.target.backend.1.clone(), "in this target")
            .help(format!(
                "convert the column in a step, or allow it: run.allow_lossy = [\"{}\"]",
                column.name
            )));
        }
    }
    Ok(())
}
