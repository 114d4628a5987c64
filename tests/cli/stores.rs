//! dataknobs stores in a database of a server: from a file and back, every value checked.

use dkhost_servers::Database;
use serde_json::{Value, json};

use crate::world::{Answer, World, answer, data, json_of};

const TO: &str = r#"
name = "to"
[source]
backend = "file"
path = "tests/data/dataknobs-0.11.0/records.json"
layout = "dataknobs"
[target]
backend = "postgres"
url = { env = "STORE_URL" }
layout = "dataknobs"
on_conflict = "upsert"
[run]
verify = "checksum"
"#;

const BACK: &str = r#"
name = "back"
[source]
backend = "postgres"
url = { env = "STORE_URL" }
layout = "dataknobs"
filter = "count >= 0"
[target]
backend = "file"
path = "back.json"
layout = "dataknobs"
[run]
verify = "full"
"#;

fn run(world: &World, database: &Database, job: &str) -> Answer {
    let mut command = world.command(&["run", job, "--json"]);
    let answer = answer(command.env("STORE_URL", &database.url).output().unwrap());
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    answer
}

fn values(record: &Value) -> Value {
    let fields = record["fields"].as_object().unwrap().iter();
    let values = fields.map(|(name, field)| (name.clone(), field["value"].clone()));
    json!({ "fields": Value::Object(values.collect()), "metadata": record["metadata"] })
}

#[test]
fn a_dataknobs_store_moves_to_postgres_and_back() {
    let world = World::with_fixtures(&["dataknobs-0.11.0/records.json"]);
    world.write("to.toml", TO);
    world.write("back.toml", BACK);
    let database = dkhost_servers::postgres();
    assert_eq!(
        run(&world, &database, "to.toml").last()["counts"]["written"],
        50
    );
    // The rows are those dataknobs-data itself writes for the same records.
    let rows = std::fs::read_to_string(data("dataknobs-0.11.0/sqlite.jsonl")).unwrap();
    let literal = rows
        .lines()
        .collect::<Vec<_>>()
        .join(",")
        .replace('\'', "''");
    let theirs = format!(
        "SELECT r ->> 'id', (r ->> 'data')::jsonb, (r ->> 'metadata')::jsonb FROM jsonb_array_elements('[{literal}]') r"
    );
    let ours = "SELECT id, data, metadata FROM records";
    let differ = format!("({theirs} EXCEPT {ours}) UNION ALL ({ours} EXCEPT {theirs})");
    assert_eq!(database.sql(&differ), "");
    let again = run(&world, &database, "to.toml").last();
    assert_eq!(again["counts"]["unchanged"], 50, "{again}");

    run(&world, &database, "back.toml");
    let mut before = json_of(&data("dataknobs-0.11.0/records.json"));
    let after = json_of(&world.path("back.json"));
    let records = before.as_object_mut().unwrap();
    records.retain(|_, record| {
        record["fields"]["count"]["value"]
            .as_i64()
            .is_some_and(|n| n >= 0)
    });
    assert_eq!(after.as_object().unwrap().len(), records.len());
    assert!((1..50).contains(&records.len()));
    for (id, record) in records.iter() {
        assert_eq!(values(&after[id]), values(record), "{id}");
    }
}
