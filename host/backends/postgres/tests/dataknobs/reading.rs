//! Stores as sources.

use dkhost_core::{Position, StageKind};
use serde_json::{Map, Value, json};

use crate::python::dataknobs;
use crate::source::{all, key, lines, read, refused, small, types, with};
use crate::support::{create, open, open_with};

#[test]
fn what_dataknobs_wrote_is_read_whole() {
    let database = with("");
    dataknobs("write", &database, "theirs");
    let source = open(&database, json!({"table": "theirs"})).unwrap();
    let names = types(source.schema());
    assert_eq!(names.first().map(String::as_str), Some("_id utf8"));
    for name in ["count int64", "price float64", "active boolean"] {
        assert!(names.contains(&name.to_owned()), "{name} of {names:?}");
    }
    assert_eq!(names[names.len() - 2..], ["_meta json", "_rest json"]);
    let written: Map<String, Value> = serde_json::from_str(include_str!("records.json")).unwrap();
    let found = read(source.as_ref());
    assert_eq!(found.len(), written.len());
    for (id, record) in &written {
        let lines = found
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let line = lines.into_iter().find(|line| line["_id"] == *id).unwrap();
        for (name, field) in record["fields"].as_object().unwrap() {
            assert_eq!(line.get(name), Some(&field["value"]), "{name} of {id}");
        }
        for (name, value) in record["metadata"].as_object().unwrap() {
            assert_eq!(&line["_meta"][name], value, "{name} of {id}");
        }
    }
}

