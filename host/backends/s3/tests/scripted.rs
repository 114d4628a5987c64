//! What a healthy server does not do, done by the fake one at exactly one request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::time::Duration;

use arrow::array::RecordBatch;
use dkhost_core::{Backend, Class, Conflict, Nulls, OpenTarget, Options, Position, Result, Sink};
use dkhost_drive::{Run, fates, read, refused, rows, schema};
use dkhost_fake_s3::{Fake, Trouble};
use dkhost_s3::S3Backend;
use serde_json::{Value, json};
use support::open_source;

const FIELDS: &[&str] = &["!id int64", "v utf8"];

fn options(fake: &Fake, more: Value) -> Value {
    let mut options = json!({
        "bucket": "any", "endpoint": fake.endpoint(),
        "access_key_id": Fake::ACCESS_KEY, "secret_access_key": Fake::SECRET_KEY,
    });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    options
}

fn target(fake: &Fake, more: Value) -> Result<Box<dyn Sink>> {
    let open = OpenTarget {
        base: Default::default(),
        job: "job".into(),
        schema: schema(FIELDS),
        conflict: Conflict::Insert,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    let options = Options::from_json("[target]", &options(fake, more)).unwrap();
    S3Backend.open_target(options, &open)
}

fn of(ids: std::ops::Range<i64>, word: &str) -> RecordBatch {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let cells: Vec<[Option<&str>; 2]> = ids
        .iter()
        .map(|id| [Some(id.as_str()), Some(word)])
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    rows(&schema(FIELDS), &cells)
}

/// A run over a part that goes in pieces, as far as before its last commit.
fn large(fake: &Fake) -> Run {
    let sink = target(fake, json!({"prefix": "out", "format": "jsonl"})).unwrap();
    let mut run = Run::start(sink, 1);
    run.write(&of(0..9_000, &"x".repeat(1500)));
    run.commit();
    run
}

#[test]
fn a_server_that_ignores_conditions_is_refused_with_a_way_out() {
    for more in [
        json!({"prefix": "out", "format": "jsonl"}),
        json!({"prefix": "out", "object": "record"}),
    ] {
        let fake = Fake::start();
        fake.ignore_conditions();
        let sink = target(&fake, more.clone()).unwrap();
        let claim = dkhost_core::Claim {
            job: "job".into(),
            run: "run".into(),
            plan_hash: String::new(),
            epoch_floor: 0,
        };
        let error = refused(sink.claim(&claim));
        assert_eq!(
            (error.code(), error.class()),
            ("s3::no_conditions", Class::Config)
        );
        assert!(error.help_text().unwrap().contains("conditional = false"));
        assert!(fake.keys().is_empty(), "{:?}", fake.keys());
        // The way out.
        let mut more = more;
        more["conditional"] = false.into();
        let mut run = Run::start(target(&fake, more).unwrap(), 1);
        run.write(&of(0..3, "a"));
        run.commit();
        run.writer.flush().unwrap();
        run.finish();
    }
}

#[test]
fn a_server_that_asks_for_less_is_asked_again_and_nothing_is_lost() {
    let fake = Fake::start();
    let sink = target(&fake, json!({"prefix": "out", "object": "record"})).unwrap();
    let mut run = Run::start(sink, 1);
    let report = run.write(&of(0..300, "a"));
    assert_eq!(fates(&report, 300), "w".repeat(300));
    fake.script(Trouble::SlowDown, "PutObject", "out/2", 5);
    let error = refused(run.try_commit());
    assert_eq!(
        (error.code(), error.class()),
        ("s3::slow_down", Class::Throttled)
    );
    while let Err(error) = run.try_commit() {
        assert_eq!(error.class(), Class::Throttled);
    }
    assert_eq!(fake.struck(), 5);
    run.finish();
    assert_eq!(fake.keys().len(), 300);
}

#[test]
fn an_end_that_fails_behind_its_200_is_tried_again() {
    let fake = Fake::start();
    let mut run = large(&fake);
    fake.script(Trouble::ErrorInBody, "CompleteMultipartUpload", "part-", 1);
    let error = refused(run.writer.flush());
    assert!(
        error.class().is_retryable(),
        "{} {}",
        error.code(),
        error.chain()
    );
    run.writer.flush().unwrap();
    run.finish();
    let part = fake.get("out/run 1/part-00000-00000.jsonl").unwrap();
    assert_eq!(part.iter().filter(|byte| **byte == b'\n').count(), 9_000);
    assert_eq!(fake.uploads(), 0);
}

#[test]
fn a_200_for_an_object_that_is_not_there_moves_no_checkpoint() {
    let fake = Fake::start();
    let mut run = large(&fake);
    fake.script(Trouble::Lie, "CompleteMultipartUpload", "part-", 1);
    let error = refused(run.writer.flush());
    assert_eq!(error.code(), "s3::not_written");
    let state: Value = serde_json::from_slice(&fake.get("out/.dkhost/state").unwrap()).unwrap();
    assert_eq!(state["checkpoints"], json!({}));
    // Whoever goes on writes it again.
    drop(run);
    let sink = target(&fake, json!({"prefix": "out", "format": "jsonl"})).unwrap();
    let mut run = Run::start(sink, 1);
    assert_eq!(run.checkpoint.seq, 0);
    run.write(&of(0..10, "a"));
    run.commit();
    run.writer.flush().unwrap();
    run.finish();
    assert_eq!(fake.uploads(), 0);
    let source = open_source(options(&fake, json!({"prefix": "out"})), |_| ()).unwrap();
    assert_eq!(read(source.as_ref()).len(), 10);
}

#[test]
fn an_answer_cut_in_its_middle_is_asked_for_from_there() {
    let fake = Fake::start();
    let line = |id: u32| format!("{{\"id\":{id},\"v\":\"{id:050}\"}}\n");
    let content: String = (0..40_000).map(line).collect();
    fake.put("a.jsonl", content.as_bytes());
    let source = open_source(options(&fake, json!({})), |_| ()).unwrap();
    fake.script(Trouble::CutBody, "GetObject", "a.jsonl", 6);
    assert_eq!(read(source.as_ref()).len(), 40_000);
    assert_eq!(fake.struck(), 6);
}

#[test]
fn a_lost_answer_to_anything_leaves_one_result() {
    for operation in [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "HeadObject",
    ] {
        let fake = Fake::start();
        let mut run = large(&fake);
        fake.script(Trouble::LostReply, operation, "part-", 1);
        let mut tries = 0;
        while let Err(error) = run.writer.flush() {
            assert!(
                error.class().is_retryable(),
                "{operation}: {}",
                error.chain()
            );
            tries += 1;
            assert!(tries < 5, "{operation}");
        }
        run.finish();
        let part = fake.get("out/run 1/part-00000-00000.jsonl").unwrap();
        assert_eq!(
            part.iter().filter(|byte| **byte == b'\n').count(),
            9_000,
            "{operation}"
        );
        assert_eq!(fake.uploads(), 0, "{operation}");
    }
}

/// What a source over the fake reads.
fn found(fake: &Fake, more: Value) -> Vec<String> {
    read(open_source(options(fake, more), |_| ()).unwrap().as_ref())
}

#[test]
fn keys_that_servers_take_for_others_are_read_as_they_are() {
    let keys = [
        "r//b.json",
        "r/../up.json",
        "r/./dot.json",
        "r//../x.json",
        "r/\u{1}.json",
    ];
    let fake = Fake::start();
    for (id, key) in keys.iter().enumerate() {
        fake.put(key, format!("{{\"n\":{id}}}").as_bytes());
    }
    fake.put("/lead.jsonl", b"{\"n\":7}");
    let mut ids = found(&fake, json!({"prefix": "r/", "object": "record"}));
    ids.sort();
    assert_eq!(
        ids,
        [
            "{\"_id\":\"../up\",\"n\":1}",
            "{\"_id\":\"./dot\",\"n\":2}",
            "{\"_id\":\"/../x\",\"n\":3}",
            "{\"_id\":\"/b\",\"n\":0}",
            "{\"_id\":\"\\u0001\",\"n\":4}",
        ]
    );
    for key in ["f//b", "f/../up", "f/./dot", "f//../x", "f/\u{1}"] {
        fake.put(&format!("{key}.jsonl"), b"{\"n\":1}");
    }
    assert_eq!(found(&fake, json!({"prefix": "f/"})).len(), 5);
    assert_eq!(found(&fake, json!({"prefix": "/lead"})), ["{\"n\":7}"]);
}

/// Objects of a key and a number, so many of them.
fn with_many(fake: &Fake, count: usize) {
    for id in 0..count {
        let line = format!("{{\"id\":{id}}}\n");
        fake.put(&format!("many/{id:05}.jsonl"), line.as_bytes());
    }
}

#[test]
fn of_many_small_objects_several_are_asked_for_at_once() {
    let fake = Fake::start();
    with_many(&fake, 600);
    fake.take_your_time(Duration::from_millis(5));
    let source = open_source(options(&fake, json!({"infer": 1})), |_| ()).unwrap();
    assert!(source.partitions().unwrap().len() <= 16);
    let lines = read(source.as_ref());
    assert_eq!(lines.len(), 600);
    assert_eq!(lines[599], "{\"id\":599}");
    let at_once = fake.most_at_once();
    assert!(at_once >= 8, "{at_once} at once");
}

#[test]
fn an_answer_ahead_that_fails_is_asked_for_again() {
    let fake = Fake::start();
    with_many(&fake, 300);
    let open = || open_source(options(&fake, json!({"infer": 1})), |_| ()).unwrap();
    let source = open();
    fake.script(Trouble::CutBody, "GetObject", "many/0010", 3);
    fake.script(Trouble::SlowDown, "GetObject", "many/0020", 3);
    assert_eq!(read(source.as_ref()).len(), 300);
    assert_eq!(fake.struck(), 6);
    // Another object is another, asked for ahead or not.
    let source = open();
    fake.put("many/00005.jsonl", b"{\"id\":-5}");
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.records.num_rows(), 5);
    assert_eq!(refused(reader.next()).code(), "source::changed");
}

