//! Pairs of versions with the verdicts people gave them: `tests/data/schemas`, a folder each.
//!
//! `expected.txt` holds a line for each difference and the bump they deserve; it is written by hand.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use dkhost_schema::{Bump, Difference, Registry, SchemaId, differences};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schemas")
}

fn line(difference: &Difference) -> String {
    let field = difference.field.as_deref().unwrap_or("record");
    let (kind, verdict) = (difference.kind.words(), difference.verdict.words());
    format!("{field} {kind}: {verdict}\n")
}

fn report(registry: &Registry, name: &str) -> String {
    let versions = registry.versions(name).unwrap();
    let [from, to] = [&versions[0], &versions[1]].map(|version| {
        let id = SchemaId {
            name: name.to_owned(),
            version: version.clone(),
        };
        registry.version(&id).unwrap()
    });
    let found = differences(&from, &to);
    let lines: String = found.iter().map(line).collect();
    format!("{lines}bump: {}\n", Bump::deserved(&found))
}

#[test]
fn every_pair_gets_the_verdicts_that_people_gave_it() {
    let registry = Registry::open(&folder()).unwrap();
    let names = registry.names().unwrap();
    assert!(names.len() >= 40, "{} pairs", names.len());
    let mut wrong = String::new();
    for name in names {
        let expected = fs::read_to_string(folder().join(&name).join("expected.txt")).unwrap();
        let found = report(&registry, &name);
        if found != expected {
            wrong += &format!("{name}: expected\n{expected}found\n{found}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
