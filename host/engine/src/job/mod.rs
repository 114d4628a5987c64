//! What the user wrote: the job file, read and checked as far as that needs no store.
//!
//! Every value keeps its place in the file, so that the plan's errors can point there too.

mod later;
mod plugins;
pub mod quantity;
pub mod schema;
mod secrets;
mod sections;
mod set;
pub mod settings;
mod slices;
mod steps;

use std::path::{Path, PathBuf};

use dkhost_core::options::unknown_key;
pub use dkhost_core::tree::Variables;
use dkhost_core::tree::{self, MAX_BYTES};
use dkhost_core::{Class, Error, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};

pub use plugins::{PLUGIN_OPTIONS, PluginBinding, PluginSettings};
use secrets::Reach;
pub use sections::{
    IncrementalSettings, PartitionBy, SOURCE_OPTIONS, SourceSection, TARGET_OPTIONS, TargetSection,
};
use sections::{source_section, target_section};
pub use settings::{Drift, OnError, RunSettings, Verify};
pub use steps::{STEP_OPTIONS, StepSpec};

use crate::history::StateUrl;

/// A job file, read.
#[derive(Debug, Clone)]
pub struct Job {
    /// Stable name: the key of checkpoints and history.
    pub name: String,
    /// The path of the file, as given.
    pub path: PathBuf,
    /// Its text, for diagnostics.
    pub text: String,
    /// Its folder: relative paths start here.
    pub base: PathBuf,
    /// `[source]`.
    pub source: SourceSection,
    /// `[[steps]]`, in order.
    pub steps: Vec<StepSpec>,
    /// `[target]`.
    pub target: TargetSection,
    /// `[run]`.
    pub run: RunSettings,
    /// `[plugins.*]`.
    pub plugins: Vec<PluginSettings>,
    /// `[schemas] path`: the folder of schema versions.
    pub schemas: PathBuf,
    /// `[state] url`: where the history is kept.
    pub state: StateUrl,
    /// Whether migrated records get a field for their version where they have no place for it. No key:
    /// for the application of a schema to a store.
    pub stamps: bool,
    /// Whether the target takes the shape of the version that records are brought to. No key, as above.
    pub reshapes: bool,
    /// Whether the store that is read is held against writers until it is replaced. No key, as above.
    pub in_place: bool,
    /// `[source]`, `[[steps]]` and `[target]` as JSON: what the plan hash covers.
    pub canonical: serde_json::Value,
}

/// The sections of a job file.
pub const SECTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "name",
        OptionType::Text,
        "stable name of the job: the key of its checkpoints and history",
    ),
    OptionSpec::required("source", OptionType::Table, "where records come from"),
    OptionSpec::optional("steps", OptionType::Any, "what happens to them, in order"),
    OptionSpec::required("target", OptionType::Table, "where they go"),
    OptionSpec::optional("run", OptionType::Table, "bounds, policies, retries"),
    OptionSpec::optional("plugins", OptionType::Table, "components by name"),
    OptionSpec::optional(
        "schemas",
        OptionType::Table,
        "where versions of schemas lie",
    ),
    OptionSpec::optional("state", OptionType::Table, "where the history is kept"),
];

const SCHEMAS_OPTIONS: &[OptionSpec] = &[OptionSpec::optional(
    "path",
    OptionType::Text,
    "the folder with user/1.0.0.toml, user/2.0.0.toml, … (schemas)",
)];

const STATE_OPTIONS: &[OptionSpec] = &[OptionSpec::optional(
    "url",
    OptionType::Text,
    "where the history is kept: sqlite:PATH, or postgres://… for several hosts (sqlite:.dkhost/state.db)",
)];

const LATER_SECTIONS: &[(&str, &str)] = &[(
    "lookups",
    "lookup tables for plugins come in a later version",
)];

/// What there is to read about keys, for errors that know nothing better.
pub(crate) const KEYS_HELP: &str =
    "`dkhost backends` and `dkhost job schema` say what every key takes";

