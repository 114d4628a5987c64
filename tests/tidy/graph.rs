//! Which crate may name which: arrows point down to core, siblings never see each other.
//!
//! Direct dependencies come from `cargo metadata`; what core links in the end comes from
//! `cargo tree`, which knows the features and leaves other platforms out.

use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// A crate of the workspace.
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the top; empty for the binary's own package.
    pub folder: String,
    /// Names of its direct dependencies, build dependencies included.
    pub dependencies: Vec<String>,
    /// Names of what only its tests use.
    pub test_dependencies: Vec<String>,
}

/// What core may name: Arrow, and pure functions over bytes and text.
const CORE_MAY_NAME: [&str; 11] = [
    "arrow",
    "base64",
    "itoa",
    "memchr",
    "serde",
    "serde_json",
    "simdutf8",
    "strsim",
    "toml",
    "xxhash-rust",
    "zmij",
];

/// A heavy library and the one crate that may name it.
const OWNERS: [(&str, &str); 19] = [
    ("wasmtime", "dkhost-plugin"),
    ("wit-component", "dkhost-plugin"),
    ("wit-parser", "dkhost-plugin"),
    ("datafusion", "dkhost-engine"),
    ("sqlx", "dkhost-engine"),
    ("tokio", "dkhost-engine"),
    // A server is spoken to in its driver's tongue, and the driver is asynchronous.
    ("tokio", "dkhost-postgres"),
    ("tokio-postgres", "dkhost-postgres"),
    ("rustls", "dkhost-postgres"),
    ("rustls", "dkhost-elasticsearch"),
    ("tokio", "dkhost-elasticsearch"),
    ("tokio", "dkhost-fake-elasticsearch"),
    // Whether a server that was started with a certificate answers is seen over TLS only.
    ("rustls", "dkhost-servers"),
    ("tokio", "dkhost-s3"),
    ("tokio", "dkhost-fake-s3"),
    ("aws", "dkhost-s3"),
    ("parquet", "dkhost-file"),
    ("rusqlite", "dkhost-sqlite"),
    ("clap", "dkhost"),
];

/// What must not be linked into core, however indirectly.
const NOT_IN_CORE: [&str; 9] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "rustls",
    "wasmtime",
    "sqlx",
    "rusqlite",
    "datafusion",
];

/// The crates of this workspace, without resolving anything from a registry.
pub fn of_this_workspace() -> Vec<Crate> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    let root = metadata.workspace_root.clone();
    let describe = |package: &cargo_metadata::Package| {
        let folder = package
            .manifest_path
            .parent()
            .and_then(|f| f.strip_prefix(&root).ok());
        let names = |for_tests: bool| {
            let of_kind = package.dependencies.iter().filter(move |dependency| {
                (dependency.kind == DependencyKind::Development) == for_tests
            });
            of_kind.map(|dependency| dependency.name.clone()).collect()
        };
        Crate {
            name: package.name.to_string(),
            folder: folder.map(|f| f.to_string()).unwrap_or_default(),
            dependencies: names(false),
            test_dependencies: names(true),
        }
    };
    metadata.packages.iter().map(describe).collect()
}

/// What anybody's tests may use: it names nothing of the product, but for what drives backends, which
/// names the traits they implement.
const FOR_TESTS: [&str; 6] = [
    "dkhost-fuzz",
    "dkhost-servers",
    "dkhost-proxy",
    "dkhost-fake-s3",
    "dkhost-fake-elasticsearch",
    "dkhost-drive",
];

