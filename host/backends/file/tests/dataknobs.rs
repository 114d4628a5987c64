//! Stores that dataknobs-data 0.11.0 wrote, against what its own JSON store says they hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::collections::HashMap;

use dkhost_core::Position;
use expect_test::expect;
use serde_json::{Value, json};
use support::{Scratch, gzip};

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/data/dataknobs-0.11.0"
    );
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

/// What dataknobs wrote, by id.
fn expected() -> serde_json::Map<String, Value> {
    serde_json::from_slice(&fixture("records.json")).unwrap()
}

/// The records of a store by id, and what the plan says about it.
fn read(name: &str, content: &[u8], options: Value) -> (HashMap<String, Value>, String) {
    let scratch = Scratch::new();
    scratch.write(name, content);
    let mut options = options;
    options["path"] = json!(name);
    options["layout"] = json!("dataknobs");
    let open = dkhost_core::OpenSource {
        explicit_nulls: true,
        ..Default::default()
    };
    let source = scratch.open_with(options, open).unwrap();
    let mut records = HashMap::new();
    for partition in source.partitions().unwrap() {
        for batch in support::read(&*source, &partition, &Position::start()).unwrap() {
            assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
            for row in 0..batch.records.num_rows() {
                let record: Value =
                    serde_json::from_str(&dkhost_core::json::row(&batch.records, row)).unwrap();
                records.insert(record["_id"].as_str().unwrap().to_owned(), record);
            }
        }
    }
    (
        records,
        format!(
            "{}\n{}\n",
            support::show_schema(source.schema()),
            source.notes().join("\n")
        ),
    )
}

