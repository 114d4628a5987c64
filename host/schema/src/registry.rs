//! A folder of schemas: `user/1.0.0.toml`, `user/2.0.0.toml`, …

use std::fs;
use std::path::{Path, PathBuf};

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result};
use semver::Version;

use crate::compatibility::{self, Mode};
use crate::migration::{self, Migration};
use crate::read::read;
use crate::version::{SchemaId, SchemaVersion};

/// A folder of schemas; nothing of it is kept in memory.
#[derive(Debug, Clone)]
pub struct Registry {
    folder: PathBuf,
}

impl Registry {
    /// The schemas in a folder.
    ///
    /// *Errors* – `schema::no_folder`.
    pub fn open(folder: &Path) -> Result<Self> {
        match folder.is_dir() {
            true => Ok(Registry { folder: folder.to_owned() }),
            false => Err(Error::config(
                "schema::no_folder",
                format!("there is no folder of schemas at {}", folder.display()),
            )
            .help("make it, with a file schemas/NAME/1.0.0.toml for each version; `[schemas] path` of a job names another")),
        }
    }

    /// The names of all schemas, sorted.
    ///
    /// *Errors* – if the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = entries(&self.folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The versions of a schema, least first.
    ///
    /// *Errors* – `schema::unknown_schema`; `schema::file_name` for a TOML file that is called
    /// neither after a version nor after two.
    pub fn versions(&self, name: &str) -> Result<Vec<Version>> {
        let files = self.files(name)?.into_iter();
        let read = |(path, stem): (PathBuf, String)| {
            Version::parse(&stem).map_err(|cause| {
                Error::config(
                    "schema::file_name",
                    format!("{} is called after no version: {cause}", path.display()),
                )
                .help("files are called 1.0.0.toml, migrations 1.0.0--2.0.0.toml")
            })
        };
        let files = files.filter(|(_, stem)| !stem.contains("--"));
        let mut versions: Vec<Version> = files.map(read).collect::<Result<_>>()?;
        versions.sort();
        Ok(versions)
    }

    /// The TOML files of a schema, and what they are called without their ending.
    fn files(&self, name: &str) -> Result<Vec<(PathBuf, String)>> {
        let folder = self.folder.join(name);
        if !folder.is_dir() || name.is_empty() || name.contains(['/', '\\']) {
            return Err(self.unknown_schema(name)?);
        }
        let paths = entries(&folder)?.into_iter();
        let toml = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
        let named = toml.map(|path| {
            let stem = path.file_stem().unwrap_or_default();
            let stem = stem.to_string_lossy().into_owned();
            (path, stem)
        });
        Ok(named.collect())
    }

    /// Where a version's file lies, or would.
    pub fn path(&self, id: &SchemaId) -> PathBuf {
        self.folder
            .join(&id.name)
            .join(format!("{}.toml", id.version))
    }

    /// The text of a version's file.
    ///
    /// *Errors* – `schema::unknown_schema`, `schema::unknown_version`.
    pub fn text(&self, id: &SchemaId) -> Result<String> {
        let path = self.path(id);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                let versions = self.versions(&id.name)?;
                let known: Vec<String> = versions.iter().map(Version::to_string).collect();
                Err(
                    Error::config("schema::unknown_version", format!("there is no {id}"))
                        .help(format!("versions of {}: {}", id.name, known.join(", "))),
                )
            }
            Err(cause) => Err(Error::io("read", &path, cause)),
        }
    }

    /// A version, read; it keeps what it declares to the version before it.
    ///
    /// *Errors* – those of [`Registry::text`], [`read`] and [`compatibility::ensure`].
    pub fn version(&self, id: &SchemaId) -> Result<SchemaVersion> {
        let version = self.version_alone(id)?;
        if version.compatibility == Mode::None {
            return Ok(version);
        }
        let versions = self.versions(&id.name)?;
        let Some(before) = versions.into_iter().rfind(|one| *one < id.version) else {
            return Ok(version);
        };
        let before = self.version_alone(&SchemaId {
            name: id.name.clone(),
            version: before,
        })?;
        compatibility::ensure(&before, &version, version.compatibility)
            .map_err(|error| error.within(&self.path(id)))?;
        Ok(version)
    }

    /// A version, read, whatever it promises.
    ///
    /// *Errors* – those of [`Registry::text`] and [`read`].
    pub fn version_alone(&self, id: &SchemaId) -> Result<SchemaVersion> {
        read(id.clone(), &self.text(id)?).map_err(|error| error.within(&self.path(id)))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The migration files of a schema: from the older version to the newer one, sorted.
    ///
    /// *Errors* – `schema::unknown_schema`; `schema::file_name` for a file that is called after no two
    /// versions, or after two in the wrong order.
    pub fn migrations(&self, name: &str) -> Result<Vec<(Version, Version)>> {
        let mut found = Vec::new();
        for (path, stem) in self.files(name)? {
            let Some((from, to)) = stem.split_once("--") else {
                continue;
            };
            match (Version::parse(from), Version::parse(to)) {
                (Ok(from), Ok(to)) if from < to => found.push((from, to)),
                _ => {
                    return Err(Error::config(
                        "schema::file_name",
                        format!(
                            "{} is called after no two versions, the older first",
                            path.display()
                        ),
                    )
                    .help("a migration is called 1.0.0--2.0.0.toml; its [[down]] leads back"));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Where a migration's file lies, or would.
    pub fn migration_path(&self, name: &str, from: &Version, to: &Version) -> PathBuf {
        self.folder.join(name).join(format!("{from}--{to}.toml"))
    }

    /// A migration, read.
    ///
    /// *Errors* – `schema::unknown_migration`; if the file cannot be read; those of
    /// [`crate::migration::read`], within the file.
    pub fn migration(&self, name: &str, from: &Version, to: &Version) -> Result<Migration> {
        let path = self.migration_path(name, from, to);
        let text = fs::read_to_string(&path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::config(
                "schema::unknown_migration",
                format!("there is no migration of {name} from {from} to {to}"),
            )
            .help(format!(
                "`dkhost schema generate {name} {from} {to}` writes it"
            )),
            _ => Error::io("read", &path, cause),
        })?;
        migration::read(name, from.clone(), to.clone(), &text).map_err(|error| error.within(&path))
    }

    fn unknown_schema(&self, name: &str) -> Result<Error> {
        let names = self.names()?;
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => format!("{} has none", self.folder.display()),
            None => format!("{} has {}", self.folder.display(), names.join(", ")),
        };
        Ok(Error::config(
            "schema::unknown_schema",
            format!("there is no schema `{name}`"),
        )
        .help(help))
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::io("read", folder, cause);
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}
