//! Which version of a schema the records under a prefix are said to be of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use dkhost_core::{
    Backend, Conflict, Constraint, ConstraintRule, LogicalType, Options, Reshape, Result, Sink,
    Stamp,
};
use dkhost_drive::{Run, read, rows, schema};
use dkhost_s3::S3Backend;
use serde_json::{Value, json};
use support::{BOTH, Bucket, Server, bucket, options, source, target_as};

const FIELDS: &[&str] = &["!id int64"];

fn to(version: &str) -> Option<Reshape> {
    Some(Reshape {
        schema: "user".into(),
        version: version.into(),
        ..Reshape::default()
    })
}

fn open(bucket: &Bucket, fields: &[&str], reshape: Option<Reshape>) -> Box<dyn Sink> {
    let more = json!({"prefix": "out", "format": "parquet"});
    target_as(bucket, more, &schema(fields), Conflict::ReplaceAll, reshape).unwrap()
}

/// A run of one record, up to its end or only to where it is published.
fn written(bucket: &Bucket, run: u32, reshape: Option<Reshape>) -> Run {
    let mut run = Run::start(open(bucket, FIELDS, reshape), run);
    run.write(&rows(&schema(FIELDS), &[&[Some("1")]]));
    run.commit();
    run.writer.flush().unwrap();
    run
}

fn stamp(bucket: &Bucket, more: Value) -> Result<Option<Stamp>> {
    let options = Options::from_json("[target]", &options(bucket, more)).unwrap();
    S3Backend.stamp(options, "".as_ref())
}

/// `user 1.0.0 of run 1`, or nothing.
fn says(bucket: &Bucket) -> String {
    let stamp = stamp(bucket, json!({"prefix": "out", "format": "parquet"})).unwrap();
    stamp.map_or(String::new(), |stamp| {
        format!("{} {} of {}", stamp.schema, stamp.version, stamp.run)
    })
}

#[test]
fn a_manifest_says_the_version_and_the_next_run_takes_it_back() {
    for server in BOTH {
        let bucket = bucket(server);
        assert_eq!(says(&bucket), "", "{server:?}: nothing is there");
        written(&bucket, 1, to("1.0.0")).finish();
        assert_eq!(says(&bucket), "user 1.0.0 of run 1");
        let run = written(&bucket, 2, to("2.0.0"));
        assert_eq!(
            says(&bucket),
            "user 1.0.0 of run 1",
            "until it is published"
        );
        run.finish();
        assert_eq!(says(&bucket), "user 2.0.0 of run 2");
        written(&bucket, 3, None).finish();
        assert_eq!(says(&bucket), "", "{server:?}");
    }
}

#[test]
fn parts_that_somebody_replaced_have_no_version() {
    let bucket = bucket(Server::Minio);
    written(&bucket, 1, to("1.0.0")).finish();
    let part = bucket.keys("out/run 1/part").remove(0);
    bucket.put(&part, b"theirs");
    let error = stamp(&bucket, json!({"prefix": "out", "format": "parquet"})).unwrap_err();
    assert_eq!(error.code(), "s3::bad_manifest");
    assert!(error.to_string().contains(&part), "{error}");
}

#[test]
fn a_published_run_is_ended_by_a_plan_of_the_new_columns() {
    let bucket = bucket(Server::Versity);
    let run = written(&bucket, 1, to("1.0.0"));
    run.sink.publish().unwrap();
    let epoch = run.checkpoint.epoch;
    drop(run);
    let sink = open(&bucket, &["!id int64", "new utf8"], to("1.0.0"));
    assert!(sink.inspect("job").unwrap().unwrap().published);
    Run::over(sink, 1, epoch).finish();
    assert_eq!(says(&bucket), "user 1.0.0 of run 1");
    let found = read(source(&bucket, json!({"prefix": "out"})).unwrap().as_ref());
    assert_eq!(found, ["{\"id\":1}"]);
    assert_eq!(bucket.keys("out/.dkhost"), Vec::<String>::new());
}

#[test]
fn records_of_their_own_say_their_own_versions() {
    let bucket = bucket(Server::Minio);
    bucket.put("out/1.json", b"{\"id\":1}");
    let more = json!({"prefix": "out", "object": "record"});
    assert_eq!(stamp(&bucket, more).unwrap(), None);
    let more = json!({"prefix": "out", "layout": "dataknobs"});
    assert_eq!(stamp(&bucket, more).unwrap(), None);
}

#[test]
fn the_plan_says_where_the_version_will_stand_and_that_objects_check_nothing() {
    let bucket = bucket(Server::Minio);
    let mut reshape = to("2.0.0");
    let sink = open(&bucket, FIELDS, reshape.clone());
    let label = format!("s3://{}/out", bucket.name);
    assert_eq!(
        sink.plan().effects.last().unwrap(),
        &format!("says in the manifest under {label} that its records are of user@2.0.0")
    );
    let said = "objects check nothing: what user@2.0.0 asks of their records is checked on the way";
    assert!(!sink.plan().notes.iter().any(|note| note == said));
    reshape.as_mut().unwrap().constraints.push(Constraint {
        name: "user_id_unique".into(),
        column: "id".into(),
        logical: LogicalType::Int64,
        rule: ConstraintRule::Unique,
    });
    let sink = open(&bucket, FIELDS, reshape);
    assert_eq!(sink.plan().notes.last().unwrap(), said);
}
