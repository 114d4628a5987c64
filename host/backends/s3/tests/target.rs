//! Writing objects to two real servers: what other readers find, what is refused, and what is left
//! after a run that was interrupted anywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::path::Path;

use arrow::array::RecordBatch;
use dkhost_core::{Conflict, Result, Schema, Sink};
use dkhost_drive::{
    Points, Run, fates, interrupted_anywhere, points_in, read, refused, rows, schema,
};
use serde_json::{Value, json};
use support::{BOTH, Bucket, Server, bucket, source, target, text};

const FIELDS: &[&str] = &["!id int64", "v utf8"];

fn parts(bucket: &Bucket, conflict: Conflict) -> Result<Box<dyn Sink>> {
    let more = json!({"prefix": "out", "format": "jsonl"});
    target(bucket, more, &schema(FIELDS), conflict)
}

fn records(bucket: &Bucket, conflict: Conflict) -> Result<Box<dyn Sink>> {
    let more = json!({"prefix": "out", "object": "record"});
    target(bucket, more, &schema(FIELDS), conflict)
}

/// Rows with these ids and this word.
fn of(ids: &[i64], word: &str) -> RecordBatch {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let cells: Vec<[Option<&str>; 2]> = ids
        .iter()
        .map(|id| [Some(id.as_str()), Some(word)])
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    rows(&schema(FIELDS), &cells)
}

#[test]
fn other_readers_find_parts_a_manifest_and_who_counts() {
    for server in BOTH {
        let bucket = bucket(server);
        let mut run = Run::start(parts(&bucket, Conflict::Insert).unwrap(), 1);
        run.write(&of(&[1, 2], "a"));
        run.commit();
        run.writer.flush().unwrap();
        run.write(&of(&[3], "b"));
        run.commit();
        run.writer.flush().unwrap();
        run.finish();
        let names = [
            "out/_LATEST",
            "out/run 1/_manifest.json",
            "out/run 1/part-00000-00000.jsonl",
            "out/run 1/part-00000-00001.jsonl",
        ];
        assert_eq!(bucket.keys(""), names, "{server:?}");
        assert_eq!(
            text(&bucket, names[2]),
            "{\"id\":1,\"v\":\"a\"}\n{\"id\":2,\"v\":\"a\"}\n"
        );
        let manifest: Value = serde_json::from_slice(&bucket.get(names[1])).unwrap();
        assert_eq!(manifest["rows"], 3);
        assert_eq!(manifest["parts"][1]["name"], "run 1/part-00000-00001.jsonl");
        assert_eq!(manifest["parts"][1]["bytes"], 17);
        let latest: Value = serde_json::from_slice(&bucket.get(names[0])).unwrap();
        assert_eq!(latest["manifest"], "run 1/_manifest.json");
        // A part that the manifest does not name does not count.
        bucket.put("out/run 1/part-00009-00000.jsonl", b"{\"id\":9}");
        let found = read(source(&bucket, json!({"prefix": "out"})).unwrap().as_ref());
        assert_eq!(found.len(), 3, "{server:?}");
    }
}

#[test]
fn a_large_part_goes_in_pieces_and_arrives_whole() {
    for server in BOTH {
        let bucket = bucket(server);
        let mut run = Run::start(parts(&bucket, Conflict::Insert).unwrap(), 1);
        let word = "x".repeat(1000);
        let ids: Vec<i64> = (0..5000).collect();
        for _ in 0..4 {
            run.write(&of(&ids, &word));
            run.commit();
        }
        run.writer.flush().unwrap();
        run.finish();
        let part = bucket.get("out/run 1/part-00000-00000.jsonl");
        assert_eq!(
            part.iter().filter(|byte| **byte == b'\n').count(),
            20_000,
            "{server:?}"
        );
        assert!(part.len() > 20_000_000);
        assert_eq!(bucket.uploads(), [], "{server:?}");
    }
}

#[test]
fn somebody_s_objects_are_neither_added_to_nor_replaced() {
    let bucket = bucket(Server::Minio);
    bucket.put("out/photo.jpg", b"x");
    for conflict in [Conflict::Insert, Conflict::ReplaceAll] {
        let error = refused(parts(&bucket, conflict));
        assert!(error.to_string().contains("photo.jpg"), "{error}");
        assert!(error.help_text().is_some());
    }
    bucket.put("other/x", b"");
    for conflict in [Conflict::Upsert, Conflict::Skip] {
        let more = json!({"prefix": "new", "format": "jsonl"});
        let error = refused(target(&bucket, more, &schema(FIELDS), conflict));
        assert_eq!(error.code(), "target::needs_key_store");
        assert!(error.help_text().unwrap().contains("object = \"record\""));
    }
    assert_eq!(
        refused(records(&bucket, Conflict::ReplaceAll)).code(),
        "s3::no_swap"
    );
}

