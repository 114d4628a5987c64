//! `[plugins.*]` and `--plugin`: which component a name stands for, and what it may use.

use std::path::PathBuf;

use dkhost_core::{Error, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};

use super::later;
use super::quantity::bytes_up_to;
use super::settings::whole;

/// A component and its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSettings {
    /// What steps call it.
    pub name: String,
    /// Where the component lies; relative to the job file, or as typed on the command line.
    pub path: PathBuf,
    /// Whether `path` was typed on the command line (relative to the working folder).
    pub from_command_line: bool,
    /// Linear memory of one instance, in bytes.
    pub memory_max_bytes: u64,
    /// Wall time of one call, in milliseconds.
    pub call_timeout_ms: u64,
    /// Capabilities the job's owner allows.
    pub grants: Vec<String>,
    /// Whether a plugin whose answer depends on hidden state is tolerated.
    pub allow_nondeterminism: bool,
    /// The configuration where a step gives none, and of migrations.
    pub config: Option<Node>,
    /// Where it stands.
    pub span: Span,
}

impl PluginSettings {
    /// The component at `path`, with the default limits and no grants.
    pub fn new(name: &str, path: PathBuf) -> Self {
        PluginSettings {
            name: name.to_owned(),
            path,
            from_command_line: true,
            memory_max_bytes: 64 << 20,
            call_timeout_ms: 5_000,
            grants: Vec::new(),
            allow_nondeterminism: false,
            config: None,
            span: 0..0,
        }
    }
}

/// `--plugin [NAME=]PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginBinding {
    /// What steps call it.
    pub name: String,
    /// Where the component lies.
    pub path: PathBuf,
}

impl std::str::FromStr for PluginBinding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) if !name.contains(['/', '\\']) => {
                (Some(name.to_owned()), PathBuf::from(path))
            }
            _ => (None, PathBuf::from(text)),
        };
        let stem = || {
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        };
        match name.or_else(stem) {
            Some(name) if !name.is_empty() => Ok(PluginBinding { name, path }),
            _ => Err("write --plugin NAME=PATH or --plugin PATH".to_owned()),
        }
    }
}

/// The keys of `[plugins.NAME]`.
pub const PLUGIN_OPTIONS: &[OptionSpec] = &[
    OptionSpec::optional(
        "path",
        OptionType::Text,
        "the component, relative to the job file",
    ),
    OptionSpec::optional(
        "config",
        OptionType::Table,
        "the configuration where a step gives none; migrations have no other",
    ),
    OptionSpec::optional(
        "grants",
        OptionType::TextList,
        "capabilities the plugin may use (none)",
    ),
    OptionSpec::optional(
        "limits",
        OptionType::Table,
        "{ memory = \"64MiB\", call_timeout_ms = 5000 }",
    ),
    OptionSpec::optional(
        "allow_nondeterminism",
        OptionType::Boolean,
        "tolerate answers that depend on hidden state; weakens the delivery promise (false)",
    ),
];

const LATER: &[(&str, &str)] = &[
    (
        "oci",
        "components from a registry come in a later version; `path` names a file today",
    ),
    ("sign", "signatures come in a later version"),
];

/// Reads `[plugins.*]`.
pub fn read(node: Option<Node>) -> Result<Vec<PluginSettings>> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let NodeKind::Table(entries) = node.kind else {
        return Err(
            Error::config("job::wrong_type", "[plugins] is a table of tables")
                .at(node.span, "here")
                .help("write [plugins.clean]"),
        );
    };
    entries
        .into_iter()
        .map(|(name, span, node)| plugin(&name, span, node))
        .collect()
}

fn plugin(name: &str, span: Span, node: Node) -> Result<PluginSettings> {
    let mut options = Options::new(format!("[plugins.{name}]"), node)?;
    later::refuse(&mut options, LATER)?;
    options.check(&[PLUGIN_OPTIONS])?;
    let path: String = options
        .take("path")?
        .unwrap_or_else(|| format!("{name}.wasm"));
    let mut settings = PluginSettings {
        from_command_line: false,
        span,
        ..PluginSettings::new(name, PathBuf::from(path))
    };
    if let Some(grants) = options.take_node("grants") {
        settings.grants = grants.parse("grants")?;
        if let Some(grant) = settings.grants.first() {
            return Err(Error::config(
                "job::later",
                format!("the grant `{grant}` is not in this version of dkhost"),
            )
            .at(grants.span, "not available yet")
            .help("no capability can be granted yet; plugins see their columns and nothing else"));
        }
    }
    settings.config = options.take_node("config");
    settings.allow_nondeterminism = options.take("allow_nondeterminism")?.unwrap_or(false);
    if let Some(limits) = options.take_node("limits") {
        read_limits(limits, &mut settings)?;
    }
    Ok(settings)
}

fn read_limits(node: Node, settings: &mut PluginSettings) -> Result<()> {
    const LIMITS: &[OptionSpec] = &[
        OptionSpec::optional(
            "memory",
            OptionType::Text,
            "linear memory of one instance (64MiB)",
        ),
        OptionSpec::optional(
            "call_timeout_ms",
            OptionType::Integer,
            "wall time of one call in milliseconds (5000)",
        ),
    ];
    let mut options = Options::new("`limits`", node)?;
    options.check(&[LIMITS])?;
    if let Some(node) = options.take_node("memory") {
        // What a 32-bit memory can address.
        settings.memory_max_bytes = bytes_up_to(&node, "memory", 4)?;
    }
    if let Some(node) = options.take_node("call_timeout_ms") {
        settings.call_timeout_ms = whole(&node, "call_timeout_ms", 1, 86_400_000)? as u64;
    }
    Ok(())
}
