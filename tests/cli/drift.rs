//! `schema_drift` between real stores: each of its four values from every document format to every
//! kind of target, the rows that arrive, the records that are kept.

use std::io::Write;

use serde_json::{Value, json};

use crate::world::World;

/// The sample shows the first record: the second does not fit `n`, the third has a new field.
const RECORDS: [&str; 4] = [
    r#"{"id":1,"n":1}"#,
    r#"{"id":2,"n":"x"}"#,
    r#"{"id":3,"n":3,"extra":[1]}"#,
    r#"{"id":4,"n":4}"#,
];

const SOURCES: [&str; 5] = [
    "in.jsonl",
    "in.jsonl.gz",
    "in.jsonl.zst",
    "in.json",
    "in.json.gz",
];
const TABLES: [&str; 6] = [
    "o.db",
    "o.csv",
    "o.tsv.gz",
    "o.parquet",
    "o.arrow",
    "o.csv.zst",
];
const DOCUMENTS: [&str; 3] = ["o.jsonl", "o.json", "o.jsonl.zst"];

fn compressed(name: &str, text: &[u8]) -> Vec<u8> {
    if name.ends_with(".gz") {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        return gzip.finish().unwrap();
    }
    if name.ends_with(".zst") {
        return zstd::encode_all(text, 0).unwrap();
    }
    text.to_vec()
}

fn world(source: &str, target: &str, drift: &str) -> World {
    let text = match source.contains(".jsonl") {
        true => RECORDS.join("\n"),
        false => format!("[{}]", RECORDS.join(",\n")),
    };
    let backend = match target {
        "o.db" => "backend = \"sqlite\"\ntable = \"t\"",
        _ => "backend = \"file\"",
    };
    let world = World::with_job(&format!(
        "name = \"drift\"\n[source]\nbackend = \"file\"\npath = \"{source}\"\ninfer = 1\n\
         [target]\n{backend}\npath = \"{target}\"\n\
         [run]\nschema_drift = \"{drift}\"\non_error = \"dead-letter\"\nverify = \"full\"\n"
    ));
    world.write(source, compressed(source, text.as_bytes()));
    world
}

/// The records in the target, by a job of their own.
fn arrived(world: &World, target: &str) -> Vec<Value> {
    let backend = match target {
        "o.db" => "backend = \"sqlite\"\ntable = \"t\"",
        _ => "backend = \"file\"",
    };
    world.write(
        "back.toml",
        format!(
            "name = \"back\"\n[source]\n{backend}\npath = \"{target}\"\n\
             [target]\nbackend = \"file\"\npath = \"back.jsonl\"\nformat = \"jsonl\"\n"
        ),
    );
    world.expect(0, &["run", "back.toml", "--quiet"]);
    let records = world.read("back.jsonl");
    records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A record's numbers. Parquet and Arrow remember that a null of theirs was no value at all.
fn number(record: &Value) -> (Option<u64>, Option<u64>) {
    (record["id"].as_u64(), record["n"].as_u64())
}

fn rows(given: &[(u64, Value)]) -> Vec<Value> {
    given
        .iter()
        .map(|(id, n)| json!({"id": id, "n": n}))
        .collect()
}

/// The payloads of the dead letters, in the order of the source.
fn kept(world: &World) -> Vec<Value> {
    let letters = world.expect(0, &["errors", "list", "job.toml", "--json"]);
    letters
        .objects()
        .iter()
        .map(|letter| letter["payload"].clone())
        .collect()
}

fn record(number: usize) -> Value {
    serde_json::from_str(RECORDS[number - 1]).unwrap()
}

#[test]
fn a_document_target_takes_every_record_whatever_the_job_says() {
    let wanted: Vec<Value> = (1..=4).map(record).collect();
    for drift in ["evolve", "freeze", "discard_row", "discard_value"] {
        for (source, target) in pairs(&DOCUMENTS) {
            let world = world(source, target, drift);
            world.expect(0, &["run", "job.toml"]);
            assert_eq!(arrived(&world, target), wanted, "{source} {drift} {target}");
        }
    }
}

#[test]
fn freeze_stops_before_the_first_record_that_does_not_fit() {
    for (source, target) in pairs(&TABLES) {
        let world = world(source, target, "freeze");
        let answer = world.expect(4, &["run", "job.toml"]);
        assert!(
            answer.err.contains("drift::type_mismatch"),
            "{}",
            answer.err
        );
        assert!(
            answer.err.contains("the value \"x\" of `n`"),
            "{}",
            answer.err
        );
    }
}

#[test]
fn discard_row_keeps_exactly_the_records_that_do_not_fit() {
    for (source, target) in pairs(&TABLES) {
        let world = world(source, target, "discard_row");
        world.expect(3, &["run", "job.toml"]);
        let context = format!("{source} {target}");
        assert_eq!(
            arrived(&world, target),
            rows(&[(1, json!(1)), (4, json!(4))]),
            "{context}"
        );
        assert_eq!(kept(&world), [record(2), record(3)], "{context}");
    }
}

#[test]
fn discard_value_drops_the_value_and_counts_it() {
    for (source, target) in pairs(&TABLES) {
        let world = world(source, target, "discard_value");
        let answer = world.expect(0, &["run", "job.toml"]);
        let context = format!("{source} {target}");
        assert!(
            answer.out.contains("discarded  2 values"),
            "{context}: {}",
            answer.out
        );
        let arrived = arrived(&world, target);
        assert_eq!(
            arrived.iter().map(number).collect::<Vec<_>>(),
            [(1, Some(1)), (2, None), (3, Some(3)), (4, Some(4))].map(|(id, n)| (Some(id), n)),
            "{context}"
        );
    }
}

#[test]
fn evolve_adds_a_column_where_the_target_can_and_is_refused_where_not() {
    for (source, target) in pairs(&TABLES) {
        let world = world(source, target, "evolve");
        if target != "o.db" {
            let answer = world.expect(2, &["run", "job.toml"]);
            assert!(answer.err.contains("schema_drift"), "{}", answer.err);
            continue;
        }
        world.expect(3, &["run", "job.toml"]);
        let extra = |id: u64, n: u64, extra: Value| json!({"id": id, "n": n, "extra": extra});
        assert_eq!(
            arrived(&world, target),
            [
                extra(1, 1, Value::Null),
                extra(3, 3, json!([1])),
                extra(4, 4, Value::Null)
            ],
            "{source}"
        );
        assert_eq!(kept(&world), [record(2)], "{source}");
    }
}

fn pairs<'a>(targets: &'a [&'a str]) -> impl Iterator<Item = (&'static str, &'a str)> {
    SOURCES
        .into_iter()
        .flat_map(|source| targets.iter().map(move |target| (source, *target)))
}