/// The names of everything a crate links, from `cargo tree`.
pub fn tree_of(name: &str) -> String {
    let arguments = [
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        name,
    ];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(super::root())
        .output();
    let output = output.expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Arrows that must not be.
pub fn complaints(crates: &[Crate]) -> Vec<String> {
    let mut complaints = Vec::new();
    for each in crates {
        for name in &each.dependencies {
            complaints.extend(forbidden(each, name, crates));
        }
        // Tests may read what they made with another library, but a sibling is never the judge.
        let siblings = each
            .test_dependencies
            .iter()
            .filter(|name| is_ours(name, crates) && !FOR_TESTS.contains(&name.as_str()));
        complaints.extend(siblings.filter_map(|name| forbidden(each, name, crates)));
    }
    complaints
}

/// Core links none of these.
pub fn core_reaches(tree: &str) -> Vec<String> {
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let family = |name: &str, of: &str| name == of || name.starts_with(&format!("{of}-"));
    let linked = |of: &&str| names.iter().any(|name| family(name, of));
    NOT_IN_CORE
        .iter()
        .filter(|of| linked(of))
        .map(|of| format!("dkhost-core links {of}"))
        .collect()
}

fn forbidden(from: &Crate, to: &str, crates: &[Crate]) -> Option<String> {
    let arrow = format!("{} depends on {to}", from.name);
    if from.name == "dkhost-core" && !CORE_MAY_NAME.contains(&to) {
        return Some(format!(
            "{arrow}: core names nothing but Arrow and pure functions"
        ));
    }
    let owns =
        |(library, _): &&(&str, &str)| to == *library || to.starts_with(&format!("{library}-"));
    let mut owners = OWNERS
        .iter()
        .filter(owns)
        .map(|(_, owner)| *owner)
        .peekable();
    if let Some(owner) = owners.peek().copied()
        && owners.all(|owner| from.name != owner)
    {
        return Some(format!("{arrow}: only {owner} names it"));
    }
    let to = crates.iter().find(|each| each.name == to)?;
    (!may_see(from, to))
        .then(|| format!("{arrow}: arrows point down, and siblings never see each other"))
}

/// Which of our own crates a crate may see.
fn may_see(from: &Crate, to: &Crate) -> bool {
    match top(&from.folder) {
        // The binary wires everything in the host together, and nothing else.
        "" => top(&to.folder) == "host",
        // Objects are files: their formats are read and written by the one crate that knows them.
        "host" if from.name == "dkhost-s3" => ["dkhost-core", "dkhost-file"].contains(&&*to.name),
        // Versions of schemas are what the engine's steps `validate` and `migrate` are made of.
        "host" if from.name == "dkhost-engine" => {
            ["dkhost-core", "dkhost-schema"].contains(&&*to.name)
        }
        "host" => to.name == "dkhost-core",
        "sdk" => top(&to.folder) == "sdk",
        "plugins" => top(&to.folder) == "sdk",
        // The fuzz targets' tests look at the crates themselves.
        "tests" if from.name == "dkhost-fuzz" => top(&to.folder) == "host",
        "tests" if from.name == "dkhost-drive" => to.name == "dkhost-core",
        // Chores and test guests use the product from outside.
        "tests" => top(&to.folder) == "sdk" || FOR_TESTS.contains(&to.name.as_str()),
        _ => false,
    }
}

fn top(folder: &str) -> &str {
    Path::new(folder)
        .components()
        .next()
        .map_or("", |c| c.as_os_str().to_str().unwrap_or(""))
}

fn is_ours(name: &str, crates: &[Crate]) -> bool {
    crates.iter().any(|each| each.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(name: &str, folder: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
            test_dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_good_graph_is_not_complained_about() {
        let crates = [
            krate(
                "dkhost",
                "",
                &["dkhost-core", "dkhost-file", "dkhost-engine", "clap"],
            ),
            krate("dkhost-core", "host/core", &["arrow", "serde"]),
            krate(
                "dkhost-engine",
                "host/engine",
                &["dkhost-core", "sqlx", "datafusion-expr"],
            ),
            krate(
                "dkhost-file",
                "host/backends/file",
                &["dkhost-core", "parquet"],
            ),
            krate("clean", "plugins/clean", &["dkhost-sdk"]),
            krate("dkhost-sdk", "sdk/rust", &[]),
        ];
        assert_eq!(complaints(&crates), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_arrow_is_complained_about() {
        let engine = || krate("dkhost-engine", "host/engine", &[]);
        for (from, to) in [
            (krate("dkhost-core", "host/core", &["tempfile"]), "tempfile"),
            (
                krate("dkhost-core", "host/core", &["dkhost-engine"]),
                "dkhost-engine",
            ),
            (
                krate("dkhost-file", "host/backends/file", &["dkhost-engine"]),
                "dkhost-engine",
            ),
            (
                krate("dkhost-file", "host/backends/file", &["wasmtime-environ"]),
                "wasmtime-environ",
            ),
            (
                krate("dkhost-sqlite", "host/backends/sqlite", &["sqlx"]),
                "sqlx",
            ),
            (
                krate("clean", "plugins/clean", &["dkhost-engine"]),
                "dkhost-engine",
            ),
            (
                krate("xtask", "tests/xtask", &["dkhost-engine"]),
                "dkhost-engine",
            ),
        ] {
            let found = complaints(&[from, engine()]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(to), "{found:?}");
        }
    }

    #[test]
    fn a_sibling_is_complained_about_in_tests_too() {
        let mut file = krate("dkhost-file", "host/backends/file", &[]);
        file.test_dependencies = vec!["dkhost-sqlite".to_owned(), "rusqlite".to_owned()];
        let found = complaints(&[file, krate("dkhost-sqlite", "host/backends/sqlite", &[])]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_runtime_below_core_is_complained_about() {
        let tree = "dkhost-core v0.1.0\narrow v59.3.2\nsqlx-core v0.9.0\nserde v1.0.0 (*)\n";
        assert_eq!(core_reaches(tree), ["dkhost-core links sqlx"]);
    }
}
