//! What targets keep of a run, after somebody or something edited it: what is believed comes back
//! as it was, what is not is refused and left as it is.

use std::fs;
use std::path::{Path, PathBuf};

use dkhost_core::{
    Backend, Checkpoint, Claim, Class, Conflict, Error, Field, LogicalType, Nulls, OpenTarget,
    Options, Partition, Schema, Sink,
};
use dkhost_file::FileBackend;
use dkhost_fuzz::Fuzz;
use dkhost_sqlite::SqliteBackend;
use serde_json::{Value, json};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "\"owner\":",
    "\"commit\":",
    "\"publishing\":",
    "\"version\":",
    "\"epoch\":",
    "\"part\":",
    "\"length\":",
    "\"rows\":",
    "\"tails\":",
    "\"checkpoints\":",
    "\"partition\":",
    "\"seq\":",
    "\"position\":",
    "\"counts\":",
    "\"done\":true",
    "\"evolved\":[[\"a\",\"int64\"]]",
    "\n",
    "-1",
    "0",
    "2",
    "18446744073709551615",
    "true",
    "{\"publishing\":true}\n",
    "\"shape\":",
    "\"replaces\":true",
    "\"fresh\":true",
    "\"published\":true",
    "\"read\":",
];

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let mut checkpoint =
        Checkpoint::start("job", "0198c0de-0000-7000-8000-000000000000", 3, "ab12", 1);
    checkpoint.evolved.push(("a".into(), "int64".into()));
    checkpoint.stages.push(Default::default());
    let seed = serde_json::to_string(&checkpoint).unwrap();
    Fuzz::target("checkpoint")
        .words(WORDS)
        .seed(seed)
        .rounds(3_000)
        .run(|input| {
            let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(input) else {
                return "refused".to_owned();
            };
            let stored = serde_json::to_string(&checkpoint).unwrap();
            let again: Checkpoint = serde_json::from_str(&stored).unwrap();
            assert_eq!(checkpoint, again);
            format!(
                "{} {} {:?}",
                checkpoint.evolved.len(),
                checkpoint.stages.len(),
                checkpoint.done
            )
        });
}

fn open(backend: &dyn Backend, folder: &Path, options: &Value) -> Result<Box<dyn Sink>, Error> {
    let open = OpenTarget {
        base: folder.to_owned(),
        job: "job".into(),
        schema: Schema::new(vec![
            Field::new("n", LogicalType::Int64),
            Field::new("t", LogicalType::Utf8),
        ]),
        conflict: Conflict::Insert,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    backend.open_target(Options::from_json("[target]", options).unwrap(), &open)
}

fn claim() -> Claim {
    Claim {
        job: "job".into(),
        run: "r1".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    }
}

fn partition(index: u32) -> Partition {
    Partition {
        index,
        label: "p".into(),
        slice: Value::Null,
    }
}

/// A target with a run under way: one commit, not published.
fn under_way(backend: &dyn Backend, folder: &Path, options: &Value) {
    let sink = open(backend, folder, options).unwrap();
    let epoch = sink.claim(&claim()).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    let mut checkpoint = Checkpoint::start("job", "r1", epoch, "h", 0);
    checkpoint.seq = 1;
    writer.commit(&checkpoint).unwrap();
    writer.flush().unwrap();
}

fn well_said(error: &Error) -> String {
    assert_ne!(error.class(), Class::Bug, "{}", error.chain());
    error.code().to_owned()
}

/// Takes the target over as a resume does, as far as it lets us.
fn take_over(backend: &dyn Backend, folder: &Path, options: &Value) -> Result<String, String> {
    let sink = open(backend, folder, options).map_err(|error| well_said(&error))?;
    let found = sink.inspect("job").map_err(|error| well_said(&error))?;
    let claimed = sink.claim(&claim()).map_err(|error| well_said(&error))?;
    let mut shown = format!("{} checkpoints", claimed.checkpoints.len());
    if let Some(found) = found.filter(|found| found.run == "r1") {
        assert!(claimed.epoch > found.epoch, "an epoch that does not rise");
        assert_eq!(
            claimed.checkpoints, found.checkpoints,
            "claimed what was not found"
        );
        shown.push_str(if found.published {
            " published"
        } else {
            " resumed"
        });
    }
    for checkpoint in claimed.checkpoints.iter().take(4) {
        match sink.writer(&partition(checkpoint.partition)) {
            Ok(writer) => assert_eq!(writer.checkpoint(), Some(checkpoint)),
            Err(error) => shown.push_str(&well_said(&error)),
        }
    }
    sink.count().map_err(|error| well_said(&error))?;
    Ok(shown)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The file of a target in progress that holds its checkpoints.
fn log_of(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .into_iter()
        .find(|path| fs::read(path).unwrap().starts_with(b"{\"owner\""))
        .expect("a log beside the target")
}

#[test]
fn a_file_targets_log_is_believed_or_left_alone() {
    let options = json!({ "path": "out.jsonl" });
    let kept = tempfile::tempdir().unwrap();
    under_way(&FileBackend, kept.path(), &options);
    let log = log_of(kept.path());
    let seed = fs::read(&log).unwrap();
    Fuzz::target("file-log")
        .words(WORDS)
        .seed(seed)
        .rounds(600)
        .run(|input| {
            let folder = tempfile::tempdir().unwrap();
            copy(kept.path(), folder.path());
            let log = folder.path().join(log.file_name().unwrap());
            fs::write(&log, input).unwrap();
            take_over(&FileBackend, folder.path(), &options).unwrap_or_else(|code| {
                if code.starts_with("state::") {
                    assert_eq!(fs::read(&log).unwrap(), input, "a refused log was changed");
                }
                code
            })
        });
}

#[test]
fn a_checkpoint_row_in_sqlite_is_believed_or_left_alone() {
    let options = json!({ "path": "out.db", "table": "t" });
    let kept = tempfile::tempdir().unwrap();
    under_way(&SqliteBackend, kept.path(), &options);
    let rows = |folder: &Path| -> Vec<(i64, String)> {
        let db = rusqlite::Connection::open(folder.join("out.db")).unwrap();
        let mut statement = db
            .prepare("select partition, body from dkhost_checkpoint order by partition")
            .unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    let genuine = rows(kept.path());
    assert_eq!(genuine.len(), 2, "a claim and a checkpoint");
    let fuzz = genuine.iter().fold(
        Fuzz::target("sqlite-checkpoint"),
        |fuzz, (partition, body)| {
            fuzz.seed(format!("{}{body}", (b'0' + (*partition + 1) as u8) as char))
        },
    );
    fuzz.words(WORDS).rounds(400).run(|input| {
        let (which, body) = crate::reading::variant(input, 2);
        let Ok(body) = std::str::from_utf8(body) else {
            return "not UTF-8".to_owned();
        };
        let folder = tempfile::tempdir().unwrap();
        copy(kept.path(), folder.path());
        let db = rusqlite::Connection::open(folder.path().join("out.db")).unwrap();
        db.execute_batch("pragma synchronous = off").unwrap();
        db.execute(
            "update dkhost_checkpoint set body = ?1 where partition = ?2",
            (body, which as i64 - 1),
        )
        .unwrap();
        drop(db);
        let before = rows(folder.path());
        take_over(&SqliteBackend, folder.path(), &options).unwrap_or_else(|code| {
            if code.starts_with("state::") {
                assert_eq!(
                    rows(folder.path()),
                    before,
                    "a refused checkpoint was changed"
                );
            }
            code
        })
    });
}
