//! `dkhost plugin new NAME --lang rust`: a plugin that builds and passes its case, ready to be changed.

use std::fs;
use std::path::{Path, PathBuf};

use dkhost_core::{Error, Result};

/// Which world the plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Changes, drops, expands or rejects records.
    Transformer,
    /// Keeps or drops records.
    RecordFilter,
    /// One step of a schema's history, up and down.
    SchemaMigration,
}

impl World {
    /// The names a user may write.
    pub const NAMES: [&'static str; 3] = ["transformer", "record-filter", "schema-migration"];

    /// Reads a world's name.
    ///
    /// *Errors* – `plugin::unknown_world`.
    pub fn parse(name: &str) -> Result<World> {
        match name {
            "transformer" => Ok(World::Transformer),
            "record-filter" => Ok(World::RecordFilter),
            "schema-migration" => Ok(World::SchemaMigration),
            other => Err(Error::config(
                "plugin::unknown_world",
                format!("there is no world `{other}`"),
            )
            .help(format!("known: {}", World::NAMES.join(", ")))),
        }
    }
}

/// Where the new plugin finds the SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// A folder with the SDK's source: works without a network.
    Path(PathBuf),
    /// A released version.
    Version(String),
}

/// Writes the folder `name` into `parent` and returns its path.
///
/// *Errors* – `plugin::bad_name`, `plugin::exists`.
pub fn new(parent: &Path, name: &str, world: World, sdk: &Sdk) -> Result<PathBuf> {
    check_name(name)?;
    let folder = parent.join(name);
    if folder.exists() {
        return Err(Error::config(
            "plugin::exists",
            format!("there is a `{}` already", folder.display()),
        )
        .help("choose another name, or remove it first"));
    }
    let dependency = match sdk {
        Sdk::Path(path) => {
            let path = path
                .canonicalize()
                .map_err(|cause| Error::io("find the SDK at", path, cause))?;
            format!("{{ path = {} }}", toml_text(&path.to_string_lossy()))
        }
        Sdk::Version(version) => toml_text(version),
    };
    let (source, input, output, what) = match world {
        World::Transformer => (
            TRANSFORMER,
            TRANSFORMER_IN,
            TRANSFORMER_OUT,
            "changes records",
        ),
        World::RecordFilter => (FILTER, FILTER_IN, FILTER_OUT, "keeps or drops records"),
        World::SchemaMigration => (
            MIGRATION,
            MIGRATION_IN,
            MIGRATION_OUT,
            "brings records from one version of their schema to another, and back",
        ),
    };
    let readme = match world {
        World::SchemaMigration => README_MIGRATION,
        World::Transformer | World::RecordFilter => README,
    };
    let fill = |text: &str| {
        text.replace("{name}", name)
            .replace("{type}", &type_name(name))
            .replace("{sdk}", &dependency)
            .replace("{what}", what)
    };
    write(&folder, "Cargo.toml", &fill(CARGO))?;
    write(&folder, "src/lib.rs", &fill(source))?;
    write(&folder, "README.md", &fill(readme))?;
    write(&folder, ".gitignore", "/target\n*.wasm\n")?;
    write(&folder, "case.in.jsonl", input)?;
    write(&folder, "case.out.jsonl", output)?;
    Ok(folder)
}

fn check_name(name: &str) -> Result<()> {
    let is_right = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !matches!(name, "test" | "core" | "std" | "alloc" | "dkhost-sdk");
    if is_right {
        return Ok(());
    }
    Err(Error::config(
        "plugin::bad_name",
        format!("`{}` cannot be a plugin's name", name.escape_debug()),
    )
    .help("a name begins with a-z and goes on with a-z, 0-9 and -, at most 64 characters"))
}

/// `clean-up` → `CleanUp`.
fn type_name(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
        })
        .collect()
}

fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    let path = folder.join(file);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|cause| Error::io("create", parent, cause))?;
    fs::write(&path, text).map_err(|cause| Error::io("write", &path, cause))
}

const CARGO: &str = include_str!("../template/Cargo.toml.txt");
const README: &str = include_str!("../template/README.md");
const TRANSFORMER: &str = include_str!("../template/transformer.rs.txt");
const TRANSFORMER_IN: &str = include_str!("../template/transformer.in.jsonl");
const TRANSFORMER_OUT: &str = include_str!("../template/transformer.out.jsonl");
const README_MIGRATION: &str = include_str!("../template/README.migration.md");
const MIGRATION: &str = include_str!("../template/migration.rs.txt");
const MIGRATION_IN: &str = include_str!("../template/migration.in.jsonl");
const MIGRATION_OUT: &str = include_str!("../template/migration.out.jsonl");
const FILTER: &str = include_str!("../template/filter.rs.txt");
const FILTER_IN: &str = include_str!("../template/filter.in.jsonl");
const FILTER_OUT: &str = include_str!("../template/filter.out.jsonl");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_plugin_has_its_name_in_every_place() {
        let parent = tempfile::tempdir().unwrap();
        let sdk = Sdk::Version("0.1".into());
        let folder = new(parent.path(), "clean-up", World::Transformer, &sdk).unwrap();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert!(read("Cargo.toml").contains("name = \"clean-up\""));
        assert!(read("Cargo.toml").contains("dkhost-sdk = \"0.1\""));
        assert!(read("src/lib.rs").contains("struct CleanUp"));
        for file in ["Cargo.toml", "src/lib.rs", "README.md"] {
            assert!(
                !read(file).contains("{name}") && !read(file).contains("{type}"),
                "{file}"
            );
        }
        assert_eq!(
            new(parent.path(), "clean-up", World::RecordFilter, &sdk)
                .unwrap_err()
                .code(),
            "plugin::exists"
        );
    }

    #[test]
    fn names_that_cargo_or_a_job_would_refuse_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["", "Clean", "9lives", "a/b", "../x", "clean up", "core"] {
            let error = new(
                parent.path(),
                name,
                World::Transformer,
                &Sdk::Version("1".into()),
            )
            .unwrap_err();
            assert_eq!(error.code(), "plugin::bad_name", "{name}");
        }
    }
}
