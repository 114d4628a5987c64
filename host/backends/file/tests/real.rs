//! Real files, checked against an independent reading of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Schema};
use dkhost_core::Position;
use expect_test::expect;
use serde_json::{Value, json};
use support::Scratch;

fn real(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/data/real");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

/// Schema and notes of a file, and its records as values.
fn read(name: &str, options: Value) -> (String, Vec<Value>) {
    let scratch = Scratch::new();
    scratch.write(name, &real(name));
    let mut options = options;
    options["path"] = json!(name);
    let open = dkhost_core::OpenSource {
        explicit_nulls: true,
        ..Default::default()
    };
    let source = scratch.open_with(options, open).unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let batches = support::read(&*source, &partition, &Position::start()).unwrap();
    let mut records = Vec::new();
    for batch in &batches {
        assert!(batch.rejects.is_empty());
        let row = |row| serde_json::from_str(&dkhost_core::json::row(&batch.records, row)).unwrap();
        records.extend((0..batch.records.num_rows()).map(row));
    }
    (
        format!(
            "{}\n{}\n",
            support::show_schema(source.schema()),
            source.notes().join("\n")
        ),
        records,
    )
}

/// Numbers may be written differently, `6` as `6.0`; nothing else.
fn assert_same(found: &[Value], expected: &[Value]) {
    fn is_same(found: &Value, expected: &Value) -> bool {
        match (found, expected) {
            (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
            (Value::Object(found), Value::Object(expected)) => {
                let same = |(name, value): (&String, &Value)| {
                    found.get(name).is_some_and(|f| is_same(f, value))
                };
                found.len() == expected.len() && expected.iter().all(same)
            }
            (found, expected) => found == expected,
        }
    }
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(is_same(found, expected), "{found} is not {expected}");
    }
}

#[test]
fn movies_come_out_as_they_went_in() {
    let (about, records) = read("movies.json", json!({}));
    let expected: Vec<Value> = serde_json::from_slice(&real("movies.json")).unwrap();
    assert_same(&records, &expected);
    expect![[r#"
        Title json, US Gross int64, Worldwide Gross int64, US DVD Sales int64, Production Budget int64, Release Date utf8, MPAA Rating utf8, Running Time min int64, Distributor utf8, Source utf8, Major Genre utf8, Creative Type utf8, Director utf8, Rotten Tomatoes Rating int64, IMDB Rating float64, IMDB Votes int64, _rest json (rest)
        JSON
        types inferred from all 3201 records
    "#]].assert_eq(&about);
}

#[test]
fn earthquakes_are_the_features() {
    let (about, records) = read(
        "earthquakes.json",
        json!({"records": "/features", "id": "id"}),
    );
    let expected: Value = serde_json::from_slice(&real("earthquakes.json")).unwrap();
    assert_same(&records, expected["features"].as_array().unwrap());
    expect![[r#"
        type utf8, properties json, geometry json, id utf8 (id), _rest json (rest)
        JSON
        types inferred from all 1707 records
    "#]]
    .assert_eq(&about);
}

#[test]
fn penguins_keep_their_nulls() {
    let (about, records) = read("penguins.json", json!({}));
    let expected: Vec<Value> = serde_json::from_slice(&real("penguins.json")).unwrap();
    assert_same(&records, &expected);
    expect![[r#"
        Species utf8, Island utf8, Beak Length (mm) float64, Beak Depth (mm) float64, Flipper Length (mm) int64, Body Mass (g) int64, Sex utf8, _rest json (rest)
        JSON
        types inferred from all 344 records
    "#]].assert_eq(&about);
}

#[test]
fn bird_strikes_have_types() {
    let (about, records) = read(
        "birdstrikes.csv",
        json!({"fields": {"Flight Date": "date32"}}),
    );
    expect![[r#"
        Airport Name utf8, Aircraft Make Model utf8, Effect Amount of damage utf8, Flight Date date32, Aircraft Airline Operator utf8, Origin State utf8, Phase of flight utf8, Wildlife Size utf8, Wildlife Species utf8, Time of day utf8, Cost Other int64, Cost Repair int64, Cost Total $ int64, Speed IAS in knots int64
        CSV
        types inferred from all 10000 records, one type declared
    "#]].assert_eq(&about);
    // An independent reader of CSV, without types.
    let content = real("birdstrikes.csv");
    let header =
        String::from_utf8(content[..content.iter().position(|b| *b == b'\n').unwrap()].to_vec())
            .unwrap();
    let header: Vec<&str> = header.trim_end().split(',').collect();
    let fields: Vec<Field> = header
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect();
    let reader = arrow::csv::ReaderBuilder::new(Arc::new(Schema::new(fields))).with_header(true);
    let mut rows = Vec::new();
    for batch in reader.build(content.as_slice()).unwrap() {
        let batch = batch.unwrap();
        let cell = |row: usize, column: &ArrayRef| column.as_string::<i32>().value(row).to_owned();
        rows.extend((0..batch.num_rows()).map(|row| {
            batch
                .columns()
                .iter()
                .map(|c| cell(row, c))
                .collect::<Vec<_>>()
        }));
    }
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(&rows) {
        for (name, cell) in header.iter().zip(row) {
            let text = match &record[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(&text, cell, "{name}");
        }
    }
}
