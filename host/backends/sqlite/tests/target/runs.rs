//! Claims, checkpoints and other runs on the same database.

use serde_json::json;

use super::load;
use crate::support::{Folder, Run, batch, rows, schema};
use dkhost_core::{Class, Conflict};

#[test]
fn rows_an_abandoned_run_left_make_the_target_somebody_elses() {
    let folder = Folder::empty();
    let schema = schema(&["n int64"]);
    let open = || {
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap()
    };
    let mut first = Run::start(open(), 1);
    first.write(&rows(&schema, &[&[Some("1")]]));
    first.commit();
    drop(first);
    let same = Run::start(open(), 1);
    assert!(same.sink.plan().fresh && same.checkpoint.seq == 1);
    drop(same);
    let sink = open();
    assert!(sink.plan().fresh, "it may be the run that goes on");
    let other = Run::start(sink, 2);
    assert!(!other.sink.plan().fresh && other.checkpoint.seq == 0);
    assert_eq!(other.sink.count().unwrap(), 1);
}

#[test]
fn a_target_that_changed_since_the_plan_is_not_written_to() {
    let folder = Folder::empty();
    let sink = folder
        .sink(
            json!({"table": "t"}),
            &schema(&["n int64"]),
            Conflict::Insert,
        )
        .unwrap();
    folder
        .db()
        .execute_batch("CREATE TABLE t (n TEXT)")
        .unwrap();
    let claim = dkhost_core::Claim {
        job: "job".into(),
        run: "r".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    assert_eq!(sink.claim(&claim).unwrap_err().code(), "target::changed");
    assert_eq!(folder.dump("SELECT name FROM sqlite_schema"), ["'t'"]);
}

#[test]
fn a_claim_leaves_older_processes_behind() {
    let folder = Folder::empty();
    let schema = schema(&["n int64"]);
    let open = || {
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap()
    };
    let mut paused = Run::start(open(), 1);
    let taker = Run::start(open(), 1);
    assert!(taker.checkpoint.epoch > paused.checkpoint.epoch);
    let error = paused
        .writer
        .write(&batch(rows(&schema, &[&[Some("1")]])))
        .unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::fenced", Class::Locked)
    );
    assert_eq!(
        paused.writer.commit(&paused.checkpoint).unwrap_err().code(),
        "run::fenced"
    );
    assert_eq!(paused.sink.publish().unwrap_err().code(), "run::fenced");
    taker.finish();
    assert_eq!(
        paused.writer.commit(&paused.checkpoint).unwrap_err().code(),
        "run::fenced"
    );
}

#[test]
fn two_jobs_share_a_database() {
    let folder = Folder::empty();
    let schema = schema(&["n int64"]);
    let mut one = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    );
    one.write(&rows(&schema, &[&[Some("1")]]));
    one.commit();
    let other = dkhost_core::Claim {
        job: "other".into(),
        run: "o".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    let sink = folder
        .sink(json!({"table": "u"}), &schema, Conflict::Insert)
        .unwrap();
    sink.claim(&other).unwrap();
    one.write(&rows(&schema, &[&[Some("2")]]));
    one.commit();
    one.finish();
    assert!(
        folder
            .dump("SELECT job FROM dkhost_checkpoint")
            .iter()
            .all(|job| job == "'other'")
    );
    assert_eq!(folder.dump("SELECT n FROM t"), ["1", "2"]);
}

#[test]
fn a_checkpoint_nobody_understands_is_refused() {
    let folder = Folder::empty();
    let schema = schema(&["n int64"]);
    drop(Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    ));
    for (body, code) in [
        ("{\"version\": 99}", "state::newer"),
        ("{\"version\": 1}", "state::corrupt"),
        ("nonsense", "state::corrupt"),
    ] {
        folder
            .db()
            .execute("UPDATE dkhost_checkpoint SET body = ?1", [body])
            .unwrap();
        let error = folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .err()
            .unwrap();
        assert_eq!((error.code(), error.class()), (code, Class::State));
    }
}

#[test]
fn the_journal_is_left_as_it_was_found() {
    for mode in ["delete", "wal"] {
        let folder = Folder::with(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (n INTEGER)"
        ));
        load(
            &folder,
            &schema(&["n int64"]),
            Conflict::Insert,
            1,
            &[&[Some("1")]],
        );
        assert_eq!(folder.dump("PRAGMA journal_mode"), [format!("'{mode}'")]);
        assert_eq!(folder.dump("SELECT name FROM sqlite_schema"), ["'t'"]);
    }
}
