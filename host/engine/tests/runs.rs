//! Jobs over the memory backend: what is written, counted, kept aside and taken up again.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::atomic::Ordering;

use dkhost_core::Class;
use dkhost_core::memory::Store;
use dkhost_engine::history::LetterFilter;
use support::*;

/// Three records to a batch: seven records make three batches.
const SMALL: &str =
    "[run]\nbatch = { rows = 3 }\nverify = \"full\"\nretry = { initial = \"1ms\" }\n";

#[test]
fn a_job_moves_every_record_and_its_counts_add_up() {
    let world = World::new();
    let toml = job(
        "moves",
        &numbered(7),
        &format!(
            "{SMALL}[[steps]]\nfilter = \"id <> 3\"\n[[steps]]\nset = {{ twice = \"id * 2\" }}"
        ),
    );
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let counts = ended.report.counts;
    assert_eq!((counts.read, counts.written, counts.filtered), (7, 6, 1));
    assert_eq!(ended.report.exit_code, 0);
    assert_eq!(
        ended.report.verified.as_deref(),
        Some("6 rows held, every field read back equal")
    );
    assert_eq!(rows("moves")[3], r#"{"id":4,"name":"n4","twice":8}"#);
    assert_eq!(ended.report.stages[0].rows_in, 7);
    assert_eq!(ended.report.stages[1].rows_out, 6);
}

#[test]
fn the_first_refused_record_stops_the_run_and_its_batch_is_not_written() {
    let world = World::new();
    let step = "[[steps]]\nset = { inverse = \"12 / (id - 4)\" }";
    let ended = world
        .run(&job("stops", &numbered(7), &format!("{SMALL}{step}")))
        .unwrap();
    let error = ended.error.unwrap();
    assert_eq!(
        (error.code(), ended.report.exit_code),
        ("run::refused_record", 4)
    );
    assert_eq!(
        ended.report.counts.read, 3,
        "one batch was committed before"
    );
    assert_eq!(rows("stops").len(), 3);

    // The policy is not part of the plan: with another one the run goes on where it stopped.
    let ended = world
        .run(&job(
            "stops",
            &numbered(7),
            &format!("{SMALL}on_error = \"dead-letter\"\n{step}"),
        ))
        .unwrap();
    assert!(ended.error.is_none() && ended.report.resumed);
    let counts = ended.report.counts;
    assert_eq!(
        (
            counts.read,
            counts.written,
            counts.dead_lettered,
            ended.report.exit_code
        ),
        (7, 6, 1, 3)
    );
    let letters = world
        .history()
        .letters(LetterFilter {
            limit: 10,
            ..LetterFilter::default()
        })
        .unwrap();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0].letter;
    assert_eq!(
        (letter.stage.as_str(), letter.batch, letter.row),
        ("1:set", 1, 1)
    );
    assert!(String::from_utf8_lossy(&letter.payload).contains("\"n4\""));
}

#[test]
fn a_run_that_fails_at_any_commit_is_taken_up_again_to_the_same_result() {
    let undisturbed = World::new();
    undisturbed
        .run(&job("undisturbed", &numbered(20), SMALL))
        .unwrap();
    let wanted = rows("undisturbed");
    for fault in 1.. {
        for kind in ["writes", "commits", "lost_replies", "publishes"] {
            let world = World::new();
            let table = format!("fails-{kind}-{fault}");
            let counter = match kind {
                "writes" => &world.faults.writes,
                "commits" => &world.faults.commits,
                "lost_replies" => &world.faults.lost_replies,
                _ => &world.faults.publishes,
            };
            counter.store(fault, Ordering::SeqCst);
            let toml = job(&table, &numbered(20), SMALL);
            let first = world.run(&toml).unwrap();
            if let Some(error) = &first.error {
                assert_eq!((error.code(), first.report.exit_code), ("test::fault", 5));
                let second = world.run(&toml).unwrap();
                assert!(second.error.is_none(), "{kind} {fault}: {:?}", second.error);
                assert_eq!(second.report.counts.written, 20, "{kind} {fault}");
                assert_eq!(second.report.run, first.report.run);
            } else if kind == "commits" {
                assert!(fault > 7, "the loop ends only when a run was not touched");
                return;
            }
            assert_eq!(rows(&table), wanted, "{kind} {fault}");
        }
    }
}

