//! `dkhost schema apply`, killed on the way: the same command again ends it, every record is brought
//! to the version once, and the store says which it is of.

use std::collections::BTreeSet;

use super::in_place::{RECORDS, World, sorted};

const ONE: &str = "key = [\"id\"]\n[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.n]\ntype = \"int64\"\n\
    [fields.t]\ntype = \"utf8\"\n";

const TWO: &str = "key = [\"id\"]\n[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.n]\ntype = \"int64\"\n\
    [fields.title]\ntype = \"utf8\"\nwas = \"t\"\n[fields.seen]\ntype = \"utf8\"\ndefault = \"yes\"\n";

/// What would show if it were done twice.
const UP: &str = "reversible = false\n[[up]]\nrename = { t = \"title\" }\n[[up]]\nadd = { seen = \"'yes'\" }\n[[up]]\nset = { n = \"n + 1\" }\n";

pub const APPLY: [&str; 8] = [
    "schema",
    "apply",
    "user",
    "--from",
    "1.0.0",
    "--to",
    "2.0.0",
    "--job=job.toml",
];

pub fn seeded(world: World, conflict: &str) -> World {
    world.seed("insert");
    std::fs::create_dir_all(world.path("schemas/user")).unwrap();
    world.write("schemas/user/1.0.0.toml", ONE);
    world.write("schemas/user/2.0.0.toml", TWO);
    world.write("schemas/user/1.0.0--2.0.0.toml", UP);
    world.write("job.toml", &world.job("job", &world.store, conflict, ""));
    world
}

/// The records; those of a table do not say their version.
pub fn all(documents: bool) -> BTreeSet<String> {
    let record = |i: usize| {
        let version = match documents {
            true => "\"_schema_version\":\"2.0.0\",",
            false => "",
        };
        let n = i * 10 + 1;
        sorted(&format!(
            "{{{version}\"id\":{i},\"n\":{n},\"seen\":\"yes\",\"title\":\"Ünï {i}\"}}"
        ))
    };
    (0..RECORDS).map(record).collect()
}

pub fn check(fresh: &dyn Fn() -> World, says: bool, points: &[&str]) {
    for point in points.iter().copied().chain([""]) {
        let world = fresh();
        let at = format!("{} at {point}", world.store);
        if !point.is_empty() {
            let killed = world.run(&APPLY, &format!("{point}:kill"));
            assert_eq!(killed.code, -9, "{at}: {} {}", killed.last, killed.err);
        }
        let ended = world.run(&APPLY, "");
        assert_eq!(ended.code, 0, "{at}: {} {}", ended.last, ended.err);
        let is_table = ["parquet", "sqlite", "postgres"]
            .iter()
            .any(|it| world.store.contains(it));
        let wanted = all(!is_table);
        assert_eq!(world.records(), wanted, "{at}");
        assert_eq!(ended.last["counts"]["read"], RECORDS, "{at}");
        (world.sound)(&world);
        // Whoever takes it for another version is told what the store says.
        let mut other = APPLY;
        other[6] = "1.0.0";
        let told = world.run(&other, "");
        match says {
            true => assert_eq!(told.error(), "schema::other_version", "{at}: {}", told.last),
            false => assert_ne!(told.error(), "schema::other_version", "{at}: {}", told.last),
        }
    }
}

#[test]
fn a_version_is_applied_to_files() {
    for path in ["t.jsonl", "t.parquet", "t/"] {
        let fresh = || seeded(World::file(path), "replace-all");
        let points = [
            "run.batch.committed:2",
            "file.publish.logged:1",
            "file.publish.renamed:1",
            "run.end.published:1",
        ];
        check(&fresh, true, &points);
    }
}

#[test]
fn a_version_is_applied_to_an_index() {
    let fresh = || seeded(World::on("elasticsearch", ""), "replace-all");
    let points = [
        "run.batch.committed:2",
        "elasticsearch.publish.swapped:1",
        "run.end.published:1",
    ];
    check(&fresh, true, &points);
}

#[test]
fn a_version_is_applied_to_objects() {
    let fresh = || seeded(World::on("s3", "format = \"jsonl\"\n"), "replace-all");
    let points = [
        "run.batch.committed:2",
        "s3.publish.latest:1",
        "run.end.published:1",
    ];
    check(&fresh, true, &points);
}

#[test]
fn a_version_is_applied_to_records_one_by_one() {
    let fresh = || seeded(World::on("s3", "object = \"record\"\n"), "upsert");
    let points = [
        "run.batch.committed:2",
        "s3.records.sent:2",
        "run.end.published:1",
    ];
    check(&fresh, false, &points);
}