#[test]
fn stores_of_every_version_are_read() {
    let database = with(
        "CREATE TABLE records (id VARCHAR(255) PRIMARY KEY, data JSONB NOT NULL, metadata JSONB, created_at TIMESTAMP, updated_at TIMESTAMP, vector_v real[]);
         CREATE TABLE bare (data json, id uuid);
         CREATE VIEW seen AS SELECT * FROM records;
         INSERT INTO records VALUES ('a', '{\"n\": 1}', '{\"m\": 2}', NULL, NULL, '{1}');
         INSERT INTO bare VALUES ('{\"n\":  1.50}', '0191f2a0-0000-7000-8000-000000000000');",
    );
    let of = |options| read(open(&database, options).unwrap().as_ref());
    let record = r#"{"_id":"a","n":1,"_meta":{"m":2}}"#;
    assert_eq!(of(json!({})), [record]);
    assert_eq!(of(json!({"table": "seen"})), [record]);
    assert_eq!(
        of(json!({"query": "SELECT * FROM records WHERE id < 'b'"})),
        [record]
    );
    assert_eq!(
        of(json!({"table": "bare"})),
        [r#"{"_id":"0191f2a0-0000-7000-8000-000000000000","n":1.5}"#]
    );
}

#[test]
fn a_store_is_read_on_from_a_position() {
    let database = with(&format!(
        "{} INSERT INTO records SELECT 'id ' || n, jsonb_build_object('n', n) FROM generate_series(1, 9) n;",
        create("records")
    ));
    let source = open_with(&database, json!({}), |open| open.batch = small(2)).unwrap();
    let batches = all(source.as_ref());
    let partition = source.partitions().unwrap().remove(0);
    let said = |batches: &[dkhost_core::Batch]| -> Vec<String> {
        batches
            .iter()
            .flat_map(|batch| lines(&batch.records))
            .collect()
    };
    let later = open_with(&database, json!({}), |open| open.batch = small(2)).unwrap();
    let mut reader = later.read(&partition, &batches[1].until).unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    assert_eq!(said(&rest), said(&batches[2..]));
    assert_eq!(said(&batches)[0], r#"{"_id":"id 1","n":1}"#);
}

#[test]
fn columns_choose_fields_and_the_rest_is_left() {
    let database = with(&format!(
        "{} INSERT INTO records (id, data) VALUES ('a', '{{\"n\": 1, \"id\": 7, \"x\": 2}}');",
        create("records")
    ));
    let source = open_with(&database, json!({}), |open| {
        open.columns = Some(vec!["n".into(), "id".into()]);
    })
    .unwrap();
    assert_eq!(read(source.as_ref()), [r#"{"_id":"a","n":1,"id":7}"#]);
    let error = refused(open_with(&database, json!({}), |open| {
        open.columns = Some(key("y"));
    }));
    assert_eq!(error.code(), "postgres::no_column");
}

#[test]
fn a_row_that_is_no_record_is_refused_and_read_again_when_it_is_mended() {
    let database = with(
        "CREATE TABLE records (id text, data text, metadata jsonb);
         INSERT INTO records VALUES ('a', '{\"n\": 1}', NULL), ('b', '{\"n\"', NULL), (NULL, '{}', NULL), ('d', '{}', '[1]'), ('e', '{\"n\": 2}', NULL);",
    );
    let source = open(&database, json!({})).unwrap();
    let batch = &all(source.as_ref())[0];
    assert_eq!(
        lines(&batch.records),
        [r#"{"_id":"a","n":1}"#, r#"{"_id":"e","n":2}"#]
    );
    assert_eq!(batch.origin.as_deref(), Some(&[0, 4][..]));
    let told: Vec<_> = batch
        .rejects
        .iter()
        .map(|reject| (reject.source_row, reject.kind, reject.code.as_str()))
        .collect();
    assert_eq!(told[0].0, 1);
    assert_eq!(
        told[1..],
        [
            (2, StageKind::Decode, "dataknobs::bad_id"),
            (3, StageKind::Decode, "dataknobs::bad_metadata")
        ]
    );
    let payload = batch.source.payload(1).bytes;
    assert_eq!(payload, br#"{"id":"b","data":"{\"n\"","metadata":null}"#);
    assert_eq!(batch.source.id(1).as_deref(), Some("b"));
    let letter = |payload: &str| dkhost_core::DeadLetter {
        payload: payload.as_bytes().to_vec(),
        ..letter_of(batch, 1)
    };
    let again = source
        .decode(&[
            letter(r#"{"id":"b","data":"{\"n\": 5}","metadata":null}"#),
            letter(r#"{"id":"b","data":{"n":6},"metadata":{"m":1}}"#),
            letter("oops"),
        ])
        .unwrap();
    assert_eq!(
        lines(&again.records),
        [
            r#"{"_id":"b","n":5}"#,
            r#"{"_id":"b","n":6,"_meta":{"m":1}}"#
        ]
    );
    assert_eq!(again.rejects[0].source_row, 2);
    assert_eq!(again.until, Position::start());
}

fn letter_of(batch: &dkhost_core::Batch, row: usize) -> dkhost_core::DeadLetter {
    dkhost_core::DeadLetter {
        job: "j".into(),
        run: "r".into(),
        partition: 0,
        batch: 0,
        row: row as u32,
        source_id: batch.source.id(row),
        locator: batch.source.locator(row),
        kind: StageKind::Decode,
        stage: "source".into(),
        column: None,
        code: "c".into(),
        message: String::new(),
        plugin_digest: None,
        attempts: 1,
        repeats: None,
        payload_length: 0,
        payload: Vec::new(),
        media: "json".into(),
        payload_sha256: String::new(),
    }
}

#[test]
fn what_goes_by_columns_is_refused() {
    let database = with(&create("records"));
    let error = refused(open(&database, json!({"fields": {"n": "utf8"}})));
    assert_eq!(error.code(), "postgres::not_with_layout");
    let error = refused(open_with(&database, json!({}), |open| {
        open.partition_by = Some(("n".into(), vec!["1".into()]));
    }));
    assert_eq!(error.code(), "postgres::not_with_layout");
    let error = refused(open_with(&database, json!({}), |open| open.key = key("n")));
    assert_eq!(error.code(), "postgres::no_column");
}

#[test]
fn runs_go_along_the_times_of_a_store() {
    let database = with(&format!(
        "{} INSERT INTO records (id, data, updated_at) VALUES ('a', '{{\"n\": 1}}', '2024-01-01 10:00'), \
         ('b', '{{\"n\": 2}}', '2024-01-01 11:00'), ('c', '{{\"n\": 3}}', '2024-01-01 11:00');",
        create("records")
    ));
    let since = |column: &str, cursor: Option<String>| {
        open_with(&database, json!({}), |open| {
            open.incremental = Some(dkhost_core::Incremental {
                column: column.into(),
                lookback: None,
                cursor,
                until: None,
            });
        })
    };
    let first = since("updated_at", None).unwrap();
    assert_eq!(read(first.as_ref()).len(), 3);
    assert_eq!(first.cursor().as_deref(), Some("2024-01-01 11:00:00"));
    let cursors: Vec<_> = first
        .cursors()
        .into_iter()
        .map(|field| field.name)
        .collect();
    assert_eq!(cursors, ["created_at", "updated_at"]);
    database.sql(
        "UPDATE records SET data = '{\"n\": 4}', updated_at = '2024-01-01 12:00' WHERE id = 'a'",
    );
    let next = since("updated_at", first.cursor()).unwrap();
    assert_eq!(
        read(next.as_ref()),
        [
            r#"{"_id":"a","n":4}"#,
            r#"{"_id":"b","n":2}"#,
            r#"{"_id":"c","n":3}"#
        ]
    );
    let error = refused(since("n", None));
    assert_eq!(error.code(), "postgres::not_with_layout");
    let help = error.help_text().unwrap_or_default();
    assert!(help.contains("updated_at"), "{help}");
}

#[test]
fn a_table_that_is_no_store_is_said_to_be_none() {
    let database = with("CREATE TABLE records (key text, value text)");
    let error = refused(open(&database, json!({})));
    assert_eq!(error.code(), "postgres::no_column");
    let error = refused(crate::source::source(
        &database,
        json!({"layout": "datanobs", "table": "records"}),
    ));
    assert_eq!(error.code(), "postgres::unknown_layout");
}