#[test]
fn trouble_that_may_pass_is_tried_again_within_the_run() {
    let world = World::new();
    *world.faults.class.lock().unwrap() = Some(Class::Transient);
    world.faults.lost_replies.store(2, Ordering::SeqCst);
    world.faults.writes.store(4, Ordering::SeqCst);
    let ended = world.run(&job("passes", &numbered(20), SMALL)).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(
        (ended.report.counts.written, rows("passes").len()),
        (20, 20)
    );
}

#[test]
fn a_column_that_cannot_be_added_now_is_added_at_the_next_try() {
    let world = World::new();
    *world.faults.class.lock().unwrap() = Some(Class::Transient);
    world.faults.columns.store(1, Ordering::SeqCst);
    let records = r#"[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4, "late": "x"}]"#;
    let toml = job(
        "evolves",
        records,
        &format!("{SMALL}schema_drift = \"evolve\""),
    )
    .replace("[target]", "infer = 2\n[target]\ndocuments = false");
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert!(world.faults.columns.load(Ordering::SeqCst) < 0);
    assert_eq!(rows("evolves")[3], r#"{"id":4,"late":"x"}"#);
}

#[test]
fn a_history_that_cannot_be_told_does_not_hide_why_the_run_ended() {
    let world = World::new();
    world.faults.commits.store(1, Ordering::SeqCst);
    let plan = world.plan(&job("untold", &numbered(3), SMALL)).unwrap();
    let other = world.history();
    // While this process works, another one takes the run over.
    let taken = |progress: std::sync::Arc<dkhost_engine::run::Progress>| {
        let (run, hash) = (&progress.run, "other");
        other.take_over(run, 9, hash, None, "taken over").unwrap();
    };
    let options = dkhost_engine::RunOptions {
        on_start: &|progress| taken(progress),
        ..world.options("run")
    };
    let ended = dkhost_engine::run::run(&plan, &world.history(), &options).unwrap();
    let error = ended.error.unwrap();
    assert_eq!(error.code(), "test::fault");
    let help = error.help_text().unwrap();
    assert!(help.contains("[run::fenced]"), "{help}");
    assert_eq!(ended.report.error.unwrap().code, "test::fault");
    let record = other.run(&ended.report.run).unwrap();
    assert_eq!((record.status.word(), record.epoch), ("running", 9));
}

#[test]
fn a_target_that_loses_a_row_is_found_out() {
    for (verify, code) in [("count", "verify::count"), ("checksum", "verify::count")] {
        let world = World::new();
        world.faults.loses_a_row.store(true, Ordering::SeqCst);
        let toml = job(
            &format!("loses-{verify}"),
            &numbered(5),
            &format!("[run]\nverify = \"{verify}\""),
        );
        let ended = world.run(&toml).unwrap();
        assert_eq!(
            (ended.error.unwrap().code(), ended.report.exit_code),
            (code, 4)
        );
    }
}

#[test]
fn a_changed_job_is_not_spliced_into_an_interrupted_run() {
    let mut world = World::new();
    world.faults.commits.store(3, Ordering::SeqCst);
    world.run(&job("changed", &numbered(9), SMALL)).unwrap();
    let changed = job(
        "changed",
        &numbered(9),
        &format!("{SMALL}[[steps]]\nset = {{ name = \"upper(name)\" }}"),
    );
    let error = world.run(&changed).map(|_| ()).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::plan_changed", Class::Config)
    );
    world.accept_plan_change = true;
    assert!(world.run(&changed).unwrap().error.is_none());
    assert_eq!(rows("changed").len(), 9);
    assert!(rows("changed")[8].contains("N8") && rows("changed")[0].contains("n0"));
    let record = world.history().find(Some("changed")).unwrap();
    assert!(
        record
            .remarks
            .iter()
            .any(|(_, text)| text.contains("changed plan"))
    );
}

#[test]
fn a_lost_history_goes_on_from_the_targets_checkpoint() {
    let world = World::new();
    world.faults.commits.store(3, Ordering::SeqCst);
    let toml = job("forgotten", &numbered(9), SMALL);
    let first = world.run(&toml).unwrap();
    std::fs::remove_file(world.folder.path().join(".dkhost/state.db")).unwrap();
    let _ = std::fs::remove_file(world.folder.path().join(".dkhost/state.db-wal"));
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none() && ended.report.resumed);
    assert_eq!(ended.report.run, first.report.run);
    assert_eq!(rows("forgotten").len(), 9);
}

