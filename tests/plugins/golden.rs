//! Builds every folder in `plugins/` and runs its golden cases through the component.
//!
//! A new plugin needs no Rust test: a folder with `case.in.jsonl` and `case.out.jsonl` is found
//! here. `BLESS=1 cargo test -p dkhost-plugin --test golden` writes what comes out now.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use dkhost_plugin::build::{BuildOptions, build};
use dkhost_plugin::golden::{Verdict, cases};
use dkhost_plugin::new::{Sdk, World, new};
use dkhost_plugin::{CompileIn, Component, LoadOptions};

fn plugins() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut plugins: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .collect();
    plugins.sort();
    plugins
}

#[test]
fn every_plugin_does_what_its_cases_say() {
    let bless = std::env::var_os("BLESS").is_some();
    let scratch = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    let plugins = plugins();
    assert!(!plugins.is_empty());
    for folder in plugins {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let output = Some(scratch.path().join(format!("{name}.wasm")));
        let built = build(
            &folder,
            &BuildOptions {
                output,
                ..BuildOptions::default()
            },
        )
        .unwrap_or_else(|error| panic!("{name}: {}", error.chain()));
        let options = LoadOptions::new(scratch.path().join("cache"), CompileIn::InProcess);
        let component = Component::load(&built.path, &options)
            .unwrap_or_else(|error| panic!("{name}: {}", error.chain()));
        assert!(
            component.inspect().requests.is_empty(),
            "{name} asks for more than a plugin of ours needs"
        );
        let cases = cases(&folder).unwrap_or_else(|error| panic!("{name}: {}", error.chain()));
        assert!(folder.join("README.md").exists(), "{name} has no README.md");
        for case in cases {
            match case.run(&component, bless) {
                Ok(Verdict::Same { .. } | Verdict::Blessed) => {}
                Ok(Verdict::Different { diff }) => {
                    wrong.push_str(&format!("{name}, {}:\n{diff}", case.name))
                }
                Err(error) => {
                    wrong.push_str(&format!("{name}, {}: {}\n", case.name, error.chain()))
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_case_that_expects_something_else_shows_the_difference() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/redact");
    let output = Some(scratch.path().join("redact.wasm"));
    let built = build(
        &folder,
        &BuildOptions {
            output,
            ..BuildOptions::default()
        },
    )
    .unwrap();
    let options = LoadOptions::new(scratch.path().join("cache"), CompileIn::InProcess);
    let component = Component::load(&built.path, &options).unwrap();
    std::fs::write(
        scratch.path().join("redact.in.jsonl"),
        "{\"n\":1,\"t\":\"a@b.org\"}\n{\"n\":2,\"t\":\"x\"}\n",
    )
    .unwrap();
    std::fs::write(
        scratch.path().join("redact.out.jsonl"),
        "{\"n\":1,\"t\":\"a@b.org\"}\n{\"n\":2,\"t\":\"x\"}\n",
    )
    .unwrap();
    let case = &cases(scratch.path()).unwrap()[0];
    let Verdict::Different { diff } = case.run(&component, false).unwrap() else {
        panic!("the case passed")
    };
    assert_eq!(
        diff,
        "- {\"n\":1,\"t\":\"a@b.org\"}\n+ {\"n\":1,\"t\":\"[email]\"}\n  {\"n\":2,\"t\":\"x\"}\n"
    );
}

#[test]
fn a_new_plugin_of_any_world_builds_and_passes_its_case() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sdk = Sdk::Path(root.join("sdk/rust"));
    for (name, world) in [
        ("my-transformer", World::Transformer),
        ("my-filter", World::RecordFilter),
        ("my-migration", World::SchemaMigration),
    ] {
        let folder = new(scratch.path(), name, world, &sdk).unwrap();
        // The versions of this workspace, so that nothing is fetched and little is compiled twice.
        std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let options = BuildOptions {
            offline: true,
            target_dir: Some(root.join("target/new-plugins")),
            ..BuildOptions::default()
        };
        let built = build(&folder, &options).unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(built.path, folder.join(format!("{name}.wasm")));
        let options = LoadOptions::new(scratch.path().join("cache"), CompileIn::InProcess);
        let component = Component::load(&built.path, &options).unwrap();
        let case = &cases(&folder).unwrap()[0];
        match case.run(&component, false).unwrap() {
            Verdict::Same { records, rejects } => {
                let refused = usize::from(world != World::SchemaMigration);
                assert!(records > 0 && rejects == refused);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}