#[test]
fn who_does_not_speak_tls_is_said_so() {
    let fake = Fake::start();
    let mut options = options(&fake, json!({}));
    options["endpoint"] = fake.endpoint().replace("http:", "https:").into();
    let error = refused(open_source(options, |_| ()));
    assert_eq!((error.code(), error.class()), ("s3::no_tls", Class::Config));
    assert!(error.help_text().unwrap().contains("http://"));
}

#[test]
fn folders_of_many_objects_are_listed_several_at_once() {
    let fake = Fake::start();
    for id in 0..1_200 {
        let key = format!("r/deep/{:02}/{id:05}.json", id / 100);
        fake.put(&key, b"{}");
    }
    fake.put("r/deep/05.json", b"{}");
    fake.put("s/1.json", b"{}");
    fake.take_your_time(Duration::from_millis(20));
    let more = json!({"prefix": "r/", "object": "record", "infer": 1});
    let source = open_source(options(&fake, more), |_| ()).unwrap();
    assert_eq!(source.estimate().records, Some(1_201));
    let at_once = fake.most_at_once();
    assert!(at_once > 2, "{at_once} at once");
    fake.take_your_time(Duration::ZERO);
    let found = read(source.as_ref());
    assert_eq!(found.len(), 1_201);
    assert!(found.is_sorted(), "in the order of their keys");
    assert!(found[500].contains("deep/05\""), "{}", found[500]);
}