/// The bytes of a job file.
///
/// *Errors* – of class `Config`: `io::not_found` and the like; `job::no_file` for what is none (a
/// folder, a pipe, a device: reading one may never end); `job::too_large`.
pub fn read_job_file(path: &Path) -> Result<Vec<u8>> {
    let io = |cause| {
        Error::io("read the job file", path, cause)
            .with_class(Class::Config)
            .help_at_least("give the path of a file that can be read")
    };
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        let what = if meta.is_dir() {
            "a folder"
        } else {
            "a pipe or a device"
        };
        return Err(Error::config(
            "job::no_file",
            format!("`{}` is {what}, and no job file", path.display()),
        )
        .help("give the path of the file itself: `dkhost run FOLDER/job.toml`; a run that is taken up again reads it again"));
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err(tree::too_large("job file", meta.len()));
    }
    std::fs::read(path).map_err(io)
}

impl Job {
    /// Reads a job file from disk.
    pub fn load(path: &Path, variables: Variables<'_>, set: &[String]) -> Result<Job> {
        let text = String::from_utf8(read_job_file(path)?).map_err(|cause| {
            let at = cause.utf8_error().valid_up_to();
            Error::config(
                "job::not_utf8",
                format!("the job file `{}` is not UTF-8 (byte {at})", path.display()),
            )
            .at(at..at + 1, "not UTF-8 from here on")
            .help("save it as UTF-8; or is this the data rather than the job?")
        })?;
        Self::read(path, text, variables, set, Reach::Everything)
            .map_err(|error| error.help_at_least(KEYS_HELP))
    }

    /// Reads the text of a job file; relative paths start at the folder of `path`. Of secrets only
    /// variables are looked up.
    pub fn parse(
        path: &Path,
        text: String,
        variables: Variables<'_>,
        set: &[String],
    ) -> Result<Job> {
        Self::read(path, text, variables, set, Reach::Variables)
            .map_err(|error| error.help_at_least(KEYS_HELP))
    }

    fn read(
        path: &Path,
        text: String,
        variables: Variables<'_>,
        set: &[String],
        reach: Reach,
    ) -> Result<Job> {
        let mut root = tree::parse(&text, "job file", variables)?;
        for assignment in set {
            let (key, value) = assignment.split_once('=').ok_or_else(|| {
                Error::config("job::set", format!("`--set {assignment}` has no `=`"))
                    .help("write --set run.parallel=4")
            })?;
            let value = set::parse_value(value.trim());
            set::set(&mut root, key.trim(), value)?;
        }
        let base = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        secrets::resolve(&mut root, &base, variables, reach)?;
        let canonical = canonical(&root);
        let mut sections = Options::new("the job file", root)?;
        later::refuse(&mut sections, LATER_SECTIONS)?;
        sections.check(&[SECTIONS])?;
        let empty = || Node::new(NodeKind::Table(Vec::new()));
        let source = source_section(Options::new(
            "[source]",
            sections.take_node("source").unwrap_or_else(empty),
        )?)?;
        let target = target_section(Options::new(
            "[target]",
            sections.take_node("target").unwrap_or_else(empty),
        )?)?;
        let run = settings::read(Options::new(
            "[run]",
            sections.take_node("run").unwrap_or_else(empty),
        )?)?;
        let state = state_section(
            Options::new("[state]", sections.take_node("state").unwrap_or_else(empty))?,
            &base,
        )?;
        let mut schemas = Options::new(
            "[schemas]",
            sections.take_node("schemas").unwrap_or_else(empty),
        )?;
        schemas.check(&[SCHEMAS_OPTIONS])?;
        let schemas: Option<String> = schemas.take("path")?;
        Ok(Job {
            name: job_name(&mut sections)?,
            schemas: base.join(schemas.as_deref().unwrap_or(DEFAULT_SCHEMAS)),
            path: path.to_path_buf(),
            base,
            source,
            steps: steps::read(sections.take_node("steps"))?,
            target,
            run,
            plugins: plugins::read(sections.take_node("plugins"))?,
            state,
            stamps: false,
            reshapes: false,
            in_place: false,
            canonical,
            text,
        })
    }

