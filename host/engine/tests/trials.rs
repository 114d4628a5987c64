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
