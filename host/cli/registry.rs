//! What this build can do: the backends, one line each, and the loader of plugins.
//!
//! The engine asks for both through traits, so this file is the only one that knows all crates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dkhost_core::{Backend, Class, Node, Result, Schema, Step};
use dkhost_engine::history::StateUrl;
use dkhost_engine::job::PluginSettings;
use dkhost_engine::registry::{LoadedPlugin, MigrationStep, PluginLoader};
use dkhost_engine::{Job, Registry};
use dkhost_plugin::{CompileIn, Component, LoadOptions, LogSink, Migration, StageSpec};
use dkhost_schema::Direction;

/// The backends of this build.
pub fn backends() -> Vec<Arc<dyn Backend>> {
    vec![
        Arc::new(dkhost_core::memory::Memory),
        Arc::new(dkhost_file::FileBackend),
        Arc::new(dkhost_sqlite::SqliteBackend),
        Arc::new(dkhost_postgres::PostgresBackend),
        Arc::new(dkhost_elasticsearch::ElasticsearchBackend),
        Arc::new(dkhost_s3::S3Backend),
    ]
}

/// What a job can use; `log` takes what its plugins say.
pub fn registry(job: &Job, log: LogSink) -> Registry {
    Registry {
        backends: backends(),
        plugins: Arc::new(Components {
            cache_dir: cache(&job.state),
            log,
        }),
    }
}

/// Where compiled plugins are kept for jobs with this state: in the user's folder for such things,
/// else beside the history, if that is a file.
pub fn cache(state: &StateUrl) -> PathBuf {
    let beside = || Some(state.folder()?.join("cache"));
    shared_cache().or_else(beside).unwrap_or_else(own_cache)
}

/// Where compiled plugins are kept when the user has a folder for such things.
pub fn shared_cache() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty())?;
    Some(Path::new(&folder).join("dkhost"))
}

/// Where compiled plugins are kept when there is no job.
pub fn own_cache() -> PathBuf {
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache/dkhost"));
    shared_cache()
        .or_else(home)
        .unwrap_or_else(|| PathBuf::from(".dkhost/cache"))
}

/// Components are compiled in a child: this program, started again.
pub fn compiler() -> CompileIn {
    match std::env::current_exe() {
        Ok(program) => CompileIn::Child(program),
        // Without its own path a program cannot start itself; the compiler's limits are then lost,
        // not the checks of the component.
        Err(_) => CompileIn::InProcess,
    }
}

struct Components {
    cache_dir: PathBuf,
    log: LogSink,
}

impl PluginLoader for Components {
    fn load(&self, path: &Path, settings: &PluginSettings) -> Result<Arc<dyn LoadedPlugin>> {
        let mut options = LoadOptions::new(&self.cache_dir, compiler());
        options.limits.memory_bytes =
            usize::try_from(settings.memory_max_bytes).unwrap_or(usize::MAX);
        options.limits.call_timeout = Duration::from_millis(settings.call_timeout_ms);
        options.grants = settings.grants.clone();
        options.allow_nondeterministic = settings.allow_nondeterminism;
        options.log = self.log.clone();
        let component = Component::load(path, &options).map_err(|error| match error.code() {
            // A path that names nothing is a mistake in the job or the command line.
            "io::not_found" => error.with_class(Class::Config),
            _ => error,
        })?;
        Ok(Arc::new(Loaded(component)))
    }
}

struct Loaded(Component);

impl LoadedPlugin for Loaded {
    fn digest(&self) -> String {
        self.0.digest().to_owned()
    }

    fn bind(
        &self,
        stage: &str,
        plugin: Option<&str>,
        config: &Node,
        input: &Schema,
    ) -> Result<Box<dyn Step>> {
        self.0.bind(&StageSpec {
            name: stage.to_owned(),
            plugin: plugin.map(str::to_owned),
            config: config.to_json(),
            input,
        })
    }

    fn migrations(&self) -> Result<Vec<MigrationStep>> {
        let step = |step: &Migration| MigrationStep {
            schema: step.schema.clone(),
            from: step.from.clone(),
            to: step.to.clone(),
            reversible: step.reversible,
        };
        Ok(self.0.migrations().iter().map(step).collect())
    }

    fn bind_migration(
        &self,
        stage: &str,
        step: usize,
        direction: Direction,
        config: &Node,
        input: &Schema,
    ) -> Result<Box<dyn Step>> {
        let direction = match direction {
            Direction::Up => dkhost_plugin::Direction::Up,
            Direction::Down => dkhost_plugin::Direction::Down,
        };
        let spec = StageSpec {
            name: stage.to_owned(),
            plugin: None,
            config: config.to_json(),
            input,
        };
        self.0.bind_migration(step, direction, &spec)
    }
}
