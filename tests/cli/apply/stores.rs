//! Every kind of local store goes up, comes back with all it had, and goes up again.

use serde_json::{Value, json};

use super::applying::{Applying, JSONL, NEW, OLD, TABLE, lines};

fn file(name: &str) -> String {
    format!("backend = \"file\"\npath = \"store/{name}\"\n")
}

/// As the store gives them back: numbers that are written as text are numbers in CSV, and documents
/// say their version.
fn said(text: &str, target: &str, version: &str) -> Vec<Value> {
    let is_document = target.contains("json");
    let mut records = lines(text);
    for record in &mut records {
        let fields = record.as_object_mut().unwrap();
        if is_document {
            fields.insert("_schema_version".into(), version.into());
        }
        if target.contains("csv")
            && let Some(years) = fields.get_mut("years")
        {
            *years = json!(years.as_str().unwrap().parse::<i64>().unwrap());
        }
    }
    records
}

/// Up and down twice, the version given once and taken from the store ever after.
fn round_trip(target: &str) {
    let applying = Applying::filled(target, OLD);
    let mut from = "--from 1.0.0";
    for _ in 0..2 {
        let report = applying
            .apply(0, &format!("{from} --to 2.0.0 --json"))
            .last();
        assert_eq!(report["counts"]["written"], 5, "{target}");
        assert_eq!(applying.records(), said(NEW, target, "2.0.0"), "{target}");
        let report = applying.apply(0, "--to 1.0.0 --json").last();
        assert_eq!(report["counts"]["written"], 5, "{target}");
        assert_eq!(applying.records(), said(OLD, target, "1.0.0"), "{target}");
        from = "";
    }
}

#[test]
fn a_table_goes_up_and_comes_back() {
    round_trip(TABLE);
}

#[test]
fn lines_and_arrays_of_documents_go_up_and_come_back() {
    round_trip(JSONL);
    round_trip(&file("t.json"));
    round_trip(&file("t.jsonl.gz"));
}

#[test]
fn files_of_columns_go_up_and_come_back() {
    round_trip(&file("t.csv"));
    round_trip(&file("t.parquet"));
    round_trip(&file("t.arrow"));
}

#[test]
fn a_folder_of_parts_goes_up_and_comes_back() {
    round_trip(&format!("{}format = \"jsonl\"\n", file("t/")));
    round_trip(&format!("{}format = \"parquet\"\n", file("t/")));
}

/// A record as dataknobs writes it; its field for the age has another name in each version.
fn record(age: &str, version: Value) -> Value {
    json!({ "ïd 1": {
        "fields": {
            age: { "name": age, "value": 36, "type": "integer", "metadata": { "unit": "years" } },
            "bio": { "name": "bio", "value": "Countess", "type": "text", "metadata": { "from": "wiki" } },
        },
        "id": "ïd 1",
        "metadata": { "source": "fixture", "version": version },
    } })
}

#[test]
fn what_dataknobs_says_of_a_field_goes_with_its_new_name() {
    let target = format!("{}layout = \"dataknobs\"\n", file("t.json"));
    let applying = Applying::to(&target);
    let (world, bio) = (&applying.world, "[fields.bio]\ntype = \"utf8\"\n");
    for (name, text) in [
        ("1.0.0", format!("{bio}[fields.years]\ntype = \"int64\"\n")),
        (
            "2.0.0",
            format!("{bio}[fields.age]\ntype = \"int64\"\nwas = \"years\"\n"),
        ),
        (
            "1.0.0--2.0.0",
            "[[up]]\nrename = { years = \"age\" }\n[[down]]\nrename = { age = \"years\" }\n".into(),
        ),
    ] {
        world.write(&format!("schemas/user/{name}.toml"), text);
    }
    world.write("store/t.json", record("years", json!("1.0.0")).to_string());
    let now = || serde_json::from_str::<Value>(&world.read("store/t.json")).unwrap();
    applying.apply(0, "--to 2.0.0 --quiet");
    assert_eq!(now(), record("age", json!("2.0.0")));
    applying.apply(0, "--to 1.0.0 --quiet");
    assert_eq!(now(), record("years", json!("1.0.0")));
}

#[test]
fn a_store_of_documents_without_a_record_is_brought_to_a_version_too() {
    for (name, empty) in [("t.jsonl", ""), ("t.json", "[]")] {
        let applying = Applying::to(&file(name));
        applying.world.write(&format!("store/{name}"), empty);
        applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
        assert!(applying.records().is_empty(), "{name}");
        let (code, _) = applying.refused(2, "--from 1.0.0 --to 1.0.0");
        assert_eq!(code, "schema::other_version", "{name}");
    }
}
