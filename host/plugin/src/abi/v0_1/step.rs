//! A plugin bound to a schema: what a plan holds, and what each partition opens.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{Error, Result, Role, Schema, Stage, StageKind, Step, StepNote};

use super::guest::{Going, Guest, Loaded, Opening, Speaker};
use super::imports::Voice;
use super::promise::{Promise, SchemaText};
use super::stage::PluginStage;
use crate::descriptor::Descriptor;
use crate::limits::Limits;
use crate::log::LogSink;

/// Everything a stage of this step needs.
pub(crate) struct Bound {
    pub(crate) loaded: Loaded,
    pub(crate) descriptor: Descriptor,
    /// The step's name in the plan.
    pub(crate) stage: String,
    /// For a migration: which of its steps, and which way.
    pub(crate) going: Option<Going>,
    /// JSON text.
    pub(crate) config: String,
    pub(crate) digest: String,
    pub(crate) limits: Limits,
    pub(crate) grants: Vec<String>,
    pub(crate) allow_nondeterministic: bool,
    pub(crate) log: LogSink,
    pub(crate) text: SchemaText,
    pub(crate) promise: Promise,
}

/// What [`PluginStep::bind`] is given.
pub(crate) struct Binding {
    pub(crate) loaded: Loaded,
    pub(crate) descriptor: Descriptor,
    pub(crate) stage: String,
    pub(crate) going: Option<Going>,
    pub(crate) config: String,
    pub(crate) digest: String,
    pub(crate) limits: Limits,
    pub(crate) grants: Vec<String>,
    pub(crate) allow_nondeterministic: bool,
    pub(crate) log: LogSink,
}

impl Bound {
    pub(crate) fn speaker(&self, place: String) -> Speaker {
        Speaker {
            plugin: format!("{} {}", self.descriptor.name, self.descriptor.version),
            place,
        }
    }

    pub(crate) fn opening<'a>(&'a self, extra: &'a [(&'a str, &'a str)]) -> Opening<'a> {
        Opening {
            plugin: &self.descriptor.name,
            kind: &self.descriptor.kind,
            going: self.going,
            config: &self.config,
            input: &self.promise.input,
            text: &self.text,
            extra,
        }
    }

    /// Whether a batch has the columns the step was bound to.
    pub(crate) fn fits(&self, records: &RecordBatch) -> Result<()> {
        let fields = &self.promise.input.fields;
        let same = records.num_columns() == fields.len()
            && fields
                .iter()
                .zip(records.columns())
                .all(|(field, column)| field.logical.arrow() == *column.data_type());
        if same {
            return Ok(());
        }
        Err(Error::bug(format!(
            "stage `{}` was given other columns than it was planned for",
            self.stage
        )))
    }
}

/// A plugin as a step of a plan.
pub(crate) struct PluginStep {
    bound: Arc<Bound>,
}

impl PluginStep {
    /// Opens the plugin on a throw-away instance and keeps what it promises.
    pub(crate) fn bind(binding: Binding, input: &Schema) -> Result<PluginStep> {
        let Binding {
            loaded,
            descriptor,
            stage,
            going,
            config,
            digest,
            limits,
            grants,
            allow_nondeterministic,
            log,
        } = binding;
        let text = SchemaText::of(input);
        let speaker = Speaker {
            plugin: format!("{} {}", descriptor.name, descriptor.version),
            place: format!("when it was opened for step `{stage}`"),
        };
        let voice = Voice {
            plugin: descriptor.name.clone(),
            stage: stage.clone(),
            partition: None,
            sink: log.clone(),
            budget: Arc::default(),
        };
        let opening = Opening {
            plugin: &descriptor.name,
            kind: &descriptor.kind,
            going,
            config: &config,
            input,
            text: &text,
            extra: &[("stage", stage.as_str())],
        };
        let (_, promise) = Guest::open(&loaded, &limits, Some(voice), &speaker, &opening)?;
        let bound = Bound {
            loaded,
            descriptor,
            stage,
            going,
            config,
            digest,
            limits,
            grants,
            allow_nondeterministic,
            log,
            text,
            promise,
        };
        Ok(PluginStep {
            bound: Arc::new(bound),
        })
    }
}

impl Step for PluginStep {
    fn kind(&self) -> StageKind {
        StageKind::Plugin
    }

    fn output(&self) -> &Schema {
        &self.bound.promise.output
    }

    fn reads(&self) -> Vec<String> {
        let Promise { input, reads, .. } = &self.bound.promise;
        reads
            .iter()
            .map(|read| input.fields[*read].name.clone())
            .collect()
    }

    fn carries(&self) -> Vec<(String, String)> {
        let Promise {
            input,
            output,
            carried,
            ..
        } = &self.bound.promise;
        let pairs = carried
            .iter()
            .enumerate()
            .filter_map(|(to, from)| Some(((*from)?, to)));
        pairs
            .map(|(from, to)| {
                (
                    input.fields[from].name.clone(),
                    output.fields[to].name.clone(),
                )
            })
            .collect()
    }

    /// A plugin that does not hand on the rest drops what the schema does not know.
    fn keeps_unknown(&self) -> bool {
        let Promise { input, output, .. } = &self.bound.promise;
        input.role(Role::Rest).is_none() || output.role(Role::Rest).is_some()
    }

    fn note(&self) -> StepNote {
        let Bound {
            descriptor,
            limits,
            grants,
            ..
        } = &*self.bound;
        let mut lines = limits.lines();
        lines.push(match grants.as_slice() {
            [] => "grants none".to_owned(),
            grants => format!("grants {}", grants.join(", ")),
        });
        StepNote {
            summary: descriptor.summary.clone(),
            plugin: Some(format!("{} {}", descriptor.name, descriptor.version)),
            digest: Some(self.bound.digest.clone()),
            limits: lines,
            weakens: self.bound.allow_nondeterministic.then(|| {
                format!("plugin `{}` may keep state, so a resumed run may differ from an undisturbed one", descriptor.name)
            }),
        }
    }

    fn open(&self, partition: u32) -> Result<Box<dyn Stage>> {
        Ok(Box::new(PluginStage::open(self.bound.clone(), partition)?))
    }
}
