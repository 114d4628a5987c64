//! The history as two processes see it, and letters that are tried again and again.

use dkhost_core::{Checkpoint, Class, DeadLetter, Locator, StageKind};

use super::*;

fn history() -> (tempfile::TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("state.db")).unwrap();
    (folder, history)
}

fn begin(history: &History, id: &str, epoch: u64) {
    let run = NewRun {
        id: id.into(),
        job: "job".into(),
        kind: "run",
        plan_hash: "plan".into(),
        fingerprint: serde_json::Value::Null,
        partitions: Vec::new(),
        source: String::new(),
        target: String::new(),
        delivery: String::new(),
        job_path: "job.toml".into(),
        plugins: Vec::new(),
    };
    history.begin(&run, epoch, None).unwrap();
}

fn ended(status: Status, resolves: &[i64]) -> RunEnd {
    RunEnd {
        status,
        exit_code: 0,
        message: None,
        report: serde_json::Value::Null,
        busy_ms: 0,
        cpu_ms: 0,
        resolves: resolves.to_vec(),
    }
}

fn letter(run: &str, row: u32, repeats: Option<i64>) -> DeadLetter {
    DeadLetter {
        job: "job".into(),
        run: run.into(),
        partition: 0,
        batch: 0,
        row,
        source_id: None,
        locator: Locator::of([]),
        kind: StageKind::Step,
        stage: "s".into(),
        column: None,
        code: "c".into(),
        message: "m".into(),
        plugin_digest: None,
        attempts: 1 + u32::from(repeats.is_some()),
        repeats,
        payload: b"{}".to_vec(),
        media: "json".into(),
        payload_length: 2,
        payload_sha256: String::new(),
    }
}

fn open(history: &History, run: Option<&str>) -> Vec<i64> {
    let open = OpenLetters {
        job: "job",
        run,
        except: None,
        limit: 9,
    };
    let letters = history.open_letters(open).unwrap();
    letters.iter().map(|letter| letter.number).collect()
}

fn resolved_by(history: &History, number: i64) -> Option<String> {
    let mut letters = history.letters_numbered(&[number]).unwrap();
    letters.remove(0).resolved_by
}

#[test]
fn a_process_whose_run_was_taken_over_can_neither_end_nor_move_it() {
    let (_folder, history) = history();
    begin(&history, "a", 1);
    history
        .take_over("a", 2, "plan", None, "taken over")
        .unwrap();
    let at = |epoch, seq| Checkpoint {
        seq,
        ..Checkpoint::start("job", "a", epoch, "plan", 0)
    };
    history.copy_checkpoints(&[at(2, 3)]).unwrap();

    let paused = [
        history.copy_checkpoints(&[at(1, 9)]).unwrap_err(),
        history
            .keep_letters(1, &[letter("a", 0, None)])
            .unwrap_err(),
        history
            .end("a", 1, &ended(Status::Failed, &[]))
            .unwrap_err(),
        history
            .take_over("a", 2, "plan", None, "again")
            .unwrap_err(),
    ];
    for error in paused {
        assert_eq!(
            (error.code(), error.class()),
            ("run::fenced", Class::Locked)
        );
    }
    let run = history.run("a").unwrap();
    assert_eq!((run.status, run.epoch), (Status::Running, 2));
    assert_eq!(run.checkpoints[0].seq, 3);
    assert_eq!(history.count_letters("a").unwrap(), (0, 0));
    history.end("a", 2, &ended(Status::Done, &[])).unwrap();
}

#[test]
fn a_run_that_was_given_up_stays_so() {
    let (_folder, history) = history();
    begin(&history, "a", 1);
    begin(&history, "b", 2);
    let error = history
        .end("a", 1, &ended(Status::Stopped, &[]))
        .unwrap_err();
    assert_eq!(error.code(), "run::given_up");
    assert_eq!(history.run("a").unwrap().status, Status::Abandoned);
    assert_eq!(history.unfinished("job").unwrap().unwrap().id, "b");
}

#[test]
fn a_retry_takes_the_open_letters_of_every_run_and_resolves_those_it_brings_in() {
    let (_folder, history) = history();
    begin(&history, "a", 1);
    let letters = [letter("a", 0, None), letter("a", 1, None)];
    history.keep_letters(1, &letters).unwrap();
    history.end("a", 1, &ended(Status::Done, &[])).unwrap();
    begin(&history, "b", 2);
    history.keep_letters(2, &[letter("b", 0, None)]).unwrap();
    history.end("b", 2, &ended(Status::Done, &[])).unwrap();
    assert_eq!(open(&history, None), [1, 2, 3]);
    assert_eq!(open(&history, Some("b")), [3]);

    // Letter 2 is refused again, as 4.
    begin(&history, "c", 3);
    history.keep_letters(3, &[letter("c", 1, Some(2))]).unwrap();
    history
        .end("c", 3, &ended(Status::Done, &[1, 2, 3]))
        .unwrap();
    assert_eq!(resolved_by(&history, 1).as_deref(), Some("c"));
    assert_eq!(resolved_by(&history, 2), None);
    assert_eq!(open(&history, None), [4]);
    assert_eq!(
        history.letters_numbered(&[4]).unwrap()[0].letter.attempts,
        2
    );

    // When it gets in, so has the one it repeats.
    begin(&history, "d", 4);
    history.end("d", 4, &ended(Status::Done, &[4])).unwrap();
    assert_eq!(resolved_by(&history, 2).as_deref(), Some("d"));
    assert_eq!(resolved_by(&history, 4).as_deref(), Some("d"));
    assert!(open(&history, None).is_empty());
}

#[test]
fn a_history_that_is_closed_leaves_no_log_behind() {
    let (folder, history) = history();
    begin(&history, "a", 1);
    assert!(folder.path().join("state.db-wal").exists());
    drop(history);
    assert!(!folder.path().join("state.db-wal").exists());
}
