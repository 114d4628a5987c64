//! A real server behind a line that fails: lost answers, cut bodies, changed bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use arrow::array::RecordBatch;
use dkhost_core::{Checkpoint, Claim, Conflict, Result, Sink};
use dkhost_drive::{batch, fates, partition, read, rows, schema};
use dkhost_proxy::{Act, Proxy, Rule, Way};
use serde_json::{Value, json};
use support::{Bucket, Server, bucket, gzip, open_source, options};

const FIELDS: &[&str] = &["!id int64", "v utf8"];

/// A proxy before a bucket's server, and the options that lead through it.
fn through(bucket: &Bucket, more: Value) -> (Proxy, Value) {
    let address = bucket.s3.endpoint.trim_start_matches("http://");
    let proxy = Proxy::start(address).unwrap();
    let mut options = options(bucket, more);
    options["endpoint"] = format!("http://{}", proxy.address()).into();
    (proxy, options)
}

/// Does something until it works, as the engine does.
fn again<T>(tries: &mut usize, mut what: impl FnMut() -> Result<T>) -> T {
    for _ in 0..8 {
        match what() {
            Ok(done) => return done,
            Err(error) if error.class().is_retryable() => *tries += 1,
            Err(error) => panic!("{}: {}", error.code(), error.chain()),
        }
    }
    panic!("it does not end");
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

/// A whole run; how often something was tried again, and what became of the rows.
fn run(options: &Value, batches: &[RecordBatch]) -> (usize, String) {
    let mut tries = 0;
    let sink: Box<dyn Sink> = again(&mut tries, || open(options));
    let claim = Claim {
        job: "job".into(),
        run: "run 1".into(),
        plan_hash: "hash".into(),
        epoch_floor: 0,
    };
    let claimed = again(&mut tries, || sink.claim(&claim));
    let mut writer = again(&mut tries, || sink.writer(&partition(0)));
    let mut checkpoint = Checkpoint::start("job", "run 1", claimed.epoch, "hash", 0);
    let mut fate = String::new();
    for records in batches {
        let report = again(&mut tries, || writer.write(&batch(records.clone())));
        fate += &fates(&report, records.num_rows());
        checkpoint.seq += 1;
        again(&mut tries, || writer.commit(&checkpoint));
    }
    again(&mut tries, || writer.flush());
    drop(writer);
    again(&mut tries, || sink.publish());
    again(&mut tries, || sink.retire());
    (tries, fate)
}

fn open(options: &Value) -> Result<Box<dyn Sink>> {
    use dkhost_core::{Backend, Nulls, OpenTarget, Options};
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
    dkhost_s3::S3Backend.open_target(Options::from_json("[target]", options).unwrap(), &open)
}

#[test]
fn an_answer_that_is_lost_is_asked_for_or_looked_for_again() {
    let large = of(0..9_000, &"x".repeat(1500));
    for server in support::BOTH {
        for lost in [
            "out/.dkhost/probe",
            "out/.dkhost/state",
            "part-00000-00000.jsonl?uploads",
            "part-00000-00000.jsonl?x-id=UploadPart",
            "part-00000-00000.jsonl?uploadId",
            "out/run%201/_manifest.json",
            "out/_LATEST",
        ] {
            let bucket = bucket(server);
            let more = json!({"prefix": "out", "format": "jsonl"});
            let (proxy, options) = through(&bucket, more);
            proxy.add(Rule::when(Way::ToServer, lost.as_bytes()).then(Act::DropReplies));
            let (tries, fate) = run(&options, std::slice::from_ref(&large));
            assert_eq!(proxy.struck(), 1, "{server:?}: nobody asks for {lost}");
            assert!(tries > 0, "{server:?} {lost}");
            assert_eq!(fate, "w".repeat(9_000), "{server:?} {lost}");
            let found = read(
                support::source(&bucket, json!({"prefix": "out"}))
                    .unwrap()
                    .as_ref(),
            );
            assert_eq!(found.len(), 9_000, "{server:?} {lost}");
            assert_eq!(bucket.keys("out/.dkhost"), [""; 0], "{server:?} {lost}");
            assert_eq!(bucket.uploads(), [], "{server:?} {lost}");
        }
    }
}

#[test]
fn records_whose_answers_are_lost_are_written_once() {
    for server in support::BOTH {
        for lost in ["out/7.json", "out/.dkhost/note-0", "out/.dkhost/state"] {
            let bucket = bucket(server);
            bucket.put("out/3.json", b"{\"id\":3,\"v\":\"theirs\"}");
            let (proxy, options) = through(&bucket, json!({"prefix": "out", "object": "record"}));
            proxy.add(Rule::when(Way::ToServer, lost.as_bytes()).then(Act::DropReplies));
            let (tries, fate) = run(&options, &[of(0..200, "ours"), of(150..160, "late")]);
            assert_eq!(proxy.struck(), 1, "{server:?} {lost}");
            assert!(tries > 0, "{server:?} {lost}");
            let expected = format!("wwwx{}{}", "w".repeat(196), "x".repeat(10));
            assert_eq!(fate, expected, "{server:?} {lost}");
            assert_eq!(bucket.keys("out/").len(), 200, "{server:?} {lost}");
            assert_eq!(
                support::text(&bucket, "out/3.json"),
                "{\"id\":3,\"v\":\"theirs\"}"
            );
            assert_eq!(
                support::text(&bucket, "out/155.json"),
                "{\"id\":155,\"v\":\"ours\"}"
            );
        }
    }
}

#[test]
fn a_body_that_is_cut_off_again_and_again_is_read_to_its_end() {
    let bucket = bucket(Server::Minio);
    let line = |id: u32| {
        format!(
            "{{\"id\":{id},\"v\":\"{:040x}\"}}\n",
            u64::from(id) * 0x9e37_79b9
        )
    };
    let content: String = (0..40_000).map(line).collect();
    bucket.put("a.jsonl", content.as_bytes());
    bucket.put("b.jsonl.gz", &gzip(content.as_bytes()));
    for prefix in ["a", "b"] {
        let (proxy, options) = through(&bucket, json!({"prefix": prefix}));
        proxy.set(Rule::after(Way::ToClient, 200_000).always());
        let source = open_source(options, |_| ()).unwrap();
        assert_eq!(read(source.as_ref()).len(), 40_000, "{prefix}");
        assert!(proxy.struck() > 0, "{prefix}");
    }
}

#[test]
fn a_byte_that_changes_on_the_way_is_noticed_and_sent_again() {
    for server in support::BOTH {
        let bucket = bucket(server);
        let (proxy, options) = through(&bucket, json!({"prefix": "out", "format": "csv"}));
        // In the middle of the part, behind all headers.
        proxy.add(Rule::when(Way::ToServer, b"x x x x x x x x").then(Act::Corrupt));
        let (tries, _) = run(&options, &[of(0..500, "x x x x x x x x y")]);
        assert_eq!(proxy.struck(), 1, "{server:?}");
        assert!(tries > 0, "{server:?}");
        let part = support::text(&bucket, "out/run 1/part-00000-00000.csv");
        assert_eq!(
            part.matches("x x x x x x x x y\n").count(),
            500,
            "{server:?}"
        );
    }
}

#[test]
fn a_byte_that_changes_in_a_part_of_a_large_object_is_noticed_and_sent_again() {
    for server in support::BOTH {
        let bucket = bucket(server);
        let (proxy, options) = through(&bucket, json!({"prefix": "out", "format": "jsonl"}));
        proxy.add(Rule::when(Way::ToServer, b"needle in the hay").then(Act::Corrupt));
        let hay = "x".repeat(1500);
        let batches = [
            of(0..5_000, &hay),
            of(5_000..5_001, "needle in the hay"),
            of(5_001..9_000, &hay),
        ];
        let (tries, _) = run(&options, &batches);
        assert_eq!(proxy.struck(), 1, "{server:?}");
        assert!(tries > 0, "{server:?}");
        let found = read(
            support::source(&bucket, json!({"prefix": "out"}))
                .unwrap()
                .as_ref(),
        );
        assert_eq!(found.len(), 9_000, "{server:?}");
        assert_eq!(
            found[5_000], "{\"id\":5000,\"v\":\"needle in the hay\"}",
            "{server:?}"
        );
    }
}
