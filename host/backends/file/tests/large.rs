//! Files larger than what is read at once: whatever lies across the pieces comes out whole.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use dkhost_core::Position;
use expect_test::expect;
use serde_json::json;
use support::{Scratch, gzip, show_error};

const RECORDS: i64 = 30_000;

/// A text for record `n` of 0 to about 200 bytes, with everything a format has to escape.
fn text(n: i64) -> String {
    let length = (n * 7919 % 53) as usize;
    "a\"b,c\n{]ü\\\r"
        .chars()
        .cycle()
        .skip(n as usize % 11)
        .take(length)
        .collect()
}

fn check(name: &str, content: &[u8], records: Option<&str>) {
    assert!(
        content.len() > 1 << 20 || name.ends_with("gz"),
        "{} bytes",
        content.len()
    );
    let scratch = Scratch::new();
    scratch.write(name, content);
    let mut options = json!({"path": name});
    if let Some(records) = records {
        options["records"] = records.into();
    }
    let source = scratch.open(options).unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let mut n = 0;
    for batch in support::read(&*source, &partition, &Position::start()).unwrap() {
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
        let numbers = batch
            .records
            .column_by_name("n")
            .unwrap()
            .as_primitive::<Int64Type>();
        let texts = batch
            .records
            .column_by_name("s")
            .unwrap()
            .as_string::<i32>();
        for row in 0..batch.records.num_rows() {
            assert_eq!(numbers.value(row), n, "{name}");
            assert!(
                !texts.is_null(row) && texts.value(row) == text(n),
                "{name}: record {n}"
            );
            n += 1;
        }
    }
    assert_eq!(n, RECORDS, "{name}");
}

fn json_lines() -> Vec<u8> {
    (0..RECORDS)
        .flat_map(|n| format!("{}\n", json!({"n": n, "s": text(n)})).into_bytes())
        .collect()
}

#[test]
fn json_lines_across_pieces() {
    check("x.jsonl", &json_lines(), None);
    check("x.jsonl.gz", &gzip(&json_lines()), None);
}

#[test]
fn a_json_array_across_pieces() {
    let records: Vec<String> = (0..RECORDS)
        .map(|n| json!({"n": n, "s": text(n)}).to_string())
        .collect();
    check(
        "x.json",
        format!("[{}]", records.join(" ,\n")).as_bytes(),
        None,
    );
    let around = format!(
        "{{\"skip\": [{}], \"in\": [{}]}}",
        records.join(","),
        records.join(",")
    );
    check("y.json", around.as_bytes(), Some("/in"));
}

#[test]
fn a_json_object_across_pieces() {
    let record = |n| {
        format!(
            "{}: {}",
            json!(format!("\"{n}")),
            json!({"n": n, "s": text(n)})
        )
    };
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    check(
        "x.json",
        format!("{{{}}}", records.join(",")).as_bytes(),
        None,
    );
}

#[test]
fn separated_values_across_pieces() {
    let cell = |n| format!("\"{}\"", text(n).replace('"', "\"\""));
    let lines: String = (0..RECORDS)
        .map(|n| format!("{n},{}\r\n", cell(n)))
        .collect();
    check("x.csv", format!("n,s\r\n{lines}").as_bytes(), None);
}

/// Counts records and refusals, and says how reading ended.
fn ending(name: &str, content: &[u8]) -> String {
    let scratch = Scratch::new();
    scratch.write(name, content);
    let source = match scratch.open(json!({"path": name, "infer": 1})) {
        Ok(source) => source,
        Err(error) => return show_error(&error),
    };
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    let (mut rows, mut codes) = (0, Vec::new());
    loop {
        match reader.next() {
            Ok(Some(batch)) => {
                rows += batch.records.num_rows();
                codes.extend(batch.rejects.iter().map(|reject| reject.code.clone()));
            }
            Ok(None) => return format!("{rows} rows, {codes:?}\n"),
            Err(error) => return format!("{rows} rows, {codes:?}\n{}", show_error(&error)),
        }
    }
}

#[test]
fn a_quote_that_is_never_closed_refuses_one_line_of_a_large_file() {
    let long = "x".repeat(1 << 20);
    let lines = format!("5,{long}\n").repeat(70);
    let content = format!("n,s\n1,a\n2,\"open\n{lines}6,z\n");
    expect![[r#"
        72 rows, ["csv::unclosed_quote"]
    "#]]
    .assert_eq(&ending("x.csv", content.as_bytes()));
}

#[test]
fn a_line_that_never_ends_is_an_error() {
    let content = format!("n,s\n1,a\n2,{}", "x".repeat(65 << 20));
    expect![[r#"
        file::record_too_long: the record at line 3 of `x.csv` (byte 8) is longer than 64 MiB
        help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]].assert_eq(&ending("x.csv", content.as_bytes()));
}