#[test]
fn what_a_run_replaced_is_removed_when_it_is_over() {
    for server in BOTH {
        let bucket = bucket(server);
        for (run, word) in [(1, "old"), (2, "new")] {
            let conflict = if run == 1 {
                Conflict::Insert
            } else {
                Conflict::ReplaceAll
            };
            let mut run = Run::start(parts(&bucket, conflict).unwrap(), run);
            run.write(&of(&[1], word));
            run.commit();
            run.writer.flush().unwrap();
            run.finish();
        }
        assert_eq!(
            bucket.keys("out/"),
            [
                "out/_LATEST",
                "out/run 2/_manifest.json",
                "out/run 2/part-00000-00000.jsonl"
            ],
            "{server:?}"
        );
        let found = read(source(&bucket, json!({"prefix": "out"})).unwrap().as_ref());
        assert_eq!(found, ["{\"id\":1,\"v\":\"new\"}"]);
    }
}

#[test]
fn an_unfinished_run_is_no_source() {
    let bucket = bucket(Server::Versity);
    let mut run = Run::start(parts(&bucket, Conflict::Insert).unwrap(), 1);
    run.write(&of(&[1], "a"));
    run.commit();
    run.writer.flush().unwrap();
    let error = refused(source(&bucket, json!({"prefix": "out"})));
    assert_eq!(error.code(), "s3::unfinished");
}

#[test]
fn without_conditions_a_run_ends_the_same_and_promises_less() {
    let bucket = bucket(Server::Minio);
    for more in [
        json!({"prefix": "out", "format": "csv", "conditional": false}),
        json!({"prefix": "rec", "object": "record", "conditional": false}),
    ] {
        let sink = target(&bucket, more, &schema(FIELDS), Conflict::Insert).unwrap();
        assert_eq!(sink.plan().promise, "at-least-once");
        let mut run = Run::start(sink, 1);
        run.write(&of(&[1], "a"));
        run.commit();
        run.writer.flush().unwrap();
        run.finish();
    }
    let keys = [
        "out/_LATEST",
        "out/run 1/_manifest.json",
        "out/run 1/part-00000-00000.csv",
        "rec/1.json",
    ];
    assert_eq!(bucket.keys(""), keys);
}

#[test]
fn records_have_keys_of_their_ids() {
    for server in BOTH {
        let bucket = bucket(server);
        let schema = schema(&["!id utf8", "v utf8"]);
        let more = json!({"prefix": "r/", "object": "record"});
        let sink = target(&bucket, more, &schema, Conflict::Insert).unwrap();
        let mut run = Run::start(sink, 1);
        let ids = ["ïd/00000 x", "a+b%c", "../up", "a//b", ""];
        let cells: Vec<[Option<&str>; 2]> = ids.iter().map(|id| [Some(*id), Some("v")]).collect();
        let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
        let report = run.write(&rows(&schema, &cells));
        // What this server would take for another key, or refuse, is refused here.
        assert_eq!(fates(&report, 5), "wwxxx", "{server:?}");
        run.commit();
        run.finish();
        assert_eq!(
            bucket.keys(""),
            ["r/a+b%c.json", "r/ïd/00000 x.json"],
            "{server:?}"
        );
        assert_eq!(
            text(&bucket, "r/a+b%c.json"),
            "{\"id\":\"a+b%c\",\"v\":\"v\"}"
        );
    }
}

#[test]
fn an_upload_that_nobody_finished_is_dropped_by_the_next_who_comes() {
    for server in BOTH {
        let bucket = bucket(server);
        let begun = |key: &str| {
            let ask = dkhost_servers::Ask {
                key,
                query: &[("uploads", "")],
                ..Default::default()
            };
            assert_eq!(bucket.ask("POST", ask).unwrap().status, 200);
        };
        begun("out/run 1/part-00000-00000.jsonl");
        begun("elsewhere/by somebody");
        let mut run = Run::start(parts(&bucket, Conflict::Insert).unwrap(), 1);
        let left = || -> Vec<String> { bucket.uploads().into_iter().map(|(key, _)| key).collect() };
        assert_eq!(left(), ["elsewhere/by somebody"]);
        begun("out/run 1/part-00000-00007.jsonl");
        run.write(&of(&[1], "a"));
        run.commit();
        run.writer.flush().unwrap();
        run.finish();
        assert_eq!(left(), ["elsewhere/by somebody"], "{server:?}");
    }
}

