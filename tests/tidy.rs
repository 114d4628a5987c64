//! The invariants that a compiler does not check, checked as ordinary tests.
//!
//! Each check is a function from text or a crate graph to a list of complaints. The test here runs
//! it over this checkout; a second test beside the function gives it something bad and expects the
//! complaint, so that a check that stopped looking is noticed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/graph.rs"]
mod graph;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/tree.rs"]
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tracked text file.
pub struct Tracked {
    /// Relative to the top folder, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}

#[test]
fn crates_depend_downwards_and_each_heavy_library_has_one_owner() {
    none(graph::complaints(&graph::of_this_workspace()));
}

#[test]
fn the_core_links_no_runtime_network_or_store() {
    none(graph::core_reaches(&graph::tree_of("dkhost-core")));
}

#[test]
fn only_the_cli_prints_reads_the_environment_or_exits() {
    none(each(sources::speaks));
}

#[test]
fn the_core_names_no_file_socket_clock_or_thread() {
    none(each(sources::core_reaches_out));
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    none(each(sources::unfinished));
}

#[test]
fn every_source_file_opens_with_its_reason() {
    none(each(sources::without_reason));
}

#[test]
fn no_file_names_a_machine_or_a_registry_host() {
    none(each(sources::belongs_to_one_machine));
}

#[test]
fn every_plugin_folder_is_complete() {
    none(tree::incomplete_plugins(&paths()));
}

#[test]
fn every_backend_is_registered() {
    let registry = read("host/cli/registry.rs");
    none(tree::unregistered_backends(&paths(), &registry));
}

#[test]
fn the_changelog_has_the_current_version() {
    none(tree::missing_in_changelog(
        env!("CARGO_PKG_VERSION"),
        &read("CHANGELOG.md"),
    ));
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    none(docs::invariants_without_test(
        &read("ARCHITECTURE.md"),
        &tracked(),
    ));
}

#[test]
fn every_promise_names_a_test_that_exists() {
    none(docs::promises_without_test(&read("README.md"), &tracked()));
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    none(docs::broken_links(&tracked(), &|path| {
        root().join(path).exists()
    }));
}

#[test]
fn examples_in_the_readme_are_the_ones_that_run() {
    let readme = read("README.md");
    none(docs::invented_examples(
        &readme,
        "toml",
        &[
            "tests/data/jobs/movies.toml",
            "tests/data/jobs/customers-postgres.toml",
            "tests/data/jobs/schemas/user/2.0.0.toml",
        ]
        .map(read)
        .concat(),
    ));
    none(docs::invented_examples(
        &readme,
        "rust",
        &read("sdk/rust/src/lib.rs"),
    ));
}

/// Prints and never fails: size is a question, not an error.
#[test]
fn the_ten_largest_files_are_shown() {
    let files = tracked();
    let largest = tree::largest(&files);
    assert_eq!(largest.len(), 10);
    println!("the ten largest source files:");
    for (lines, path) in largest {
        println!("{lines:>6} {path}");
    }
}

/// The top folder of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked path, relative to the top folder.
fn paths() -> Vec<String> {
    let listing = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let listing = listing.expect("the tidy tests ask git which files belong to the project");
    assert!(
        listing.status.success(),
        "{}",
        String::from_utf8_lossy(&listing.stderr)
    );
    let listing = String::from_utf8(listing.stdout).expect("tracked paths are UTF-8");
    listing
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every tracked text file; fixtures are data and not ours to judge.
fn tracked() -> Vec<Tracked> {
    let ours = |path: &String| !path.starts_with("tests/data/") && !path.ends_with(".lock");
    let paths = paths().into_iter().filter(ours);
    // A file that was deleted and not committed yet is no longer there to read.
    let exists = |path: &String| root().join(path).exists();
    paths
        .filter(exists)
        .map(|path| Tracked {
            text: read(&path),
            path,
        })
        .collect()
}

fn read(path: &str) -> String {
    let path: PathBuf = root().join(path);
    match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(cause) => panic!("cannot read {}: {cause}", path.display()),
    }
}

/// A check's complaints about every file.
fn each(check: fn(&Tracked) -> Vec<String>) -> Vec<String> {
    tracked().iter().flat_map(check).collect()
}

#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