    /// Whether an expression of the job asks for the time of the run. Text that only looks like it
    /// counts as well.
    pub fn uses_the_clock(&self) -> bool {
        let text = self.canonical.to_string().to_lowercase();
        ["now(", "current_date", "current_time"]
            .iter()
            .any(|word| text.contains(word))
    }

    /// Binds `--plugin [NAME=]PATH`: to the steps that name it, else as the last step.
    pub fn bind_plugins(&mut self, bindings: &[PluginBinding]) {
        for binding in bindings {
            match self
                .plugins
                .iter_mut()
                .find(|plugin| plugin.name == binding.name)
            {
                Some(settings) => {
                    settings.path = binding.path.clone();
                    // Typed paths start at the working folder, written ones at the job file.
                    settings.from_command_line = true;
                }
                None => self
                    .plugins
                    .push(PluginSettings::new(&binding.name, binding.path.clone())),
            }
            if !self
                .steps
                .iter()
                .any(|step| step.uses_plugin(&binding.name))
            {
                self.steps.push(StepSpec::plugin(&binding.name));
            }
        }
    }
}

fn job_name(sections: &mut Options) -> Result<String> {
    let span = sections.span_of("name");
    let name: String = sections.require("name")?;
    let fine = !name.is_empty()
        && name.len() <= 100
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "-_.".contains(c))
        && !name.starts_with('.');
    if !fine {
        return Err(Error::config(
            "job::name",
            format!("`{}` cannot be the name of a job", name.escape_debug()),
        )
        .at(span, "here")
        .help("1 to 100 letters, digits, `-`, `_` or `.`; it names the job's files and history"));
    }
    Ok(name)
}

/// Where the history of a job is kept that does not say.
pub const DEFAULT_STATE: &str = "sqlite:.dkhost/state.db";

/// The folder of schema versions of a job that does not say, beside the job file.
pub const DEFAULT_SCHEMAS: &str = "schemas";

fn state_section(mut options: Options, base: &Path) -> Result<StateUrl> {
    options.check(&[STATE_OPTIONS])?;
    let span = options.span_of("url");
    let url: String = options
        .take("url")?
        .unwrap_or_else(|| DEFAULT_STATE.to_owned());
    StateUrl::parse(&url, base).map_err(|error| match url.contains("://") && url.contains('@') {
        // The line would be printed, and a password with it.
        true => error,
        false => error.at_least(span),
    })
}

/// What decides the content of the result; bounds and policies of `[run]` that do not are left out.
fn canonical(root: &Node) -> serde_json::Value {
    let json = root.to_json();
    let run = |key: &str| json["run"][key].clone();
    // Checkpoints that were made without content sums cannot be compared with sums later.
    let sums = ["checksum", "full"].contains(&json["run"]["verify"].as_str().unwrap_or_default());
    let (mut source, mut target) = (json["source"].clone(), json["target"].clone());
    // They may change between a crash and its resume.
    secrets::without(&mut source);
    secrets::without(&mut target);
    if let Some(source) = source.as_object_mut() {
        source.remove("partitions");
    }
    let mut steps = json["steps"].clone();
    for step in steps
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(|step| step.as_object_mut())
    {
        step.remove("on_error");
    }
    let mut canonical = serde_json::json!({
        "source": source,
        "steps": steps,
        "target": target,
        "run": { "schema_drift": run("schema_drift"), "nulls": run("nulls"), "allow_lossy": run("allow_lossy"), "sums": sums },
    });
    let plugins = json["plugins"].as_object().into_iter().flatten();
    let configured: serde_json::Map<String, serde_json::Value> = plugins
        .filter_map(|(name, plugin)| Some((name.clone(), plugin.get("config")?.clone())))
        .collect();
    if !configured.is_empty() {
        canonical["plugins"] = configured.into();
    }
    canonical
}

/// The error for a step verb nobody knows.
pub(crate) fn unknown_verb(key: &str, span: &Span, known: &[&str]) -> Error {
    unknown_key("a step", key, span, known.iter().copied())
}