/// Objects and their content.
fn held(bucket: &Bucket) -> Vec<(String, String)> {
    let keys = bucket.keys("").into_iter();
    keys.map(|key| {
        // Which version of the object a manifest names differs from run to run.
        let content = match key.ends_with("_manifest.json") {
            true => String::new(),
            false => text(bucket, &key),
        };
        (key, content)
    })
    .collect()
}

/// A bucket with these objects, a record each.
fn with(server: Server, before: &[i64]) -> Bucket {
    let bucket = bucket(server);
    for id in before {
        let body = format!("{{\"id\":{id},\"v\":\"old\"}}");
        bucket.put(&format!("out/{id}.json"), body.as_bytes());
    }
    bucket
}

fn interrupted(
    server: Server,
    before: &[i64],
    open: fn(&Bucket, Conflict) -> Result<Box<dyn Sink>>,
    conflict: Conflict,
) -> Points {
    let batches = [
        of(&[1, 2, 3], "a"),
        of(&[3, 4, 5, 5], "b"),
        of(&[6, 1], "c"),
    ];
    interrupted_over(&batches, server, before, open, conflict)
}

fn interrupted_over(
    batches: &[RecordBatch],
    server: Server,
    before: &[i64],
    open: fn(&Bucket, Conflict) -> Result<Box<dyn Sink>>,
    conflict: Conflict,
) -> Points {
    interrupted_anywhere(
        batches,
        || with(server, before),
        |bucket| open(bucket, conflict),
        |bucket| (held(bucket), bucket.uploads()),
    )
}

#[test]
fn parts_and_records_interrupted_anywhere_end_as_undisturbed() {
    let passed = std::thread::scope(|scope| {
        let all = [
            scope.spawn(|| interrupted(Server::Minio, &[], parts, Conflict::ReplaceAll)),
            scope.spawn(|| interrupted(Server::Versity, &[4], records, Conflict::Insert)),
            scope.spawn(|| interrupted(Server::Minio, &[2, 4, 9], records, Conflict::Upsert)),
            // More than a request takes: sent in parts of its own.
            scope.spawn(|| {
                let large = [of(&[1], &"x".repeat(13 << 20))];
                interrupted_over(&large, Server::Versity, &[], parts, Conflict::Insert)
            }),
        ];
        all.map(|one| one.join().unwrap())
    });
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let passed: Points = passed.into_iter().flatten().collect();
    assert_eq!(passed, points_in(&source));
}

/// The plan's schema stays what it was.
#[test]
fn the_plan_says_what_will_happen() {
    let bucket = bucket(Server::Minio);
    let sink = records(&bucket, Conflict::Insert).unwrap();
    let plan = sink.plan();
    assert!(plan.fresh && plan.concurrent);
    assert_eq!(plan.promise, "effectively-once");
    assert_eq!(plan.columns.len(), 2);
    let _: &Schema = &schema(FIELDS);
    let sink = parts(&bucket, Conflict::Insert).unwrap();
    assert_eq!(sink.plan().effects.len(), 1);
    assert!(bucket.keys("").is_empty(), "planning wrote something");
}

#[test]
fn a_record_without_a_value_that_the_others_must_have_is_replaced() {
    for server in BOTH {
        let bucket = bucket(server);
        bucket.put("out/1.json", b"{\"id\":1}");
        bucket.put("out/2.json", b"{\"id\":2,\"v\":\"a\"}");
        let mut schema = schema(FIELDS);
        schema.fields[1].nullable = false;
        let more = json!({"prefix": "out", "object": "record"});
        let sink = target(&bucket, more, &schema, Conflict::Upsert).unwrap();
        let mut run = Run::start(sink, 1);
        let some = rows(&schema, &[&[Some("1"), Some("a")], &[Some("2"), Some("a")]]);
        assert_eq!(fates(&run.write(&some), 2), "wu", "{server:?}");
        run.commit();
        run.finish();
        assert_eq!(text(&bucket, "out/1.json"), "{\"id\":1,\"v\":\"a\"}");
    }
}
