//! Keeps compiled plugins, so that a component is compiled once per machine and not once per run.
//!
//! An entry is named by everything its machine code depends on – digest of the component,
//! configuration and CPU features of the engine, version of wasmtime – and by a checksum of its
//! own bytes. Machine code is executed, so only files this user wrote are loaded, the folder and
//! its files are 0700/0600, and an entry whose bytes do not match its name is compiled again.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dkhost_core::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::xxh3_128;

use crate::compile::{CompileIn, CompileLimits, compile};
use crate::engine;

/// Far more than compiling and writing an entry may take.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// A folder of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the folder, creating it for this user alone.
    ///
    /// *Errors* – `plugin::cache_unsafe` when somebody else may write there.
    pub(crate) fn open(folder: &Path) -> Result<Cache> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|cause| Error::io("create", folder, cause))?;
        let found = fs::metadata(folder).map_err(|cause| Error::io("look at", folder, cause))?;
        if !is_ours(&found) {
            return Err(Error::infrastructure(
                "plugin::cache_unsafe",
                format!(
                    "others may write to the plugin cache `{}`",
                    folder.display()
                ),
            )
            .help(format!(
                "`chmod 700 {}`, or remove it: it is filled again",
                folder.display()
            )));
        }
        Ok(Cache {
            folder: folder.to_owned(),
        })
    }

    /// The compiled component, from the cache or from the compiler.
    ///
    /// *Shape* – `digest` is the SHA-256 of `bytes` in hexadecimal.
    pub(crate) fn load(
        &self,
        name: &str,
        digest: &str,
        bytes: &[u8],
        place: &CompileIn,
        limits: &CompileLimits,
    ) -> Result<Component> {
        let engine = engine::shared()?;
        let key = format!(
            "{digest}-{:016x}-{}",
            engine::compatibility(engine),
            engine::WASMTIME
        );
        if let Some(component) = self.find(engine, &key) {
            return Ok(component);
        }
        self.sweep();
        let compiled = compile(place, limits, name, bytes, &self.folder)?;
        let path = self.store(&key, &compiled)?;
        deserialize(engine, &path)
            .ok_or_else(|| Error::bug("a plugin that was just compiled cannot be loaded"))
    }

    fn find(&self, engine: &Engine, key: &str) -> Option<Component> {
        let entries = fs::read_dir(&self.folder).ok()?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(sum) = name
                .strip_prefix(key)
                .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".cwasm"))
            else {
                continue;
            };
            let path = entry.path();
            if is_intact(&path, sum)
                && let Some(component) = deserialize(engine, &path)
            {
                return Some(component);
            }
            tracing::warn!(
                entry = name,
                "a cached plugin is damaged and is compiled again"
            );
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// Removes what processes left that were killed while they filled the cache. Others may be at
    /// work, so only what is older than any of them can be.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let draft = name
                .to_str()
                .is_some_and(|name| name.starts_with("compile-") || name.starts_with("part-"));
            let age = entry.metadata().and_then(|found| found.modified());
            let age = age.ok().and_then(|then| then.elapsed().ok());
            if draft && age.is_some_and(|age| age > LEFT_BEHIND) {
                let _ = fs::remove_dir_all(entry.path());
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn store(&self, key: &str, compiled: &[u8]) -> Result<PathBuf> {
        let path = self
            .folder
            .join(format!("{key}-{:032x}.cwasm", xxh3_128(compiled)));
        // A name of its own and 0600 from the start: other runs may fill the cache at this moment.
        let written = tempfile::Builder::new()
            .prefix("part-")
            .tempfile_in(&self.folder)
            .and_then(|mut draft| {
                draft.write_all(compiled)?;
                draft.persist(&path).map_err(|failed| failed.error)
            });
        written.map_err(|cause| Error::io("write", &path, cause))?;
        Ok(path)
    }
}

fn is_ours(found: &fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

fn is_intact(path: &Path, sum: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && is_ours(&found))
        && fs::read(path).is_ok_and(|bytes| format!("{:032x}", xxh3_128(&bytes)) == sum)
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, path: &Path) -> Option<Component> {
    // SAFETY: the file holds what this program's own compiler wrote: it lies in a folder that only
    // this user can write to, its checksum matches the one in its name, and the name carries the
    // engine's compatibility hash. wasmtime checks its own version and settings once more.
    unsafe { Component::deserialize_file(engine, path) }.ok()
}
