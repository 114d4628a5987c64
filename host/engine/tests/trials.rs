//! Generated migrations tried on made-up records, for every pair of versions in `tests/data/schemas`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use dkhost_engine::steps::migrate::{By, Hop, Way};
use dkhost_engine::trial::trial;
use dkhost_schema::migration::generate::{Generate, generate};
use dkhost_schema::migration::lossless::promise;
use dkhost_schema::{
    Direction, Migration, Registry, SchemaId, SchemaVersion, Verdict, differences, migration,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/schemas")
}

fn way(
    from: &SchemaVersion,
    to: &SchemaVersion,
    migration: &Migration,
    direction: Direction,
) -> Way {
    Way {
        from: from.clone(),
        hops: vec![Hop {
            to: to.clone(),
            direction,
            by: By::File {
                migration: migration.clone(),
                path: PathBuf::from("generated"),
            },
        }],
    }
}

#[test]
fn safe_refuses_nothing_and_lossless_gives_everything_back() {
    let registry = Registry::open(&folder()).unwrap();
    let (mut tried, mut lossless, mut safe) = (0, 0, 0);
    let mut wrong = String::new();
    for name in registry.names().unwrap() {
        let versions = registry.versions(&name).unwrap();
        let [from, to] = [0, 1].map(|at: usize| {
            let version = versions[at].clone();
            registry
                .version(&SchemaId {
                    name: name.clone(),
                    version,
                })
                .unwrap()
        });
        let Ok(file) = generate(&from, &to, Generate { keep_removed: true }) else {
            continue;
        };
        let (one, two) = (from.id.version.clone(), to.id.version.clone());
        let migration = migration::read(&name, one, two, &file.text).unwrap();
        let up = way(&from, &to, &migration, Direction::Up);
        let down = migration
            .down
            .is_some()
            .then(|| way(&to, &from, &migration, Direction::Down));
        let found = match trial(up, down, 300, 11) {
            Ok(found) => found,
            Err(error) if error.code() == "schema::no_sample" => continue,
            Err(error) => {
                wrong += &format!("{name}: {}\n{}\n", error.chain(), file.text);
                continue;
            }
        };
        tried += 1;
        let is_safe = differences(&from, &to)
            .iter()
            .all(|difference| difference.verdict == Verdict::Safe);
        if is_safe {
            safe += 1;
            if found.refused > 0 {
                wrong += &format!("{name} is safe: {found:?}\n{}\n", file.text);
            }
        }
        let promised = promise(&migration, &from);
        if promised.lossless && found.refused == 0 {
            lossless += 1;
            if found.changed > 0 || found.refused_down > 0 {
                wrong += &format!("{name} is lossless: {found:?}\n{}\n", file.text);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(
        tried > 40 && safe > 10 && lossless > 10,
        "{tried} tried, {safe} safe, {lossless} lossless"
    );
}

/// A migration between two versions, tried: how many came up, and how many came back changed.
fn tried(from: &str, to: &str, file: &str) -> (usize, usize) {
    let [from, to] = [("1.0.0", from), ("2.0.0", to)].map(|(number, text)| {
        dkhost_schema::read(format!("user@{number}").parse().unwrap(), text).unwrap()
    });
    let (one, two) = (from.id.version.clone(), to.id.version.clone());
    let migration = migration::read("user", one, two, file).unwrap();
    let up = way(&from, &to, &migration, Direction::Up);
    let down = way(&to, &from, &migration, Direction::Down);
    let found = trial(up, Some(down), 100, 5).unwrap();
    (found.tried - found.refused, found.changed)
}

#[test]
fn vectors_are_looked_at_value_by_value() {
    let id = "[fields.id]\ntype = 'int64'\n";
    let one = format!("{id}[fields.v]\ntype = 'vector(3)'\nrequired = true\n");
    let two = format!("{id}[fields.w]\ntype = 'vector(3)'\nrequired = true\n");
    let renamed = "[[up]]\nrename = { v = 'w' }\n[[down]]\nrename = { w = 'v' }\n";
    assert_eq!(tried(&one, &two, renamed), (100, 0));
    let loose = format!("{id}[fields.v]\ntype = 'vector(3)'\n");
    let gone = "[[up]]\nremove = ['v']\n[[down]]\nadd = { v = 'null' }\n";
    let (up, changed) = tried(&loose, id, gone);
    assert!(
        up == 100 && changed > 50 && changed < 100,
        "{changed} of {up}"
    );
}
