//! Documents: nested values, stores of dataknobs-data, and the way back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use serde_json::{Value, json};

use crate::world::{World, data, json_of};

#[test]
fn geojson_features_stay_as_they_are() {
    let world = World::with_fixtures(&["jobs/earthquakes-to-jsonl.toml", "real/earthquakes.json"]);
    let report = world
        .expect(
            0,
            &["run", "tests/data/jobs/earthquakes-to-jsonl.toml", "--json"],
        )
        .last();
    let mut text = String::new();
    let file = File::open(world.path("out/earthquakes.jsonl.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let found: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let source = json_of(&data("real/earthquakes.json"));
    let expected = source["features"].as_array().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(report["counts"]["written"], expected.len());
}

/// The fields of a dataknobs record: names and values, types left out.
fn values(record: &Value) -> BTreeMap<&String, &Value> {
    record["fields"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, field)| (name, &field["value"]))
        .collect()
}

#[test]
fn a_dataknobs_store_moves_to_sqlite_and_back() {
    let world = World::with_fixtures(&[
        "jobs/dataknobs-to-sqlite.toml",
        "jobs/dataknobs-from-sqlite.toml",
        "dataknobs-0.11.0/records.json",
    ]);
    world.expect(0, &["run", "tests/data/jobs/dataknobs-to-sqlite.toml"]);
    // The rows are those dataknobs-data itself writes for the same records.
    let rows: BTreeMap<String, (Value, Value)> =
        std::fs::read_to_string(data("dataknobs-0.11.0/sqlite.jsonl"))
            .unwrap()
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let parsed = |name: &str| {
                    row[name]
                        .as_str()
                        .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
                };
                (
                    row["id"].as_str().unwrap().to_owned(),
                    (parsed("data"), parsed("metadata")),
                )
            })
            .collect();
    let database = rusqlite::Connection::open(world.path("out/dataknobs.db")).unwrap();
    let mut query = database
        .prepare("SELECT id, data, metadata FROM records")
        .unwrap();
    let parsed = |text: Option<String>| {
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    };
    let found: BTreeMap<String, (Value, Value)> = query
        .query_map([], |row| {
            Ok((row.get(0)?, (parsed(row.get(1)?), parsed(row.get(2)?))))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(found, rows);

    world.expect(0, &["run", "tests/data/jobs/dataknobs-from-sqlite.toml"]);
    let before = json_of(&data("dataknobs-0.11.0/records.json"));
    let after = json_of(&world.path("out/dataknobs.json"));
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (id, record) in before {
        assert_eq!(values(record), values(&after[id]), "{id}");
        assert_eq!(record["metadata"], after[id]["metadata"], "{id}");
    }
}

#[test]
fn what_a_document_holds_beside_its_columns_reaches_a_document_target() {
    let world = World::with_job(
        "name = \"rest\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\ninfer = 2\n[target]\nbackend = \"file\"\npath = \"out.jsonl\"\n",
    );
    let records = [
        json!({ "id": 1, "price": 1.5, "note": null }),
        json!({ "id": 2, "price": 2.5 }),
        json!({ "id": 3, "price": 9007199254740993i64, "late": { "deep": [1, null] } }),
        json!({ "id": "four", "price": "none" }),
    ];
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    world.write("in.jsonl", &lines);
    world.expect(0, &["run", "job.toml"]);
    let found: Vec<Value> = world
        .read("out.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found, records);
}
