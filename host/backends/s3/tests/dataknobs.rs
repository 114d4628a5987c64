//! Stores of dataknobs-data on real servers, both ways.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use dkhost_core::Conflict;
use dkhost_drive::{Run, all, read, types};
use serde_json::{Value, json};
use support::{BOTH, Bucket, bucket, source_with, target};

/// What dataknobs-data 0.11.0 wrote: keys and bodies.
fn theirs() -> BTreeMap<String, String> {
    let lines = include_str!("../../../../tests/data/dataknobs-0.11.0/s3.jsonl").lines();
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| object[name].as_str().unwrap().to_owned();
        (text("key"), text("body"))
    };
    lines.map(object).collect()
}

fn open(bucket: &Bucket, prefix: &str) -> Box<dyn dkhost_core::Source> {
    let more = json!({"prefix": prefix, "layout": "dataknobs"});
    source_with(bucket, more, |open| open.explicit_nulls = true).unwrap()
}

#[test]
fn a_store_is_read_whole_and_written_as_it_was() {
    for server in BOTH {
        let (bucket, theirs) = (bucket(server), theirs());
        for (key, body) in &theirs {
            bucket.put(key, body.as_bytes());
        }
        let source = open(&bucket, "records/");
        let names = types(source.schema());
        assert_eq!(names.first().map(String::as_str), Some("_id utf8"));
        assert_eq!(read(source.as_ref()).len(), theirs.len(), "{server:?}");
        let batches: Vec<RecordBatch> = all(source.as_ref())
            .into_iter()
            .map(|b| b.records)
            .collect();
        let more = json!({"prefix": "copy", "layout": "dataknobs"});
        let sink = target(&bucket, more, source.schema(), Conflict::Insert).unwrap();
        let mut run = Run::start(sink, 1);
        for batch in &batches {
            let report = run.write(batch);
            assert_eq!(report.rejects, [], "{server:?}");
            run.commit();
        }
        run.finish();
        let copied = bucket.keys("copy/");
        assert_eq!(copied.len(), theirs.len());
        for (key, body) in &theirs {
            let copy = bucket.get(&key.replacen("records/", "copy/", 1));
            let copy: Value = serde_json::from_slice(&copy).unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(copy, body, "{server:?} {key}");
        }
        assert_eq!(read(open(&bucket, "copy").as_ref()), read(source.as_ref()));
    }
}

#[test]
fn options_of_files_are_refused() {
    let bucket = bucket(support::Server::Minio);
    for more in [
        json!({"layout": "dataknobs", "object": "file"}),
        json!({"layout": "dataknobs", "format": "jsonl"}),
        json!({"object": "record", "compression": "gzip"}),
    ] {
        let error = dkhost_drive::refused(support::source(&bucket, more));
        assert!(
            ["s3::not_for_files", "s3::not_for_records"].contains(&error.code()),
            "{error}"
        );
        assert!(error.help_text().is_some());
    }
}
