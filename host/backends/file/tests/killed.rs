//! A process killed at any moment, by the operating system and not by a polite drop, leaves exactly
//! its durable batches; whoever goes on ends in the bytes of an undisturbed run.
//!
//! The test runs itself again as the process to be killed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::{
    Backend, Batch, Checkpoint, Claim, Conflict, Durable, Field, Locator, LogicalType, Nulls,
    OpenTarget, Options, Partition, Payload, Position, Schema, SourceRows,
};
use dkhost_file::FileBackend;
use serde_json::{Value, json};

const BATCHES: u64 = 60;
const ROWS: u64 = 2000;
const FOLDER: &str = "DKHOST_TEST_KILLED_FOLDER";
const NAME: &str = "DKHOST_TEST_KILLED_NAME";

#[derive(Debug)]
struct Rows;

impl SourceRows for Rows {
    fn len(&self) -> usize {
        ROWS as usize
    }
    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", row.into())])
    }
    fn payload(&self, _row: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "text",
        }
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("n", LogicalType::Int64),
        Field::new("t", LogicalType::Utf8),
    ])
}

fn batch(seq: u64) -> Batch {
    let rows = seq * ROWS..(seq + 1) * ROWS;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.clone().map(|n| n as i64))),
        Arc::new(StringArray::from_iter_values(
            rows.map(|n| format!("{n} {}", "text ".repeat((n % 30) as usize))),
        )),
    ];
    Batch {
        records: RecordBatch::try_new(schema().to_arrow(), columns).unwrap(),
        origin: None,
        source: Arc::new(Rows),
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

/// Goes on wherever the target stands, to the end. Says on the way what it was told is durable.
fn work(folder: &Path, name: &str) {
    let options = Options::from_json("[target]", &json!({ "path": name })).unwrap();
    let open = OpenTarget {
        base: folder.to_owned(),
        job: "job".into(),
        schema: schema(),
        conflict: Conflict::Insert,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    let sink = FileBackend.open_target(options, &open).unwrap();
    let claim = Claim {
        job: "job".into(),
        run: "run".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    let epoch = sink.claim(&claim).unwrap().epoch;
    let partition = Partition {
        index: 0,
        label: "p".into(),
        slice: Value::Null,
    };
    let mut writer = sink.writer(&partition).unwrap();
    let from = writer.checkpoint().map_or(0, |checkpoint| checkpoint.seq);
    let told =
        std::fs::read_to_string(folder.join("durable")).map_or(0, |seq| seq.parse().unwrap());
    assert!(
        from >= told,
        "{told} batches were durable and the target holds {from}"
    );
    for seq in from..BATCHES {
        writer.write(&batch(seq)).unwrap();
        let mut checkpoint = Checkpoint::start("job", "run", epoch, "h", 0);
        checkpoint.seq = seq + 1;
        let mut durable = writer.commit(&checkpoint).unwrap();
        if seq % 5 == 0 {
            writer.flush().unwrap();
            durable = Durable::Now;
        }
        if durable == Durable::Now {
            std::fs::write(folder.join("durable.new"), (seq + 1).to_string()).unwrap();
            std::fs::rename(folder.join("durable.new"), folder.join("durable")).unwrap();
        }
    }
    writer.flush().unwrap();
    sink.publish().unwrap();
    sink.retire().unwrap();
}

#[test]
fn killed_process() {
    // Only as the process to be killed; by itself there is nothing to do.
    if let (Ok(folder), Ok(name)) = (std::env::var(FOLDER), std::env::var(NAME)) {
        work(Path::new(&folder), &name);
    }
}

fn check(name: &str) {
    let clean = tempfile::tempdir().unwrap();
    work(clean.path(), name);
    let place = tempfile::tempdir().unwrap();
    let mut killed = 0;
    // Ever later, so that it ends however slow the machine is.
    for process in 0.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed_process", "--exact", "--quiet", "--nocapture"])
            .env(FOLDER, place.path())
            .env(NAME, name)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(5 + process * 3));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{name}: a process failed");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        let log = place.path().join(format!(".{name}.dkhost-checkpoint"));
        if place.path().join(name).exists() && !log.exists() {
            // Killed after its last step.
            break;
        }
    }
    let bytes = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(
        bytes(place.path()),
        bytes(clean.path()),
        "{name} after {killed} kills"
    );
    assert!(
        killed > 0,
        "{name}: the process was too fast to be killed once"
    );
}

#[test]
fn json_lines() {
    check("x.jsonl");
}

#[test]
fn json_array_gzip() {
    check("x.json.gz");
}

#[test]
fn csv_zstd() {
    check("x.csv.zst");
}

#[test]
fn parquet() {
    check("x.parquet");
}

#[test]
fn arrow() {
    check("x.arrow");
}
