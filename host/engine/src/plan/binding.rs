//! Binding: every step of the job to the output of the one before, what `[source]` leaves to the
//! engine first.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dkhost_core::error::nearest;
use dkhost_core::{Class, Error, Node, NodeKind, Result, Schema, Span, Step};

use super::PlannedStage;
use super::evolution::{self, Bound};
use super::opening::Opened;
use super::ways::Offer;
use crate::expr::{Expression, Scope};
use crate::job::{Job, OnError, PluginSettings, StepSpec};
use crate::registry::{LoadedPlugin, Registry};
use crate::steps;

/// The stages bound so far, and the components loaded for them.
pub(super) struct Binding<'a> {
    job: &'a Job,
    registry: &'a Registry,
    now: DateTime<Utc>,
    loaded: BTreeMap<String, Arc<dyn LoadedPlugin>>,
    stages: Vec<PlannedStage>,
}

impl<'a> Binding<'a> {
    /// No stages yet; `now` is the value of `now()`.
    pub fn of(job: &'a Job, registry: &'a Registry, now: DateTime<Utc>) -> Self {
        Binding {
            job,
            registry,
            now,
            loaded: BTreeMap::new(),
            stages: Vec::new(),
        }
    }

    /// Binds what is left of `[source]`, then every step.
    pub fn bind(mut self, opened: &Opened) -> Result<Vec<PlannedStage>> {
        let source = opened.source.schema();
        if let Some(condition) = &opened.filter {
            self.filter(condition.clone(), source);
        }
        if opened.yields_more {
            self.columns(source)?;
        }
        for (index, spec) in self.job.steps.iter().enumerate() {
            let input = self.input(source);
            let name = stage_name(spec, index, &self.stages);
            let Some(bound) = self.step(spec, &name, &input)? else {
                continue;
            };
            self.push(name, &spec.verb, bound.step, spec.on_error);
            if let Some(stage) = self.stages.last_mut() {
                stage.files = bound.files;
                stage.evolution = bound.evolution;
            }
        }
        Ok(self.stages)
    }

    /// A step bound to its input; `None` for a component that was only given for its migrations.
    fn step(&mut self, spec: &StepSpec, name: &str, input: &Schema) -> Result<Option<Bound>> {
        let place = |error: Error| error.at_least(spec.span.clone());
        let plain = |step| {
            Some(Bound {
                step,
                files: None,
                evolution: None,
            })
        };
        match (spec.verb.as_str(), spec.plugin_name()) {
            (_, Some((component, plugin))) => {
                let settings = plugin_settings(self.job, component, &spec.node.span)?;
                let component = self.component(component, spec)?;
                if spec.is_implied() && !component.migrations()?.is_empty() {
                    return Ok(None);
                }
                bind_plugin(component.as_ref(), settings, spec, plugin, name, input).map(plain)
            }
            ("validate", None) => {
                let folder = &self.job.schemas;
                let bound = evolution::validate(folder, spec, name, input, self.now);
                bound.map(Some).map_err(place)
            }
            ("migrate", None) => {
                let offers = self.offers(spec)?;
                let folder = &self.job.schemas;
                let bound = evolution::migrate(
                    folder,
                    &offers,
                    &spec.node,
                    name,
                    input,
                    self.now,
                    self.job.stamps,
                );
                bound.map(Some).map_err(place)
            }
            (verb, None) => {
                let scope = Scope::stage(name, input).at(self.now);
                steps::build(verb, &spec.node, &scope)
                    .map_err(place)
                    .map(plain)
            }
        }
    }

    /// The components of the job that offer migrations.
    fn offers(&mut self, spec: &StepSpec) -> Result<Vec<Offer>> {
        let mut offers = Vec::new();
        for settings in &self.job.plugins {
            let component = self.component(&settings.name, spec)?;
            if !component.migrations()?.is_empty() {
                let empty = || Node::new(NodeKind::Table(Vec::new()));
                offers.push(Offer {
                    name: settings.name.clone(),
                    component,
                    config: settings.config.clone().unwrap_or_else(empty),
                });
            }
        }
        Ok(offers)
    }

    /// The columns behind the last stage.
    fn input(&self, source: &Schema) -> Schema {
        let last = self.stages.last();
        last.map_or(source, |stage| stage.step.output()).clone()
    }

    fn push(&mut self, name: String, verb: &str, step: Box<dyn Step>, on_error: Option<OnError>) {
        self.stages.push(PlannedStage {
            name,
            verb: verb.to_owned(),
            step,
            on_error: on_error.unwrap_or(self.job.run.on_error),
            files: None,
            evolution: None,
        });
    }

    /// What of `[source] filter` the source does not check.
    fn filter(&mut self, condition: Expression, source: &Schema) {
        let name = "source.filter";
        let step = steps::holds(condition, &Scope::stage(name, source));
        self.push(name.to_owned(), "filter", step, None);
    }

    /// Leaves out what only the filter and the key looked at.
    fn columns(&mut self, source: &Schema) -> Result<()> {
        let Some((columns, span)) = &self.job.source.columns else {
            return Ok(());
        };
        let name = |name: &String| Node {
            span: span.clone(),
            kind: NodeKind::Text(name.clone()),
        };
        let node = Node {
            span: span.clone(),
            kind: NodeKind::Array(columns.iter().map(name).collect()),
        };
        let (input, name) = (self.input(source), "source.columns");
        let step = steps::build("keep", &node, &Scope::stage(name, &input))?;
        self.push(name.to_owned(), "keep", step, None);
        Ok(())
    }

    /// The component a step names, loaded once.
    fn component(&mut self, name: &str, spec: &StepSpec) -> Result<Arc<dyn LoadedPlugin>> {
        if let Some(component) = self.loaded.get(name) {
            return Ok(component.clone());
        }
        let settings = plugin_settings(self.job, name, &spec.node.span)?;
        let fresh = load(self.job, self.registry, settings, spec)?;
        self.loaded.insert(name.to_owned(), fresh.clone());
        Ok(fresh)
    }
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
    settings: &PluginSettings,
    spec: &StepSpec,
    plugin: Option<&str>,
    name: &str,
    input: &Schema,
) -> Result<Box<dyn Step>> {
    let empty = Node::new(NodeKind::Table(Vec::new()));
    let config = spec.config.as_ref().or(settings.config.as_ref());
    let config = config.unwrap_or(&empty);
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
