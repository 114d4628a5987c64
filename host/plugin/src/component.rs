//! A plugin file, from its bytes to something a plan can bind.
//!
//! The order is fixed: size cap, digest of the bytes, contract, compilation, `describe`. What was
//! hashed is what is compiled and run, from the same buffer; nothing of the component runs before
//! its contract was read, and nothing is compiled in this process that is not limited.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result, Schema, Step};
use sha2::{Digest, Sha256};

use crate::abi::{self, Loaded, v0_1};
use crate::cache::Cache;
use crate::compile::{CompileIn, CompileLimits};
use crate::config;
use crate::contract::Contract;
use crate::descriptor::{self, Descriptor, Kind};
use crate::limits::{Limits, size};
use crate::log::LogSink;
use crate::migration::{self, Direction, Migration};

/// How a component is loaded and what its plugins may do.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where compiled plugins are kept; created 0700.
    pub cache_dir: PathBuf,
    /// Where it is compiled when the cache does not have it.
    pub compiler: CompileIn,
    /// What compiling it may take, in a child.
    pub compile_limits: CompileLimits,
    /// What it may use.
    pub limits: Limits,
    /// What the job's owner grants it (`grants` of the plugin in the job).
    pub grants: Vec<String>,
    /// Whether it may keep state between batches; the delivery promise then says so.
    pub allow_nondeterministic: bool,
    /// Who takes what it logs.
    pub log: LogSink,
}

impl LoadOptions {
    /// Default limits, no grants, lines to `tracing`.
    pub fn new(cache_dir: impl Into<PathBuf>, compiler: CompileIn) -> Self {
        LoadOptions {
            cache_dir: cache_dir.into(),
            compiler,
            compile_limits: CompileLimits::default(),
            limits: Limits::default(),
            grants: Vec::new(),
            allow_nondeterministic: false,
            log: LogSink::default(),
        }
    }
}

/// A step of a job that names a plugin.
#[derive(Debug, Clone)]
pub struct StageSpec<'a> {
    /// The step's name in the plan: `3:clean`.
    pub name: String,
    /// Which of the component's plugins; `None` for the only one, or the one called like its file.
    pub plugin: Option<String>,
    /// `config` of the step; `null` counts as `{}`.
    pub config: serde_json::Value,
    /// The columns the step is given.
    pub input: &'a Schema,
}

/// A loaded component. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    name: String,
    digest: String,
    bytes: u64,
    contract: Contract,
    loaded: Loaded,
    plugins: Vec<Descriptor>,
    migrations: Vec<Migration>,
    options: LoadOptions,
}

/// What `dkhost plugin inspect` shows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Inspection {
    /// The file's name.
    pub name: String,
    /// `sha256:…` of the component's bytes.
    pub digest: String,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// Worlds of the contract it belongs to: `transformer`.
    pub worlds: Vec<&'static str>,
    /// Contract line, imports, exports.
    #[serde(flatten)]
    pub contract: Contract,
    /// What its plugins ask to be granted, sorted, each once.
    pub requests: Vec<String>,
    /// The plugins it describes.
    pub plugins: Vec<Descriptor>,
    /// The steps of schemas' histories it can carry out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
}