#[test]
fn a_history_ahead_of_its_target_is_refused() {
    let world = World::new();
    world.faults.commits.store(3, Ordering::SeqCst);
    world.run(&job("ahead", &numbered(9), SMALL)).unwrap();
    // The same history, and a target that knows nothing: restored from an older backup, say.
    let elsewhere = job("ahead", &numbered(9), SMALL).replace(
        "name = \"ahead\"\n[run]",
        "name = \"ahead-elsewhere\"\n[run]",
    );
    let mut world = world;
    world.accept_plan_change = true;
    let error = world.run(&elsewhere).map(|_| ()).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("state::target_behind", Class::State)
    );
    assert!(
        Store::open("ahead-elsewhere")
            .rows()
            .unwrap()
            .is_none_or(|rows| rows.num_rows() == 0)
    );
}

#[test]
fn a_signal_finishes_the_batch_and_leaves_a_resumable_run() {
    let world = World::new();
    world.stop.store(15, Ordering::SeqCst);
    let toml = job("signal", &numbered(9), SMALL);
    let ended = world.run(&toml).unwrap();
    assert_eq!(
        (ended.report.exit_code, ended.report.status),
        (143, "stopped")
    );
    world.stop.store(0, Ordering::SeqCst);
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none());
    assert_eq!(rows("signal").len(), 9);
}

#[test]
fn two_runs_of_one_job_at_once_are_refused_by_name() {
    let world = World::new();
    let lock = dkhost_engine::history::JobLock::take(&world.history(), "twice").unwrap();
    let error = world
        .run(&job("twice", &numbered(3), ""))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::locked", Class::Locked)
    );
    assert!(error.to_string().contains("`twice`"));
    drop(lock);
    assert!(
        world
            .run(&job("twice", &numbered(3), ""))
            .unwrap()
            .error
            .is_none()
    );
}

#[test]
fn too_many_refused_records_stop_the_run_before_they_are_committed() {
    let world = World::new();
    let step = "[[steps]]\nset = { inverse = \"12 / (id % 2)\" }";
    let few = format!("{SMALL}on_error = {{ dead_letter = {{ max = 2 }} }}\n{step}");
    let ended = world.run(&job("many", &numbered(12), &few)).unwrap();
    assert_eq!(
        (ended.error.unwrap().code(), ended.report.exit_code),
        ("run::too_many_refused", 4)
    );
    assert!(ended.report.counts.dead_lettered <= 2);

    let all = "[run]\non_error = \"skip\"\n[[steps]]\nset = { inverse = \"12 / (id - id)\" }";
    let ended = world.run(&job("all-bad", &numbered(150), all)).unwrap();
    assert_eq!(ended.error.unwrap().code(), "run::all_refused");
    assert!(rows("all-bad").is_empty());

    // Also when later records of the same batch are fine.
    let late = "[run]\non_error = \"skip\"\n[[steps]]\nset = { inverse = \"12 / (id / 100)\" }";
    let ended = world.run(&job("late-good", &numbered(150), late)).unwrap();
    assert_eq!(ended.error.unwrap().code(), "run::all_refused");
    let late = late.replace("/ 100)", "/ 99)");
    let ended = world
        .run(&job("good-in-time", &numbered(150), &late))
        .unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
}

