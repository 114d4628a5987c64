//! The history as two processes see it, and letters that are tried again and again: of one in a file
//! and of one on a server.

mod between;
mod server;

use std::path::Path;

use dkhost_core::{Checkpoint, Class, DeadLetter, Locator, StageKind};

use super::*;

/// Where a test keeps its history.
struct Store {
    place: StateUrl,
    _lives: Box<dyn std::any::Any>,
}

impl Store {
    fn file() -> Store {
        let folder = tempfile::tempdir().unwrap();
        Store {
            place: StateUrl::sqlite(folder.path().join("state.db")),
            _lives: Box::new(folder),
        }
    }

    fn server() -> Store {
        let database = dkhost_servers::postgres();
        Store {
            place: StateUrl::parse(&database.url, Path::new("")).unwrap(),
            _lives: Box::new(database),
        }
    }

    fn open(&self) -> History {
        History::open(&self.place).unwrap()
    }
}

/// The same of a history in a file and of one on a server.
macro_rules! in_both_stores {
    ($($name:ident)*) => {
        mod in_a_file {
            $(#[test] fn $name() { super::$name(&super::Store::file()) })*
        }
        mod on_a_server {
            $(#[test] fn $name() { super::$name(&super::Store::server()) })*
        }
    };
}

mod applications;

in_both_stores! {
    a_process_whose_run_was_taken_over_can_neither_end_nor_move_it
    a_run_that_was_given_up_stays_so
    a_retry_takes_the_open_letters_of_every_run_and_resolves_those_it_brings_in
    the_cursor_moves_when_its_run_is_done_and_not_before
    what_a_run_was_comes_back_as_it_was_written
    letters_come_back_byte_for_byte_and_a_repeat_overwrites_itself
    letters_are_listed_in_pages_and_counted
    runs_are_found_by_id_by_its_beginning_and_by_job
    letters_of_batches_that_are_read_again_are_forgotten
    a_history_is_looked_at_only_where_there_is_one
    two_processes_may_not_run_one_job
}

fn new_run(id: &str) -> NewRun {
    NewRun {
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
        cursor: None,
    }
}

fn begin(history: &History, id: &str, epoch: u64) {
    history.begin(&new_run(id), epoch, None).unwrap();
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

fn a_process_whose_run_was_taken_over_can_neither_end_nor_move_it(store: &Store) {
    let history = store.open();
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

fn a_run_that_was_given_up_stays_so(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    begin(&history, "b", 2);
    let error = history
        .end("a", 1, &ended(Status::Stopped, &[]))
        .unwrap_err();
    assert_eq!(error.code(), "run::given_up");
    assert_eq!(history.run("a").unwrap().status, Status::Abandoned);
    assert_eq!(history.unfinished("job").unwrap().unwrap().id, "b");
}

fn a_retry_takes_the_open_letters_of_every_run_and_resolves_those_it_brings_in(store: &Store) {
    let history = store.open();
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
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&StateUrl::sqlite(folder.path().join("state.db"))).unwrap();
    begin(&history, "a", 1);
    assert!(folder.path().join("state.db-wal").exists());
    drop(history);
    assert!(!folder.path().join("state.db-wal").exists());
}

fn the_cursor_moves_when_its_run_is_done_and_not_before(store: &Store) {
    let history = store.open();
    let window = |from: Option<&str>, until: &str| Window {
        column: "at".into(),
        from: from.map(str::to_owned),
        until: Some(until.into()),
        source: "s".into(),
    };
    let reads = |id: &str, window: &Window| {
        let run = NewRun {
            cursor: Some(window.clone()),
            ..new_run(id)
        };
        history.begin(&run, 1, None).unwrap();
    };
    assert_eq!(history.cursor("job").unwrap(), None);
    let (first, second) = (window(None, "7"), window(Some("7"), "9"));
    reads("1", &first);
    assert_eq!(history.run("1").unwrap().cursor.as_ref(), Some(&first));
    history.end("1", 1, &ended(Status::Failed, &[])).unwrap();
    assert_eq!(history.cursor("job").unwrap(), None);
    history.end("1", 1, &ended(Status::Done, &[])).unwrap();
    assert_eq!(history.cursor("job").unwrap(), Some(first.clone()));
    reads("2", &second);
    history.end("2", 1, &ended(Status::Stopped, &[])).unwrap();
    assert_eq!(history.cursor("job").unwrap(), Some(first));
    history.end("2", 1, &ended(Status::Done, &[])).unwrap();
    assert_eq!(history.cursor("job").unwrap(), Some(second));
    assert_eq!(history.cursor("another").unwrap(), None);
}

fn what_a_run_was_comes_back_as_it_was_written(store: &Store) {
    let history = store.open();
    let run = NewRun {
        partitions: vec![dkhost_core::Partition {
            index: 0,
            label: "ä\u{1F600}".into(),
            slice: serde_json::json!({ "from": [1, null, "\u{0}"] }),
        }],
        fingerprint: serde_json::json!({ "b": 1, "a": [true, 1.5] }),
        plugins: vec![
            ("clean".into(), "clean".into(), "sha256:1".into()),
            ("clean".into(), "clean".into(), "sha256:2".into()),
        ],
        ..new_run("a")
    };
    let base = Base {
        rows: u64::MAX >> 1,
        content: Some(Default::default()),
    };
    history.begin(&run, 3, Some(&base)).unwrap();
    let end = RunEnd {
        exit_code: 143,
        message: Some("stopped; value \u{0} refused".into()),
        report: serde_json::json!({ "read": 5 }),
        busy_ms: 7,
        cpu_ms: 5,
        ..ended(Status::Stopped, &[])
    };
    history.end("a", 3, &end).unwrap();
    history.end("a", 3, &end).unwrap();
    history
        .take_over("a", 4, "other", Some(&base), "taken up again")
        .unwrap();

    let held = store.open().run("a").unwrap();
    assert_eq!((held.epoch, held.status), (4, Status::Running));
    assert_eq!(held.plan_hash, "other");
    assert_eq!(held.partitions, run.partitions);
    assert_eq!(held.fingerprint, run.fingerprint);
    assert_eq!(held.base, Some(base));
    assert_eq!((held.busy_ms, held.cpu_ms), (14, 10));
    assert_eq!((held.exit_code, held.message), (None, None));
    assert_eq!(held.report, Some(end.report));
    assert_eq!(held.finished_at, None);
    assert_eq!(held.plugins, run.plugins[1..]);
    assert_eq!(held.remarks.len(), 1);
    history.end("a", 4, &ended(Status::Done, &[])).unwrap();
    let held = history.run("a").unwrap();
    assert_eq!(
        (held.exit_code, held.finished_at.is_some()),
        (Some(0), true)
    );
}

fn letters_come_back_byte_for_byte_and_a_repeat_overwrites_itself(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    let mut many: Vec<DeadLetter> = (0..100).map(|row| letter("a", row, None)).collect();
    many[7].payload = (0..=255).collect();
    many[7].message = "two\nlines of `ä`, \u{1F600}".into();
    many[7].column = Some("odd \"name\"".into());
    many[7].source_id = Some(String::new());
    history.keep_letters(1, &many).unwrap();
    let mut again = many.clone();
    again[7].code = "other".into();
    // One record twice in one batch: the later word counts.
    again.push(DeadLetter {
        code: "last".into(),
        ..letter("a", 8, None)
    });
    history.keep_letters(1, &again).unwrap();

    let all = history
        .letters(LetterFilter {
            run: Some("a"),
            limit: 1_000,
            ..LetterFilter::default()
        })
        .unwrap();
    assert_eq!(all.len(), 100);
    assert_eq!(all[8].letter.code, "last");
    assert_eq!(
        serde_json::to_value(&all[7].letter).unwrap(),
        serde_json::to_value(&again[7]).unwrap()
    );
    assert_eq!(all[7].letter.payload, again[7].payload);
}

fn letters_are_listed_in_pages_and_counted(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    let many: Vec<DeadLetter> = (0..5).map(|row| letter("a", row, None)).collect();
    history.keep_letters(1, &many).unwrap();
    begin(&history, "b", 2);
    history.keep_letters(2, &[letter("b", 0, None)]).unwrap();
    let numbers: Vec<i64> = open(&history, Some("a"));
    history
        .end("b", 2, &ended(Status::Done, &numbers[..2]))
        .unwrap();

    let page = |after, unresolved, number| {
        let filter = LetterFilter {
            run: Some("a"),
            unresolved,
            number,
            after,
            limit: 2,
        };
        let letters = history.letters(filter).unwrap();
        letters
            .iter()
            .map(|letter| letter.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(0, false, None), numbers[..2]);
    assert_eq!(page(numbers[1], false, None), numbers[2..4]);
    assert_eq!(page(0, true, None), numbers[2..4]);
    assert_eq!(page(0, false, Some(numbers[4])), numbers[4..]);
    assert_eq!(history.count_letters("a").unwrap(), (5, 3));
    let gone = [numbers[0], 4711];
    assert_eq!(history.letters_numbered(&gone).unwrap().len(), 1);
}

fn runs_are_found_by_id_by_its_beginning_and_by_job(store: &Store) {
    let history = store.open();
    assert_eq!(history.find(None).unwrap_err().code(), "history::empty");
    begin(&history, "0190-a", 1);
    begin(&history, "0190-b", 2);
    begin(&history, "0191", 3);
    let found = |name| history.find(name).map(|run| run.id);
    assert_eq!(found(None).unwrap(), "0191");
    assert_eq!(found(Some("job")).unwrap(), "0191");
    assert_eq!(found(Some("0190-b")).unwrap(), "0190-b");
    assert_eq!(found(Some("0191")).unwrap(), "0191");
    assert_eq!(
        found(Some("0190")).unwrap_err().code(),
        "history::ambiguous_run"
    );
    assert_eq!(found(Some("%")).unwrap_err().code(), "history::unknown_run");
    let ids = |job, limit| {
        let runs = history.runs(job, limit).unwrap();
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2), ["0191", "0190-b"]);
    assert_eq!(ids(Some("job"), 9).len(), 3);
    assert!(ids(Some("another"), 9).is_empty());
}

fn letters_of_batches_that_are_read_again_are_forgotten(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    let of_batch = |batch| DeadLetter {
        batch,
        ..letter("a", 0, None)
    };
    let letters: Vec<DeadLetter> = (0..4).map(of_batch).collect();
    history.keep_letters(1, &letters).unwrap();
    history.forget_letters("a", 0, 2).unwrap();
    assert_eq!(history.count_letters("a").unwrap(), (2, 2));
}

fn a_history_is_looked_at_only_where_there_is_one(store: &Store) {
    assert!(History::open_existing(&store.place).unwrap().is_none());
    assert!(History::open_existing(&store.place).unwrap().is_none());
    drop(store.open());
    assert!(History::open_existing(&store.place).unwrap().is_some());
}

fn two_processes_may_not_run_one_job(store: &Store) {
    let (here, there) = (store.open(), store.open());
    let lock = JobLock::take(&here, "job").unwrap();
    let error = JobLock::take(&there, "job").unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::locked", Class::Locked)
    );
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    lock.ensure_held().unwrap();
    let other = JobLock::take(&there, "another job").unwrap();
    drop(lock);
    let again = JobLock::take(&there, "job").unwrap();
    drop((other, again));
}