impl Component {
    /// Loads the component at `path`.
    ///
    /// *Errors* – `io::not_found`, `plugin::too_big`, those of [`Contract::read`],
    /// `plugin::compile`, `plugin::compile_limit`, `plugin::cache_unsafe`, and `plugin::bad_output`
    /// or a crash when it describes its plugins.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Component> {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        let limit = options.limits.component_bytes;
        let mut bytes = Vec::new();
        let unreadable = |cause| {
            Error::io("read", path, cause)
                .help("check the path; `dkhost plugin build DIR` writes DIR/NAME.wasm")
        };
        // Before it is opened: opening a pipe waits for somebody to write.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(Error::config(
                "plugin::not_a_file",
                format!("`{}` is no file", path.display()),
            )
            .help("give the path of a component; `dkhost plugin build DIR` writes DIR/NAME.wasm"));
        }
        let file = File::open(path).map_err(unreadable)?;
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::io("read", path, cause))?;
        Self::from_bytes(&name, &bytes, options)
    }

    /// Loads a component from its bytes; `name` stands in messages.
    pub fn from_bytes(name: &str, bytes: &[u8], options: &LoadOptions) -> Result<Component> {
        let limit = options.limits.component_bytes;
        if bytes.len() as u64 > limit {
            return Err(Error::plugin(
                "plugin::too_big",
                format!("`{name}` is bigger than {}", size(limit)),
            )
            .help("no plugin needs that much: check that it is the right file"));
        }
        let digest = hexadecimal(&Sha256::digest(bytes));
        let contract = Contract::read(name, bytes)?;
        let compiled = Cache::open(&options.cache_dir)?.load(
            name,
            &digest,
            bytes,
            &options.compiler,
            &options.compile_limits,
        )?;
        let loaded = abi::link(name, &contract.line, &compiled)?;
        let plugins = descriptor::verify(name, loaded.describe(name, &options.limits)?)?;
        let migrations = migrations(name, &loaded, &plugins, &options.limits)?;
        Ok(Component(Arc::new(Inner {
            name: name.to_owned(),
            digest: format!("sha256:{digest}"),
            bytes: bytes.len() as u64,
            contract,
            loaded,
            plugins,
            migrations,
            options: options.clone(),
        })))
    }

    /// The plugins it describes.
    pub fn describe(&self) -> &[Descriptor] {
        &self.0.plugins
    }

    /// `sha256:…` of its bytes.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Everything worth showing about it.
    pub fn inspect(&self) -> Inspection {
        let inner = &self.0;
        let mut requests: Vec<String> = inner
            .plugins
            .iter()
            .flat_map(|plugin| plugin.requests.clone())
            .collect();
        requests.sort();
        requests.dedup();
        Inspection {
            name: inner.name.clone(),
            digest: inner.digest.clone(),
            size_bytes: inner.bytes,
            worlds: inner.contract.worlds(),
            contract: inner.contract.clone(),
            requests,
            plugins: inner.plugins.clone(),
            migrations: inner.migrations.clone(),
        }
    }

    /// The steps of schemas' histories it can carry out.
    pub fn migrations(&self) -> &[Migration] {
        &self.0.migrations
    }

    /// Binds one of its migrations, by its index in [`Component::migrations`]; `spec.plugin` is not
    /// looked at.
    ///
    /// *Errors* – as [`Component::bind`]; `plugin::one_way` for the way down of one that has none.
    pub fn bind_migration(
        &self,
        step: usize,
        direction: Direction,
        spec: &StageSpec<'_>,
    ) -> Result<Box<dyn Step>> {
        let bug = || Error::bug("a migration that a component does not offer");
        let migration = self.0.migrations.get(step).ok_or_else(bug)?;
        if direction == Direction::Down && !migration.reversible {
            let Migration {
                schema, from, to, ..
            } = migration;
            return Err(Error::config(
                "plugin::one_way",
                format!(
                    "plugin `{}` cannot go back from {schema} {to} to {from}",
                    migration.plugin
                ),
            )
            .help(
                "a backup, or a migration file with a `[[down]]`, brings the older version back",
            ));
        }
        let descriptor = self.choose(Some(&migration.plugin))?;
        let step = u32::try_from(step).map_err(|_| bug())?;
        self.bound(descriptor, Some((step, direction)), spec)
    }

    /// Binds one of its plugins to a schema: checks the configuration, opens it on a throw-away
    /// instance, verifies what it promises.
    ///
    /// *Errors* – `plugin::unknown`, `plugin::not_granted`, `plugin::config` (with the JSON
    /// pointer), `plugin::schema`, and whatever a misbehaving plugin does.
    pub fn bind(&self, spec: &StageSpec<'_>) -> Result<Box<dyn Step>> {
        let descriptor = self.choose(spec.plugin.as_deref())?;
        self.check_kind(descriptor)?;
        self.bound(descriptor, None, spec)
    }

    fn bound(
        &self,
        descriptor: &Descriptor,
        going: Option<(u32, Direction)>,
        spec: &StageSpec<'_>,
    ) -> Result<Box<dyn Step>> {
        let inner = &self.0;
        self.check_grants(descriptor)?;
        let empty = serde_json::Value::Object(serde_json::Map::new());
        let given = if spec.config.is_null() {
            &empty
        } else {
            &spec.config
        };
        config::check(
            &descriptor.name,
            &descriptor.config_schema,
            given,
            inner.options.limits.call_timeout,
        )?;
        let binding = v0_1::Binding {
            loaded: inner.loaded.clone(),
            descriptor: descriptor.clone(),
            stage: spec.name.clone(),
            going,
            config: given.to_string(),
            digest: inner.digest.clone(),
            limits: inner.options.limits.clone(),
            grants: inner.options.grants.clone(),
            allow_nondeterministic: inner.options.allow_nondeterministic,
            log: inner.options.log.clone(),
        };
        Ok(Box::new(v0_1::PluginStep::bind(binding, spec.input)?))
    }

    fn choose(&self, wanted: Option<&str>) -> Result<&Descriptor> {
        let Inner { name, plugins, .. } = &*self.0;
        let names = || plugins.iter().map(|plugin| plugin.name.as_str());
        match (wanted, plugins.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => {
                let stem = name.strip_suffix(".wasm").unwrap_or(name);
                plugins
                    .iter()
                    .find(|plugin| plugin.name == stem)
                    .ok_or_else(|| {
                        Error::config(
                            "plugin::ambiguous",
                            format!(
                                "`{name}` holds several plugins, and the step names none of them"
                            ),
                        )
                        .help(format!(
                            "write `plugin = \"{stem}/NAME\"` with one of {}",
                            names().collect::<Vec<_>>().join(", ")
                        ))
                    })
            }
            (Some(wanted), _) => plugins
                .iter()
                .find(|plugin| plugin.name == wanted)
                .ok_or_else(|| {
                    let error = Error::config(
                        "plugin::unknown",
                        format!("`{name}` holds no plugin `{wanted}`"),
                    );
                    match nearest(wanted, names()) {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None => error.help(format!(
                            "it holds {}",
                            names().collect::<Vec<_>>().join(", ")
                        )),
                    }
                }),
        }
    }

    fn check_kind(&self, descriptor: &Descriptor) -> Result<()> {
        let (plugin, word) = (&descriptor.name, descriptor.kind.word());
        match descriptor.kind {
            Kind::Transform | Kind::Filter if self.0.loaded.serves(&descriptor.kind) => Ok(()),
            Kind::Transform | Kind::Filter => Err(Error::plugin(
                "plugin::not_a_plugin",
                format!("plugin `{plugin}` is a {word}, but its component does not export the interface for it"),
            )
            .help("build it again for the right world")),
            Kind::Migration => Err(Error::config("plugin::not_a_step", format!("plugin `{plugin}` is a schema migration, not a step"))
                .help("write `migrate = { schema = \"…\", to = \"…\" }`: it takes the migrations of all components of the job")),
            Kind::Unknown(_) => Err(Error::plugin(
                "plugin::contract",
                format!("plugin `{plugin}` is of the kind `{}`, which this dkhost does not know", word.escape_debug()),
            )
            .help("update dkhost")),
        }
    }

    fn check_grants(&self, descriptor: &Descriptor) -> Result<()> {
        let (plugin, grants) = (&descriptor.name, &self.0.options.grants);
        let missing: Vec<_> = descriptor
            .requests
            .iter()
            .filter(|request| !grants.contains(request))
            .cloned()
            .collect();
        if !missing.is_empty() {
            let all = serde_json::json!(descriptor.requests);
            return Err(Error::plugin(
                "plugin::not_granted",
                format!(
                    "plugin `{plugin}` asks for {}, which the job does not grant",
                    missing.join(", ")
                ),
            )
            .help(format!(
                "if you trust it with that, write `grants = {all}` for it in the job"
            )));
        }
        match descriptor.requests.first() {
            None => Ok(()),
            Some(request) => Err(Error::plugin(
                "plugin::not_offered",
                format!("plugin `{plugin}` needs {request}, which this dkhost cannot give yet"),
            )
            .help("use a plugin without it, or update dkhost")),
        }
    }
}

/// What it offers, asked twice: a component that answers differently is not to be planned with.
fn migrations(
    name: &str,
    loaded: &Loaded,
    plugins: &[Descriptor],
    limits: &Limits,
) -> Result<Vec<Migration>> {
    let [told, again] = loaded.steps(name, limits)?;
    if told != again {
        return Err(Error::plugin(
            "plugin::nondeterministic",
            format!("`{name}` named other migrations when it was asked again"),
        )
        .help("tell the plugin's author; nothing was read or written yet"));
    }
    migration::verify(name, plugins, told)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