#[test]
fn a_json_store_is_read_with_ids_types_and_metadata() {
    let (records, about) = read("records.json", &fixture("records.json"), json!({}));
    assert_eq!(records.len(), 50);
    for (id, expected) in expected() {
        let record = &records[&id];
        for (name, field) in expected["fields"].as_object().unwrap() {
            assert_eq!(record.get(name), Some(&field["value"]), "{name} of {id}");
        }
        assert_eq!(record["_meta"]["seq"], expected["metadata"]["seq"]);
        let exceptions = record["_meta"]
            .get("$fields")
            .and_then(|f| f.get("embedding"));
        let embedding = expected["fields"].get("embedding").map(|f| &f["metadata"]);
        assert_eq!(exceptions.map(|e| &e["metadata"]), embedding, "{id}");
    }
    expect![[r#"
        _id utf8 (id) (key), _meta json (meta), name utf8, raw utf8, body utf8, count int64, price float64, active boolean, created utf8, tags json, profile json, blob utf8, nothing json, maybe int64, sparse_only_here utf8, embedding json, _rest json (rest)
        JSON
        types inferred from all 50 records
    "#]].assert_eq(&about);
}

#[test]
fn what_dataknobs_calls_compressed_is_read_as_it_is() {
    let plain = fixture("records.json");
    for content in [plain.clone(), gzip(&plain)] {
        let (records, _) = read("records.json.gz", &content, json!({}));
        assert_eq!(records.len(), 50);
    }
}

#[test]
fn a_csv_store_gives_back_what_it_holds() {
    let (records, about) = read("records.csv", &fixture("records.csv"), json!({}));
    assert_eq!(records.len(), 50);
    for (id, expected) in expected() {
        for (name, field) in expected["fields"].as_object().unwrap() {
            let found = records[&id].get(name);
            match &field["value"] {
                Value::Null => assert!(found.is_none_or(Value::is_null), "{name} of {id}"),
                // The one thing a CSV store cannot tell from a field that is not there.
                Value::String(text) if text.is_empty() => assert_eq!(found, None, "{name} of {id}"),
                Value::Bool(true) => assert_eq!(found, Some(&json!("True")), "{name} of {id}"),
                Value::Bool(false) => assert_eq!(found, Some(&json!("False")), "{name} of {id}"),
                Value::Number(number) => {
                    // A bare cell is text; a whole field says what it is.
                    let found = match found.unwrap() {
                        Value::String(text) => text.parse().ok(),
                        other => other.as_f64(),
                    };
                    assert_eq!(found, number.as_f64(), "{name} of {id}");
                }
                value => assert_eq!(found, Some(value), "{name} of {id}"),
            }
        }
    }
    expect![[r#"
        _id utf8 (id) (key), _meta json (meta), active utf8, blob utf8, body utf8, count utf8, created utf8, embedding json, maybe json, name utf8, price utf8, profile json, raw utf8, sparse_only_here utf8, tags json, nothing utf8, _rest json (rest)
        CSV
        types inferred from all 50 records
        numbers and booleans of a CSV store are text, as dataknobs-data reads them, unless `fields` declares them
    "#]].assert_eq(&about);
}

#[test]
fn declared_types_make_values_of_bare_cells() {
    let options = json!({"fields": {"count": "int64", "active": "boolean", "price": "float64"}});
    let (records, _) = read("records.csv", &fixture("records.csv"), options);
    for (id, expected) in expected() {
        for name in ["count", "active", "price"] {
            let value = expected["fields"]
                .get(name)
                .map(|field| &field["value"])
                .filter(|value| !value.is_null());
            assert_eq!(records[&id].get(name), value, "{name} of {id}");
        }
    }
}

#[test]
fn cells_of_version_0_4_13_are_bare() {
    let store = "__id__,tags,text,none\r\na,\"[1, \"\"x\"\"]\",\"{not json\",\r\nb,\"{\"\"value\"\": 5}\",\"\",\r\n";
    let (records, _) = read("x.csv", store.as_bytes(), json!({}));
    assert_eq!(
        records["a"],
        json!({"_id": "a", "tags": [1, "x"], "text": "{not json"})
    );
    assert_eq!(records["b"], json!({"_id": "b", "tags": 5, "text": ""}));
}

#[test]
fn a_parquet_store_is_read_with_its_fields() {
    let (records, about) = read(
        "records.parquet",
        &fixture("records_scalar.parquet"),
        json!({}),
    );
    assert_eq!(records.len(), 1000);
    for (id, expected) in expected()
        .iter()
        .filter(|(id, _)| records.contains_key(*id))
    {
        for name in [
            "name", "raw", "body", "count", "price", "active", "blob", "created", "maybe",
        ] {
            let found = records[id].get(name);
            match expected["fields"].get(name).map(|field| &field["value"]) {
                None | Some(Value::Null) => {
                    assert!(found.is_none_or(Value::is_null), "{name} of {id}")
                }
                Some(Value::Number(number)) => {
                    assert_eq!(
                        found.and_then(Value::as_f64),
                        number.as_f64(),
                        "{name} of {id}"
                    );
                }
                value => assert_eq!(found, value, "{name} of {id}"),
            }
        }
    }
    expect![[r#"
        _id utf8 (id) (key), _meta json (meta), name utf8, raw utf8, body utf8, count int64, price float64, active boolean, created utf8, blob utf8, sparse_only_here utf8, maybe float64, nothing json, _rest json (rest)
        Parquet
        types inferred from all 1000 records
        a Parquet store holds no metadata of records
    "#]].assert_eq(&about);
}

#[test]
fn a_table_without_ids_is_no_store() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"a,b\n1,2\n");
    scratch.check(
        json!({"path": "x.csv", "layout": "dataknobs"}),
        expect![[r#"
        dataknobs::no_id: `x.csv` has no column `__id__`, so dataknobs-data did not write it
        help: leave `layout` out to read it as an ordinary file
    "#]],
    );
    scratch.write("x.jsonl", b"");
    scratch.check(json!({"path": "x.jsonl", "layout": "dataknobs"}), expect![[r#"
        file::not_for_format: dataknobs-data has no JSON Lines stores <not with `layout = "dataknobs"`>
        help: its stores are JSON, CSV and Parquet files
    "#]]);
    scratch.write(
        "x.json",
        br#"{"a": {"x": 1}, "b": {"fields": {"x": {"value": NaN}}}}"#,
    );
    scratch.check(json!({"path": "x.json", "layout": "dataknobs"}), expect![[r#"
        schema: _id utf8 (id) (key), _meta json (meta), x float64, _rest json (rest)
        ! read dataknobs::not_a_record -: the record has no `fields`, so it is none that dataknobs wrote [file x.json, line 1, offset 6] json "{\"x\": 1}"
        {"_id":"b","x":null}
    "#]]);
}
