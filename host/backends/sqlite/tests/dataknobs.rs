//! dataknobs stores: what dataknobs wrote is read, what we write looks as if it had.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::path::Path;

use arrow::array::RecordBatch;
use dkhost_core::content::row_hashes;
use dkhost_core::dataknobs::{Form, Inference, Reader};
use dkhost_core::json::{DecodeOptions, Decoder, Scanner, unescape};
use dkhost_core::{Backend, Conflict, ContentSum, Field, Options, Role, Schema};
use serde_json::{Value, json};
use support::{Folder, Run, all, fates, lines, read, types};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/data/dataknobs-0.11.0")
        .join(name)
}

fn stored() -> Vec<Value> {
    let text = std::fs::read_to_string(fixture("sqlite.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The records of the JSON store, as the file backend would give them.
fn records() -> (Schema, RecordBatch) {
    let text = std::fs::read_to_string(fixture("records.json")).unwrap();
    let mut members = Vec::new();
    let mut scanner = Scanner::new(&text);
    let mut more = scanner.enter_object().unwrap();
    while more {
        let (key, escaped) = scanner.key().unwrap();
        members.push((
            unescape(key, escaped).into_owned(),
            scanner.value().unwrap().raw,
        ));
        more = scanner.next_member().unwrap();
    }
    let mut inference = Inference::new(Form::File);
    members
        .iter()
        .for_each(|(_, raw)| inference.record(raw.as_bytes()).unwrap());
    let mut fields = vec![Field {
        nullable: false,
        key: Some(0),
        ..Field::reserved(Role::Id)
    }];
    fields.extend(inference.finish());
    fields.extend([Field::reserved(Role::Meta), Field::reserved(Role::Rest)]);
    let schema = Schema::new(fields);
    let mut reader = Reader::new(&schema);
    let mut decoder = Decoder::new(
        &schema,
        DecodeOptions {
            explicit_nulls: true,
            ..DecodeOptions::default()
        },
    );
    for (key, raw) in &members {
        let plain = reader.record(Some(key), raw.as_bytes()).unwrap();
        decoder
            .push_document(plain.fields, plain.id, plain.meta)
            .unwrap();
    }
    (schema, decoder.finish().unwrap())
}

const LAYOUT: &str = "dataknobs";

#[test]
fn a_store_of_dataknobs_is_read_whole() {
    let folder = Folder::empty();
    std::fs::copy(fixture("records.sqlite"), folder.path().join("a.db")).unwrap();
    let source = folder
        .source_with(json!({"layout": LAYOUT}), |open| open.explicit_nulls = true)
        .unwrap();
    let names = types(source.schema());
    assert_eq!(names.first().map(String::as_str), Some("_id utf8"));
    assert!(
        names.contains(&"count int64".to_owned()) && names.contains(&"price float64".to_owned()),
        "{names:?}"
    );
    assert_eq!(names[names.len() - 2..], ["_meta json", "_rest json"]);
    let found = read(source.as_ref());
    let stored = stored();
    assert_eq!(found.len(), stored.len());
    for record in stored {
        let id = record["id"].as_str().unwrap();
        let line = found
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|line| line["_id"] == id)
            .unwrap();
        let data: Value = serde_json::from_str(record["data"].as_str().unwrap()).unwrap();
        for (name, value) in data.as_object().unwrap() {
            let plain = if value["type"] == "vector" {
                &value["value"]
            } else {
                value
            };
            assert_eq!(line.get(name), Some(plain), "{name} of {id}");
        }
        if let Some(metadata) = record["metadata"].as_str() {
            let metadata: Value = serde_json::from_str(metadata).unwrap();
            for (name, value) in metadata.as_object().unwrap() {
                assert_eq!(&line["_meta"][name], value, "{name} of {id}");
            }
        }
    }
}

#[test]
fn what_is_written_is_what_dataknobs_would_have_written() {
    let folder = Folder::empty();
    let (schema, records) = records();
    let sink = folder
        .sink(json!({"layout": LAYOUT}), &schema, Conflict::Insert)
        .unwrap();
    let notes = sink.plan().notes.join("\n");
    assert!(
        notes.contains("`created` is read back as a string")
            && notes.contains("metadata of single fields"),
        "{notes}"
    );
    let mut run = Run::start(sink, 1);
    assert_eq!(fates(&run.write(&records), 50), "w".repeat(50));
    run.commit();
    run.finish();
    for record in stored() {
        let id = record["id"].as_str().unwrap().replace('\'', "''");
        let found = folder.dump(&format!(
            "SELECT data, metadata FROM records WHERE id = '{id}'"
        ));
        let text = |value: &Value| {
            value
                .as_str()
                .map_or("NULL".to_owned(), |text| format!("'{text}'"))
        };
        assert_eq!(
            found,
            [format!(
                "{} | {}",
                text(&record["data"]),
                text(&record["metadata"])
            )]
        );
    }
    let definition = |db: &rusqlite::Connection, name: &str| -> String {
        let sql: String = db
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE name = ?1",
                [name],
                |row| row.get(0),
            )
            .unwrap();
        sql.replace('"', "")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let theirs = rusqlite::Connection::open(fixture("records.sqlite")).unwrap();
    for name in ["records", "idx_records_created", "idx_records_updated"] {
        assert_eq!(
            definition(&folder.db(), name),
            definition(&theirs, name),
            "{name}"
        );
    }
    assert_eq!(
        folder.dump("SELECT DISTINCT length(created_at), created_at = updated_at FROM records"),
        ["19 | 1"]
    );
    assert_eq!(folder.dump("PRAGMA journal_mode"), ["'delete'"]);
    assert_eq!(
        folder.dump("SELECT name FROM sqlite_schema WHERE name LIKE 'dkhost%'"),
        [""; 0]
    );
}

#[test]
fn what_was_sent_is_what_is_held() {
    let folder = Folder::empty();
    let (schema, records) = records();
    let mut run = Run::start(
        folder
            .sink(json!({"layout": LAYOUT}), &schema, Conflict::Upsert)
            .unwrap(),
        1,
    );
    run.write(&records);
    let back = run.writer.read_back().unwrap();
    assert_eq!(row_hashes(&records).unwrap(), row_hashes(&back).unwrap());
    run.commit();
    let mut held = ContentSum::default();
    run.sink
        .scan(&mut |records| {
            held += ContentSum::of(&records)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(held, ContentSum::of(&records).unwrap());
    // The same again changes nothing.
    let report = run.write(&records);
    assert_eq!(fates(&report, 50), "u".repeat(50));
    assert_eq!(report.replaced_rows, 0);
}

#[test]
fn an_upsert_keeps_the_creation_and_moves_the_update() {
    let folder = Folder::with(
        "CREATE TABLE notes (id VARCHAR(255) PRIMARY KEY, data TEXT NOT NULL, metadata TEXT, created_at TIMESTAMP, updated_at TIMESTAMP);
         INSERT INTO notes VALUES ('a', '{\"n\": 1}', NULL, '2000-01-01 00:00:00', '2000-01-01 00:00:00'), ('b', '{\"n\":2}', NULL, 'x', 'y');",
    );
    let schema = Schema::new(vec![
        Field::reserved(Role::Id),
        Field::new("n", dkhost_core::LogicalType::Int64),
    ]);
    let options = json!({"layout": LAYOUT, "table": "notes"});
    let mut run = Run::start(folder.sink(options, &schema, Conflict::Upsert).unwrap(), 1);
    let report = run.write(&support::rows(
        &schema,
        &[
            &[Some("a"), Some("5")],
            &[Some("b"), Some("2")],
            &[Some("c"), None],
        ],
    ));
    assert_eq!(
        (fates(&report, 3).as_str(), report.replaced_rows),
        ("wuw", 1)
    );
    run.commit();
    run.finish();
    let rows =
        folder.dump("SELECT id, data, created_at, updated_at > '2020' FROM notes ORDER BY id");
    assert_eq!(rows[0], "'a' | '{\"n\": 5}' | '2000-01-01 00:00:00' | 1");
    assert_eq!(rows[1], "'b' | '{\"n\":2}' | 'x' | 1");
    assert!(
        rows[2].starts_with("'c' | '{\"n\": null}' | '20"),
        "{}",
        rows[2]
    );
}

#[test]
fn timestamps_travel_when_asked_for() {
    let folder = Folder::empty();
    std::fs::copy(fixture("records.sqlite"), folder.path().join("a.db")).unwrap();
    let source = folder
        .source_with(json!({"layout": LAYOUT, "timestamps": true}), |open| {
            open.explicit_nulls = true;
        })
        .unwrap();
    let records = all(source.as_ref()).remove(0).records;
    let options =
        Options::from_json("[target]", &json!({"path": "b.db", "layout": LAYOUT})).unwrap();
    let open = dkhost_core::OpenTarget {
        base: folder.path().into(),
        job: "job".into(),
        schema: source.schema().clone(),
        conflict: Conflict::Insert,
        create: true,
        nulls: dkhost_core::Nulls::Keep,
        content: true,
        reshape: None,
    };
    let mut run = Run::start(
        dkhost_sqlite::SqliteBackend
            .open_target(options, &open)
            .unwrap(),
        1,
    );
    assert_eq!(fates(&run.write(&records), 50), "w".repeat(50));
    run.commit();
    run.finish();
    let db = folder.db();
    db.execute(
        "ATTACH ?1 AS b",
        [folder.path().join("b.db").to_str().unwrap()],
    )
    .unwrap();
    let differ: i64 = db
        .query_row(
            "SELECT count(*) FROM records a JOIN b.records b USING (id) WHERE a.created_at IS NOT b.created_at \
             OR a.updated_at IS NOT b.updated_at OR a.data <> b.data OR a.metadata IS NOT b.metadata",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(differ, 0);
}

#[test]
fn a_row_that_is_no_record_is_refused_and_kept() {
    let folder = Folder::with(
        "CREATE TABLE records (id, data, metadata);
         INSERT INTO records VALUES ('a', '{\"n\": 1}', NULL), ('b', '{\"n\"', NULL), ('c', x'7b7d', NULL), (NULL, '{}', NULL), ('e', '{}', '[1]');",
    );
    let source = folder.source(json!({"layout": LAYOUT})).unwrap();
    let batch = &all(source.as_ref())[0];
    assert_eq!(lines(&batch.records), [r#"{"_id":"a","n":1}"#]);
    let rejects: Vec<_> = batch
        .rejects
        .iter()
        .map(|reject| (reject.source_row, reject.code.as_str()))
        .collect();
    assert_eq!(rejects[0].0, 1);
    assert_eq!(
        rejects[1..],
        [
            (2, "dataknobs::not_text"),
            (3, "dataknobs::bad_id"),
            (4, "dataknobs::bad_metadata")
        ]
    );
    assert_eq!(
        batch.source.payload(2).bytes,
        br#"{"id":"c","data":{"$binary":"e30="},"metadata":null}"#
    );
    assert_eq!(batch.source.id(1).as_deref(), Some("b"));
}

#[test]
fn records_without_an_id_are_refused_one_by_one_or_in_the_plan() {
    let folder = Folder::empty();
    let schema = support::schema(&["n int64"]);
    let error = folder
        .sink(json!({"layout": LAYOUT}), &schema, Conflict::Insert)
        .err()
        .unwrap();
    assert_eq!(error.code(), "dataknobs::no_id");
    let schema = support::schema(&["!k utf8", "x float64"]);
    let mut run = Run::start(
        folder
            .sink(json!({"layout": LAYOUT}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    );
    let report = run.write(&support::rows(
        &schema,
        &[
            &[None, None],
            &[Some("a"), Some("NaN")],
            &[Some("b"), Some("1.0")],
            &[Some("b"), None],
        ],
    ));
    assert_eq!(fates(&report, 4), "xxwx");
    let codes: Vec<_> = report
        .rejects
        .iter()
        .map(|reject| (reject.row, reject.code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            (0, "dataknobs::no_id"),
            (1, "json::not_a_number"),
            (3, "sqlite::constraint")
        ]
    );
}

#[test]
fn a_table_that_is_no_store_is_said_to_be_none() {
    let folder = Folder::with("CREATE TABLE records (key, value)");
    assert_eq!(
        folder
            .source(json!({"layout": LAYOUT}))
            .err()
            .unwrap()
            .code(),
        "sqlite::no_column"
    );
    let (schema, _) = records();
    assert_eq!(
        folder
            .sink(json!({"layout": LAYOUT}), &schema, Conflict::Insert)
            .err()
            .unwrap()
            .code(),
        "sqlite::missing_column"
    );
    assert_eq!(
        folder
            .source(json!({"layout": "datanobs", "table": "records"}))
            .err()
            .unwrap()
            .code(),
        "sqlite::unknown_layout"
    );
}
