//! The steps on real, messy records: every value compared with an independent reading.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::NaiveDate;
use dkhost_core::json::{DecodeOptions, Decoder, Inference};
use dkhost_core::{Batch, Field, LogicalType, Role, Schema, StageKind, Step};
use serde_json::{Value, json};

use super::testing::{batch, build};
use crate::expr::convert::convert;

fn real(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/real")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Binds and runs steps one after the other.
fn run(
    schema: &Schema,
    records: RecordBatch,
    steps: &[(&str, Value)],
) -> (Vec<Box<dyn Step>>, Batch) {
    let mut bound: Vec<Box<dyn Step>> = Vec::new();
    let mut at_work = Batch {
        records,
        ..batch(schema, "")
    };
    for (verb, node) in steps {
        let input = bound.last().map_or(schema, |step| step.output());
        let step = build(verb, node.clone(), input).unwrap();
        let changed = step.open(0).unwrap().apply(&at_work).unwrap();
        at_work = at_work.advance(changed, StageKind::Step, verb).unwrap();
        bound.push(step);
    }
    (bound, at_work)
}

#[test]
fn all_films_come_through_with_the_right_values() {
    let films: Vec<Value> = serde_json::from_str(&real("movies.json")).unwrap();
    let mut inference = Inference::new();
    let documents: Vec<String> = films.iter().map(Value::to_string).collect();
    documents
        .iter()
        .for_each(|film| inference.observe(film.as_bytes()).unwrap());
    let mut schema = Schema::new(inference.finish());
    schema.fields.push(Field::reserved(Role::Rest));
    let mut decoder = Decoder::new(&schema, DecodeOptions::default());
    documents
        .iter()
        .for_each(|film| decoder.push(film.as_bytes()).unwrap());
    let steps = [
        (
            "rename",
            json!({"Title": "title", "US Gross": "us_gross", "Worldwide Gross": "gross", "Release Date": "released", "Major Genre": "genre", "IMDB Rating": "imdb", "IMDB Votes": "votes", "Director": "director"}),
        ),
        (
            "apply",
            json!({"title": {"type_cast": {"to": "utf8"}}, "genre": ["trim", "lowercase", {"default": "unknown"}], "released": {"to_timestamp": {"formats": ["%b %d %Y", "%Y-%m-%d"]}}}),
        ),
        (
            "keep",
            json!([
                "title", "us_gross", "gross", "released", "genre", "imdb", "votes", "director"
            ]),
        ),
        ("filter", json!("gross > 0")),
    ];
    let (bound, output) = run(&schema, decoder.finish().unwrap(), &steps);
    assert_eq!(output.rejects, []);
    let columns: Vec<(&str, String)> = bound[3]
        .output()
        .data_fields()
        .map(|(_, f)| (f.name.as_str(), f.logical.to_string()))
        .collect();
    let expected = [
        "title utf8",
        "us_gross int64",
        "gross int64",
        "released timestamp(us)",
        "genre utf8",
        "imdb float64",
        "votes int64",
        "director utf8",
    ];
    assert_eq!(
        columns
            .iter()
            .map(|(name, logical)| format!("{name} {logical}"))
            .collect::<Vec<_>>(),
        expected
    );

    let shown: Vec<&Value> = films
        .iter()
        .filter(|film| film["Worldwide Gross"].as_i64() > Some(0))
        .collect();
    assert_eq!(
        (films.len(), shown.len(), output.records.num_rows()),
        (3201, 3147, 3147)
    );
    let records = &output.records;
    let text = |column: usize, row: usize| {
        let texts = records.column(column).as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    for (row, film) in shown.iter().enumerate() {
        let title = match &film["Title"] {
            Value::Null => None,
            Value::String(title) => Some(title.clone()),
            other => Some(other.to_string()),
        };
        assert_eq!(text(0, row), title);
        let genre = film["Major Genre"]
            .as_str()
            .map_or("unknown".to_owned(), |g| g.trim().to_lowercase());
        assert_eq!(text(4, row), Some(genre));
        assert_eq!(text(7, row), film["Director"].as_str().map(str::to_owned));
        assert_eq!(
            records.column(2).as_primitive::<Int64Type>().value(row),
            film["Worldwide Gross"].as_i64().unwrap()
        );
        let day =
            NaiveDate::parse_from_str(film["Release Date"].as_str().unwrap(), "%b %d %Y").unwrap();
        let released = records
            .column(3)
            .as_primitive::<TimestampMicrosecondType>()
            .value(row);
        assert_eq!(
            released,
            day.and_hms_opt(0, 0, 0)
                .unwrap()
                .and_utc()
                .timestamp_micros()
        );
    }
}

#[test]
fn all_bird_strikes_come_through_with_the_right_values() {
    let csv = real("birdstrikes.csv");
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let strikes: Vec<Vec<&str>> = lines.collect();
    let logical = |name: &str| match name {
        "Flight Date" => LogicalType::Date32,
        "Cost Other" | "Cost Repair" | "Cost Total $" | "Speed IAS in knots" => LogicalType::Int64,
        _ => LogicalType::Utf8,
    };
    let schema = Schema::new(
        header
            .iter()
            .map(|name| Field::new(*name, logical(name)))
            .collect(),
    );
    let columns = schema.fields.iter().enumerate().map(|(index, field)| {
        let texts = strikes
            .iter()
            .map(|strike| Some(strike[index]).filter(|text| !text.is_empty()));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let converted = convert(&texts, &LogicalType::Utf8, &field.logical).unwrap();
        assert_eq!(converted.failed, [0; 0]);
        converted.values
    });
    let records = RecordBatch::try_new(schema.to_arrow(), columns.collect()).unwrap();
    let steps = [
        (
            "apply",
            json!({"Airport Name": "title", "Wildlife Size": "lowercase"}),
        ),
        ("set", json!({"cost": "\"Cost Other\" + \"Cost Repair\""})),
        ("filter", json!("\"Effect Amount of damage\" <> 'None'")),
    ];
    let (_, output) = run(&schema, records, &steps);
    assert_eq!(output.rejects, []);
    let shown: Vec<&Vec<&str>> = strikes
        .iter()
        .filter(|strike| strike[2] != "None")
        .collect();
    assert_eq!(
        (strikes.len(), output.records.num_rows()),
        (10_000, shown.len())
    );
    let cost = output.records.column(14).as_primitive::<Int64Type>();
    for (row, strike) in shown.iter().enumerate() {
        assert_eq!(
            cost.value(row),
            strike[10].parse::<i64>().unwrap() + strike[11].parse::<i64>().unwrap()
        );
        assert_eq!(
            output.records.column(7).as_string::<i32>().value(row),
            strike[7].to_lowercase()
        );
        let airport = output.records.column(0).as_string::<i32>().value(row);
        assert_eq!(airport.to_uppercase(), strike[0].to_uppercase());
        assert!(
            airport.split_whitespace().all(|word| !word.is_ascii()
                || word[1..] == word[1..].to_lowercase()
                || !word.chars().all(char::is_alphanumeric)),
            "{airport}"
        );
    }
}
