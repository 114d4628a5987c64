//! Stores that dataknobs wrote go through a source and a target and are still the same stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use arrow::array::BooleanArray;
use dkhost_core::{
    Backend, Checkpoint, Claim, Conflict, Nulls, OpenSource, OpenTarget, Options, Partition,
    Position, Role, Schema, Source,
};
use dkhost_file::FileBackend;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/dataknobs-0.11.0")
}

/// Reads the store `from` and writes `to` beside nothing else; what was written.
fn copy(from: &str, to: &str, keep: impl Fn(Option<Role>) -> bool) -> String {
    let options = json!({"path": fixtures().join(from), "layout": "dataknobs"});
    let open = OpenSource {
        explicit_nulls: true,
        ..OpenSource::default()
    };
    let source = FileBackend
        .open_source(Options::from_json("[source]", &options).unwrap(), &open)
        .unwrap();
    let to = json!({"path": to, "layout": "dataknobs"});
    let (refused, written) = transfer(source.as_ref(), to, keep);
    assert!(refused.is_empty(), "{refused:?}");
    written
}

/// Writes a source to a target; what was refused, and the file.
fn transfer(
    source: &dyn Source,
    options: Value,
    keep: impl Fn(Option<Role>) -> bool,
) -> (Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let fields = source.schema().fields.iter();
    let columns: Vec<usize> = fields
        .enumerate()
        .filter(|(_, field)| keep(field.role))
        .map(|(i, _)| i)
        .collect();
    let schema = Schema::new(
        columns
            .iter()
            .map(|i| source.schema().fields[*i].clone())
            .collect(),
    );
    let open = OpenTarget {
        base: dir.path().to_owned(),
        job: "job".into(),
        schema,
        conflict: Conflict::Insert,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    let to = options["path"].as_str().unwrap().to_owned();
    let sink = FileBackend
        .open_target(Options::from_json("[target]", &options).unwrap(), &open)
        .unwrap();
    assert!(sink.plan().columns.iter().all(|c| c.lossy.is_none()));
    let claim = Claim {
        job: "job".into(),
        run: "r".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    let epoch = sink.claim(&claim).unwrap().epoch;
    let partition: Partition = source.partitions().unwrap().remove(0);
    let mut writer = sink.writer(&partition).unwrap();
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    let (mut refused, mut rows) = (Vec::new(), 0);
    let mut checkpoint = Checkpoint::start("job", "r", epoch, "h", 0);
    while let Some(mut batch) = reader.next().unwrap() {
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
        batch.records = batch.records.project(&columns).unwrap();
        let report = writer.write(&batch).unwrap();
        let rejects = report.rejects.iter();
        refused.extend(rejects.map(|r| format!("{} {}", r.row, r.code)));
        let kept: BooleanArray = (0..batch.records.num_rows())
            .map(|row| Some(report.rejects.iter().all(|r| r.row as usize != row)))
            .collect();
        batch.records = arrow::compute::filter_record_batch(&batch.records, &kept).unwrap();
        rows += batch.records.num_rows() as u64;
        let back = writer.read_back().unwrap();
        use dkhost_core::content::row_hashes;
        assert_eq!(
            row_hashes(&back).unwrap(),
            row_hashes(&batch.records).unwrap()
        );
        checkpoint.seq += 1;
        writer.commit(&checkpoint).unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(sink.count().unwrap(), rows);
    sink.publish().unwrap();
    sink.retire().unwrap();
    (
        refused,
        std::fs::read_to_string(dir.path().join(to)).unwrap(),
    )
}

#[test]
fn a_json_store_comes_back_with_every_field_type_and_metadata() {
    let original = std::fs::read_to_string(fixtures().join("records.json")).unwrap();
    let written = copy("records.json", "x.json", |_| true);
    let (original, written): (Value, Value) = (
        serde_json::from_str(&original).unwrap(),
        serde_json::from_str(&written).unwrap(),
    );
    let (original, written) = (original.as_object().unwrap(), written.as_object().unwrap());
    assert!(original.keys().eq(written.keys()));
    for (id, record) in original {
        assert_eq!(&written[id], record, "{id}");
    }
}

#[test]
fn a_csv_store_comes_back_cell_by_cell() {
    let original = std::fs::read_to_string(fixtures().join("records.csv")).unwrap();
    let written = copy("records.csv", "x.csv", |role| role != Some(Role::Rest));
    let (mut original, mut written) = (cells(&original), cells(&written));
    assert_eq!(original.remove(0), written.remove(0));
    for (original, written) in original.iter().zip(&written) {
        for (original, written) in original.iter().zip(written) {
            match serde_json::from_str::<Value>(original) {
                Ok(field) if field.is_object() => {
                    assert_eq!(field, serde_json::from_str::<Value>(written).unwrap());
                }
                // A text that dataknobs would read back as a list: here it stays a text.
                Ok(Value::Array(_)) => {
                    let field: Value = serde_json::from_str(written).unwrap();
                    assert_eq!(
                        (&field["value"], &field["type"]),
                        (&json!(original), &json!("string"))
                    );
                }
                _ => assert_eq!(original, written),
            }
        }
    }
    assert_eq!(original.len(), written.len());
}

/// Writes a source of this text to `x.csv`; what was refused, and the file.
fn rewrite(text: &str, from: Value, to: Value) -> (Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(from["path"].as_str().unwrap());
    std::fs::write(&path, text).unwrap();
    let mut from = from;
    from["path"] = json!(path);
    let source = FileBackend
        .open_source(
            Options::from_json("[source]", &from).unwrap(),
            &OpenSource::default(),
        )
        .unwrap();
    transfer(source.as_ref(), to, |role| role != Some(Role::Rest))
}

#[test]
fn a_csv_store_keeps_what_its_fields_say_nulls_included() {
    let store = concat!(
        "__id__,a,b\r\n",
        "1,\"{\"\"name\"\": \"\"a\"\", \"\"value\"\": null, \"\"type\"\": \"\"string\"\", \"\"metadata\"\": {\"\"unit\"\": \"\"m\"\"}}\",x\r\n",
        "2,,\"{\"\"name\"\": \"\"b\"\", \"\"value\"\": \"\"12\"\", \"\"type\"\": \"\"integer\"\", \"\"metadata\"\": {}}\"\r\n",
    );
    let from = json!({"path": "in.csv", "layout": "dataknobs"});
    let to = json!({"path": "x.csv", "layout": "dataknobs"});
    let (refused, written) = rewrite(store, from, to);
    assert_eq!((refused, written.as_str()), (vec![], store));
}

#[test]
fn a_record_whose_own_metadata_a_csv_store_cannot_hold_is_refused() {
    let store = r#"{"1": {"fields": {"a": {"name": "a", "value": "x", "type": "string", "metadata": {}}}, "id": "1", "metadata": {"by": "me"}},
        "2": {"fields": {"a": {"name": "a", "value": "y", "type": "string", "metadata": {}}}, "id": "2", "metadata": {}},
        "3": {"fields": {}, "id": "3", "metadata": {}, "version": 7},
        "4": {"fields": {}, "id": "inner", "metadata": {}}}"#;
    let from = json!({"path": "in.json", "layout": "dataknobs"});
    let to = json!({"path": "x.csv", "layout": "dataknobs"});
    let (refused, written) = rewrite(store, from, to);
    assert_eq!(
        refused,
        [0, 2, 3].map(|row| format!("{row} file::not_representable"))
    );
    assert_eq!(written, "__id__,a\r\n2,y\r\n");
}

#[test]
fn a_null_is_refused_where_nothing_means_null() {
    let lines = "{\"a\":\"x\",\"b\":1}\n{\"a\":null,\"b\":2}\n{\"a\":\"\",\"b\":null}\n{\"a\":\"\",\"b\":3}\n";
    let to = json!({"path": "x.csv", "csv": {"null": []}});
    let (refused, written) = rewrite(lines, json!({"path": "in.jsonl"}), to);
    assert_eq!(
        refused,
        [1, 2].map(|row| format!("{row} file::not_representable"))
    );
    assert_eq!(written, "a,b\nx,1\n\"\",3\n");
}

/// The cells of RFC 4180 text, read one character at a time.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => (),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}