#[test]
fn dead_letters_are_brought_in_by_a_retry() {
    let world = World::new();
    let job_with = |step: &str| {
        job(
            "letters",
            &numbered(7),
            &format!("{SMALL}on_error = \"dead-letter\"\n[[steps]]\nset = {{ x = \"{step}\" }}"),
        )
    };
    let ended = world.run(&job_with("12 / (id - 4)")).unwrap();
    assert_eq!(ended.report.exit_code, 3);
    let mended = world.job(&job_with("12 / (id + 1)")).unwrap();
    let history = world.history();
    let options = world.options("retry");
    let retried =
        dkhost_engine::dead_letters::retry(mended, &world.registry(), &history, None, &options)
            .unwrap()
            .unwrap();
    assert!(retried.error.is_none(), "{:?}", retried.error);
    assert_eq!(
        (retried.report.counts.read, retried.report.counts.written),
        (1, 1)
    );
    assert_eq!(rows("letters").len(), 7);
    let open = history
        .letters(LetterFilter {
            unresolved: true,
            limit: 9,
            ..LetterFilter::default()
        })
        .unwrap();
    assert!(open.is_empty());
    let again = world.job(&job_with("12 / (id + 1)")).unwrap();
    assert!(
        dkhost_engine::dead_letters::retry(again, &world.registry(), &history, None, &options)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_retry_reads_its_letters_in_pages_and_those_refused_again_stay_open() {
    let world = World::new();
    let job_with = |step: &str| {
        let run = "[run]\nbatch = { rows = 2 }\non_error = \"dead-letter\"";
        let step = format!("{run}\n[[steps]]\nset = {{ x = \"{step}\" }}");
        job("pages", &numbered(7), &step)
    };
    assert_eq!(
        world
            .run(&job_with("12 / (id % 2)"))
            .unwrap()
            .report
            .exit_code,
        3
    );
    let history = world.history();
    let retry = |step: &str| {
        let mended = world.job(&job_with(step)).unwrap();
        let options = world.options("retry");
        let ended =
            dkhost_engine::dead_letters::retry(mended, &world.registry(), &history, None, &options);
        ended.unwrap().unwrap().report
    };
    let counts = retry("12 / (id - 4)").counts;
    assert_eq!(
        (counts.read, counts.written, counts.dead_lettered),
        (4, 3, 1)
    );
    let open = history
        .letters(LetterFilter {
            unresolved: true,
            limit: 9,
            ..LetterFilter::default()
        })
        .unwrap();
    let attempts: Vec<_> = open
        .iter()
        .map(|one| (one.letter.attempts, one.letter.repeats))
        .collect();
    assert_eq!(attempts, [(1, None), (2, Some(open[0].number))]);
    let counts = retry("12").counts;
    assert_eq!((counts.read, counts.written), (1, 1));
    assert_eq!(rows("pages").len(), 7);
    let run = history.runs(None, 9).unwrap().pop().unwrap();
    assert_eq!(history.count_letters(&run.id).unwrap(), (4, 0));
}

#[test]
fn a_limit_reads_no_more_than_asked() {
    let world = World::new();
    let toml = job("limited", &numbered(20), SMALL).replace("[target]", "limit = 4\n[target]");
    let ended = world.run(&toml).unwrap();
    assert_eq!((ended.report.counts.read, rows("limited").len()), (4, 4));
}

#[test]
fn now_is_the_start_of_the_run_also_when_it_is_resumed() {
    let world = World::new();
    world.faults.commits.store(3, Ordering::SeqCst);
    let step = "[[steps]]\nset = { at = \"cast(now() as text)\" }";
    let toml = job("clock", &numbered(9), &format!("{SMALL}{step}"));
    world.run(&toml).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(world.run(&toml).unwrap().error.is_none());
    let times: std::collections::BTreeSet<String> = rows("clock")
        .iter()
        .map(|row| row.split("\"at\":").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!((rows("clock").len(), times.len()), (9, 1), "{times:?}");
}

#[test]
fn a_run_that_is_given_up_for_a_new_one_is_abandoned() {
    let mut world = World::new();
    world.faults.commits.store(3, Ordering::SeqCst);
    let toml = job(
        "anew",
        &numbered(9),
        &format!("on_conflict = \"replace-all\"\n{SMALL}"),
    );
    let first = world.run(&toml).unwrap();
    world.fresh = true;
    let second = world.run(&toml).unwrap();
    assert!(second.error.is_none() && second.report.run != first.report.run);
    assert_eq!(rows("anew").len(), 9);
    let old = world.history().run(&first.report.run).unwrap();
    assert_eq!(old.status.word(), "abandoned");
}

#[test]
fn the_history_never_knows_more_than_what_is_durable() {
    let world = World::new();
    world.faults.is_lazy.store(true, Ordering::SeqCst);
    world.faults.flushes.store(1, Ordering::SeqCst);
    let ended = world.run(&job("lazy", &numbered(20), SMALL)).unwrap();
    assert_eq!(ended.error.unwrap().code(), "test::fault");
    let record = world.history().find(Some("lazy")).unwrap();
    let copied: Vec<u64> = record
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.seq)
        .collect();
    assert_eq!(
        copied,
        [1],
        "seven batches were committed, and one was durable"
    );
}

#[test]
fn a_lost_history_is_not_made_up_for_with_other_slices() {
    let world = World::new();
    world.faults.commits.store(5, Ordering::SeqCst);
    let toml =
        job("other-slices", &numbered(9), SMALL).replace("[target]", "partitions = 3\n[target]");
    world.run(&toml).unwrap();
    std::fs::remove_dir_all(world.folder.path().join(".dkhost")).unwrap();
    let error = world
        .run(&toml.replace("partitions = 3", "partitions = 2"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), "source::changed");
    assert!(world.run(&toml).unwrap().error.is_none());
    assert_eq!(rows("other-slices").len(), 9);
}

#[test]
fn a_batch_that_is_tried_again_counts_once_against_the_limits() {
    let world = World::new();
    *world.faults.class.lock().unwrap() = Some(Class::Transient);
    world.faults.commits.store(2, Ordering::SeqCst);
    let step = "[[steps]]\nset = { inverse = \"12 / (id % 3)\" }";
    let toml = format!("{SMALL}on_error = {{ dead_letter = {{ max = 4 }} }}\n{step}");
    let ended = world
        .run(&job("counts-once", &numbered(12), &toml))
        .unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(ended.report.counts.dead_lettered, 4);
}

#[test]
fn a_run_that_was_too_bad_shows_why() {
    let world = World::new();
    let toml = "[run]\non_error = { dead_letter = { max = 1 } }\n[[steps]]\nset = { inverse = \"12 / (id % 3)\" }";
    let ended = world.run(&job("too-bad", &numbered(12), toml)).unwrap();
    assert_eq!(ended.error.unwrap().code(), "run::too_many_refused");
    let (letters, _) = world.history().count_letters(&ended.report.run).unwrap();
    assert_eq!(letters, 4);
}

#[test]
fn a_filter_may_look_at_columns_that_do_not_go_on() {
    let world = World::new();
    let toml = job("narrow", &numbered(5), SMALL).replace(
        "[target]",
        "columns = [\"name\"]\nfilter = \"id > 2\"\n[target]",
    );
    assert!(world.run(&toml).unwrap().error.is_none());
    assert_eq!(rows("narrow"), [r#"{"name":"n3"}"#, r#"{"name":"n4"}"#]);
}

#[test]
fn an_empty_store_of_documents_is_a_valid_source() {
    let world = World::new();
    let ended = world.run(&job("empty", "[]", SMALL)).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!((ended.report.counts.read, ended.report.exit_code), (0, 0));
}

#[test]
fn a_writer_that_lost_its_connection_is_replaced_and_no_row_comes_twice() {
    for (kind, nth) in [
        ("write", 1),
        ("write", 2),
        ("commit", 1),
        ("commit", 2),
        ("commit", 4),
    ] {
        let world = World::new();
        let table = format!("lost at {kind} {nth}");
        let counter = match kind {
            "write" => &world.faults.disconnects,
            _ => &world.faults.lost_commits,
        };
        counter.store(nth, Ordering::SeqCst);
        let toml = job(&table, &numbered(8), SMALL).replacen(&table, "lost", 1);
        let ended = world.run(&toml).unwrap();
        assert!(ended.error.is_none(), "{table}: {:?}", ended.error);
        let counts = ended.report.counts;
        assert_eq!(
            (counts.read, counts.written, rows(&table).len()),
            (8, 8, 8),
            "{table}"
        );
        // Three batches and the end; a commit that is lost for good is not asked for again.
        let asked = world.faults.commits_asked.load(Ordering::SeqCst);
        assert_eq!(asked, if kind == "write" { 4 } else { 5 }, "{table}");
    }
}

#[test]
fn an_error_for_good_stays_what_it_is_where_the_connection_went_with_it() {
    let world = World::new();
    world.faults.disconnects.store(2, Ordering::SeqCst);
    let toml = job(
        "went",
        &numbered(8),
        &SMALL.replace("initial = \"1ms\"", "max_retries = 0"),
    );
    let ended = world.run(&toml).unwrap();
    let error = ended.error.unwrap();
    assert_eq!(
        (error.code(), error.class()),
        ("test::gone", Class::Transient)
    );
    assert_eq!(ended.report.counts.read, 3, "the first batch stays");
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none() && ended.report.resumed);
    assert_eq!(rows("went").len(), 8);
}
