//! What this build can do: backends by name, and who loads plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dkhost_core::error::nearest;
use dkhost_core::{Backend, Error, Node, Result, Schema, Span, Step};
use dkhost_schema::Direction;
use semver::Version;

use crate::job::PluginSettings;

/// Loads components and binds them to steps; implemented over `dkhost-plugin` by the cli.
pub trait PluginLoader: Send + Sync {
    /// Loads, checks and compiles the component at `path`.
    fn load(&self, path: &Path, settings: &PluginSettings) -> Result<Arc<dyn LoadedPlugin>>;
}

/// A component that is ready to be bound to steps.
pub trait LoadedPlugin: Send + Sync {
    /// `sha256:…` of its bytes.
    fn digest(&self) -> String;

    /// Binds the plugin called `plugin` (the only one, when `None`) for the step `stage`.
    fn bind(
        &self,
        stage: &str,
        plugin: Option<&str>,
        config: &Node,
        input: &Schema,
    ) -> Result<Box<dyn Step>>;

    /// The migrations it offers, of all its schemas; none unless said.
    ///
    /// *Errors* – as of a call that fails, or an answer that makes no sense.
    fn migrations(&self) -> Result<Vec<MigrationStep>> {
        Ok(Vec::new())
    }

    /// Binds a migration, by its index in [`LoadedPlugin::migrations`], for the step `stage`.
    fn bind_migration(
        &self,
        stage: &str,
        step: usize,
        direction: Direction,
        config: &Node,
        input: &Schema,
    ) -> Result<Box<dyn Step>> {
        let _ = (step, direction, config, input);
        Err(Error::bug(format!(
            "{stage} binds a migration of a component without any"
        )))
    }
}

/// A migration that a component offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// The schema's name.
    pub schema: String,
    /// The older version.
    pub from: Version,
    /// The newer version.
    pub to: Version,
    /// Whether it can be gone down.
    pub reversible: bool,
}

/// What this build can do.
pub struct Registry {
    /// The backends.
    pub backends: Vec<Arc<dyn Backend>>,
    /// The loader of plugins.
    pub plugins: Arc<dyn PluginLoader>,
}

impl Registry {
    /// The backend called `name`.
    ///
    /// *Errors* – `job::unknown_backend` names the nearest.
    pub fn backend(&self, name: &str, span: &Span) -> Result<Arc<dyn Backend>> {
        if let Some(backend) = self.backends.iter().find(|b| b.name() == name) {
            return Ok(backend.clone());
        }
        let known: Vec<&str> = self.backends.iter().map(|b| b.name()).collect();
        let label = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "no such backend".to_owned(),
        };
        let error = Error::config(
            "job::unknown_backend",
            format!("there is no backend `{name}`"),
        )
        .at(span.clone(), label);
        Err(error.help(format!("this version has: {}", known.join(", "))))
    }
}

/// A path of the job file, made absolute against the job file's folder.
pub fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}
