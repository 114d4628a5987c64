//! Migration files in their folder: found by their names, refused where those say nothing.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use dkhost_schema::Registry;
use semver::Version;

/// A folder of schemas with these files of `user`.
fn registry(test: &str, files: &[(&str, &str)]) -> (Registry, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("user")).unwrap();
    for (name, text) in files {
        fs::write(folder.join("user").join(name), text).unwrap();
    }
    (Registry::open(&folder).unwrap(), folder)
}

const VERSION: &str = "[fields.id]\ntype = \"int64\"\n";

fn versions(text: &[&str]) -> Vec<Version> {
    text.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn migrations_are_found_beside_versions_and_sorted_as_versions_are() {
    let (registry, folder) = registry(
        "found",
        &[
            ("10.0.0.toml", VERSION),
            ("9.0.0.toml", VERSION),
            ("9.0.0--10.0.0.toml", "down = []"),
            ("10.0.0--11.0.0.toml", "down = []"),
            ("1.0.0-rc.1--9.0.0.toml", "down = []"),
            ("1.0.0--2.0.0.toml.orig", ""),
            ("notes.md", ""),
        ],
    );
    let found: Vec<String> = registry
        .migrations("user")
        .unwrap()
        .iter()
        .map(|(from, to)| format!("{from} {to}"))
        .collect();
    assert_eq!(found, ["1.0.0-rc.1 9.0.0", "9.0.0 10.0.0", "10.0.0 11.0.0"]);
    assert_eq!(
        registry.versions("user").unwrap(),
        versions(&["9.0.0", "10.0.0"])
    );
    assert_eq!(registry.folder(), folder);
    let (nine, ten) = (Version::new(9, 0, 0), Version::new(10, 0, 0));
    let migration = registry.migration("user", &nine, &ten).unwrap();
    assert_eq!((migration.from, migration.to), (nine, ten));
}

#[test]
fn a_file_called_after_no_two_versions_is_refused_by_name() {
    for name in ["2.0.0--1.0.0", "1.0.0--1.0.0", "1.0.0--2.0", "one--two"] {
        let (registry, _) = registry("refused", &[(&format!("{name}.toml"), "down = []")]);
        let error = registry.migrations("user").unwrap_err();
        assert_eq!(error.code(), "schema::file_name");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_mistake_is_told_with_its_file() {
    let (registry, _) = registry("mistake", &[("1.0.0--2.0.0.toml", "donw = []")]);
    let (one, two) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
    let error = registry.migration("user", &one, &two).unwrap_err();
    assert_eq!(error.code(), "job::unknown_key");
    let file = error.file().and_then(Path::file_name);
    assert_eq!(file.unwrap(), "1.0.0--2.0.0.toml");
}

#[test]
fn a_migration_that_is_not_there_is_named_with_the_command_that_writes_it() {
    let (registry, _) = registry("missing", &[("1.0.0--2.0.0.toml", "down = []")]);
    let (two, three) = (Version::new(2, 0, 0), Version::new(3, 0, 0));
    let error = registry.migration("user", &two, &three).unwrap_err();
    assert_eq!(error.code(), "schema::unknown_migration");
    assert_eq!(
        error.to_string(),
        "there is no migration of user from 2.0.0 to 3.0.0"
    );
    assert_eq!(
        error.help_text(),
        Some("`dkhost schema generate user 2.0.0 3.0.0` writes it")
    );
}
