//! A target over a server that misbehaves on command: what becomes of every row, and of the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod journal;

use dkhost_core::{Backend, Class, Conflict, Error, Nulls, OpenTarget, Options, Sink};
use dkhost_drive::{Run, fates, refused, rows, scan, schema, whys};
use dkhost_elasticsearch::ElasticsearchBackend;
use dkhost_fake_elasticsearch::{Fake, Fault};
use serde_json::{Value as Json, json};

fn try_open(fake: &Fake, conflict: Conflict, more: Json) -> Result<Box<dyn Sink>, Error> {
    let mut options = json!({"url": fake.url(), "index": "movies", "request_timeout_ms": 20_000});
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let open = OpenTarget {
        base: Default::default(),
        job: "job".into(),
        schema: schema(&["!id int64", "n int64"]),
        conflict,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    let options = Options::from_json("[target]", &options).unwrap();
    ElasticsearchBackend.open_target(options, &open)
}

fn open(fake: &Fake, conflict: Conflict) -> Box<dyn Sink> {
    try_open(fake, conflict, json!({})).unwrap()
}

/// Rows of these ids, each with a number of its own.
fn some(ids: &[i64]) -> arrow::array::RecordBatch {
    let texts: Vec<[String; 2]> = ids
        .iter()
        .map(|id| [id.to_string(), (id * 10).to_string()])
        .collect();
    let cells: Vec<Vec<Option<&str>>> = texts
        .iter()
        .map(|row| row.iter().map(|cell| Some(cell.as_str())).collect())
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(Vec::as_slice).collect();
    rows(&schema(&["!id int64", "n int64"]), &cells)
}

/// What the index holds, ids only.
fn ids(fake: &Fake) -> Vec<String> {
    fake.documents("movies").into_keys().collect()
}

#[test]
fn items_turned_away_are_sent_again_alone() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    fake.next("POST", "_bulk", Fault::Items(vec![(1, 429), (3, 503)]));
    let report = run.write(&some(&[1, 2, 3, 4]));
    assert_eq!(fates(&report, 4), "wwww");
    let sent: Vec<usize> = fake
        .bulks()
        .iter()
        .map(|bulk| bulk.body.lines().count() / 2)
        .collect();
    assert_eq!(
        sent.iter().sum::<usize>(),
        6,
        "{sent:?}: four, and two of them again"
    );
    run.commit();
    run.finish();
    assert_eq!(ids(&fake), ["1", "2", "3", "4"]);
}

#[test]
fn an_item_that_was_written_and_reported_as_failed_is_no_conflict_with_itself() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    fake.next("POST", "_bulk", Fault::DoneItems(vec![(0, 503)]));
    let report = run.write(&some(&[1, 2]));
    assert_eq!((fates(&report, 2).as_str(), whys(&report)), ("ww", vec![]));
}

#[test]
fn a_bulk_turned_away_comes_back_when_it_was_told_to() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Upsert), 1);
    fake.next("POST", "_bulk", Fault::Status(429, Some(1)));
    let begun = std::time::Instant::now();
    assert_eq!(fates(&run.write(&some(&[1, 2])), 2), "ww");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
    for status in [408, 502, 503, 504] {
        fake.next("POST", "_bulk", Fault::Status(status, None));
    }
    assert_eq!(fates(&run.write(&some(&[3])), 1), "w");
}

#[test]
fn a_server_that_stays_too_busy_ends_the_attempt_as_throttled() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    fake.always("POST", "_bulk", Fault::Status(429, Some(0)));
    let error = refused(run.try_write(&some(&[1])));
    assert_eq!(
        (error.code(), error.class()),
        ("elasticsearch::busy", Class::Throttled)
    );
}

#[test]
fn what_is_too_large_together_is_sent_in_halves() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    fake.next("POST", "_bulk", Fault::Status(413, None));
    fake.next("POST", "_bulk", Fault::Status(413, None));
    assert_eq!(fates(&run.write(&some(&[1, 2, 3, 4])), 4), "wwww");
    let bulks = fake.bulks();
    let sent = bulks.iter().map(|bulk| bulk.body.lines().count() / 2);
    // All, half of them, that half in single rows beside the other half.
    let mut sent: Vec<usize> = sent.collect();
    sent.sort_unstable();
    assert_eq!(sent, [1, 1, 2, 2, 4]);
    run.commit();
    assert_eq!(ids(&fake), ["1", "2", "3", "4"]);
}

#[test]
fn a_row_that_is_too_large_alone_is_refused_alone() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    fake.always("POST", "_bulk", Fault::Status(413, None));
    let report = run.write(&some(&[1, 2]));
    assert_eq!(fates(&report, 2), "xx");
    assert!(whys(&report)[0].starts_with("0 elasticsearch::too_large"));
}

#[test]
fn items_in_another_order_are_told_by_their_ids() {
    let fake = Fake::start();
    // So that a number is refused and a null is not.
    let options = json!({"mapping": {"n": "boolean"}});
    let mut run = Run::start(try_open(&fake, Conflict::Insert, options).unwrap(), 1);
    fake.next("POST", "_bulk", Fault::Reordered);
    let cells: [[Option<&str>; 2]; 3] =
        [[Some("1"), Some("7")], [Some("2"), None], [Some("3"), None]];
    let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
    let report = run.write(&rows(&schema(&["!id int64", "n int64"]), &cells));
    assert_eq!(fates(&report, 3), "xww");
    assert_eq!(ids(&fake), ["2", "3"]);
}

/// Faults after which nobody knows what was written.
const UNKNOWN: [Fault; 6] = [
    Fault::Short(1),
    Fault::Lost,
    Fault::Dropped,
    Fault::Cut(20),
    Fault::Flipped(1),
    Fault::ErrorInside(503),
];

#[test]
fn a_batch_whose_fate_is_unknown_is_rolled_back_and_written_again() {
    for mode in [Conflict::Insert, Conflict::Upsert, Conflict::Skip] {
        for fault in UNKNOWN {
            let fake = Fake::start();
            fake.put("movies", "1", "{\"id\":1,\"n\":0}");
            let mut run = Run::start(open(&fake, mode), 1);
            fake.next("POST", "_bulk", fault.clone());
            let error = refused(run.try_write(&some(&[1, 2, 3])));
            assert!(error.class().is_retryable(), "{fault:?}: {}", error.chain());
            run.writer.roll_back().unwrap();
            assert_eq!(ids(&fake), ["1"], "{fault:?}");
            assert_eq!(
                fake.documents("movies")["1"],
                "{\"id\":1,\"n\":0}",
                "{fault:?}"
            );
            let report = run.write(&some(&[1, 2, 3]));
            let expected = match mode {
                Conflict::Insert => "xww",
                Conflict::Skip => "uww",
                _ => "www",
            };
            assert_eq!(fates(&report, 3), expected, "{mode:?} after {fault:?}");
            run.commit();
            run.finish();
            assert_eq!(ids(&fake), ["1", "2", "3"]);
        }
    }
}

#[test]
fn a_killed_batch_is_undone_by_whoever_comes_next() {
    for fault in UNKNOWN {
        let fake = Fake::start();
        fake.put("movies", "1", "{\"id\":1,\"n\":0}");
        let mut run = Run::start(open(&fake, Conflict::Insert), 1);
        run.write(&some(&[2]));
        run.commit();
        fake.next("POST", "_bulk", fault.clone());
        refused(run.try_write(&some(&[1, 2, 3, 4])));
        let epoch = run.checkpoint.epoch;
        drop(run);
        let mut run = Run::over(open(&fake, Conflict::Insert), 1, epoch);
        assert_eq!(
            (ids(&fake), run.checkpoint.seq),
            (vec!["1".to_owned(), "2".into()], 1),
            "{fault:?}"
        );
        let report = run.write(&some(&[1, 2, 3, 4]));
        assert_eq!(fates(&report, 4), "xxww", "{fault:?}");
        run.commit();
        run.finish();
    }
}

#[test]
fn a_document_somebody_changed_since_is_not_undone() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    run.write(&some(&[1, 2]));
    fake.put("movies", "1", "{\"theirs\":true}");
    run.writer.roll_back().unwrap();
    assert_eq!(ids(&fake), ["1"]);
}

#[test]
fn a_commit_whose_reply_is_lost_happened_once() {
    for fault in [
        Fault::Lost,
        Fault::Dropped,
        Fault::Cut(5),
        Fault::Status(503, None),
    ] {
        let fake = Fake::start();
        let mut run = Run::start(open(&fake, Conflict::Insert), 1);
        run.write(&some(&[1]));
        let part = fake
            .documents("dkhost-checkpoints")
            .into_keys()
            .find(|id| id.ends_with("-0"))
            .unwrap();
        fake.next("PUT", &format!("/{part}"), fault.clone());
        run.commit();
        assert!(!fake.is_waiting());
        run.write(&some(&[2]));
        run.commit();
        assert_eq!(ids(&fake), ["1", "2"], "{fault:?}");
    }
}

#[test]
fn the_bulk_of_a_process_that_was_taken_over_finds_no_index() {
    let fake = Fake::start();
    let mut paused = Run::start(open(&fake, Conflict::Upsert), 1);
    paused.write(&some(&[1]));
    paused.commit();
    let mut taker = Run::over(open(&fake, Conflict::Upsert), 1, paused.checkpoint.epoch);
    let error = refused(paused.try_write(&some(&[7])));
    assert_eq!(error.code(), "run::fenced", "{}", error.chain());
    paused.writer.roll_back().unwrap();
    taker.write(&some(&[2]));
    taker.commit();
    assert_eq!(ids(&fake), ["1", "2"]);
}

#[test]
fn a_status_nobody_expects_stops_the_run() {
    for (fault, code) in [
        (Fault::Status(403, None), "elasticsearch::denied"),
        (Fault::Status(500, None), "elasticsearch::failed"),
        (Fault::Items(vec![(0, 500)]), "elasticsearch::failed"),
        (Fault::Items(vec![(0, 403)]), "elasticsearch::denied"),
        (Fault::ErrorInside(500), "elasticsearch::failed"),
    ] {
        let fake = Fake::start();
        let mut run = Run::start(open(&fake, Conflict::Insert), 1);
        fake.next("POST", "_bulk", fault.clone());
        let error = refused(run.try_write(&some(&[1])));
        assert_eq!(
            (error.code(), error.class().is_retryable()),
            (code, false),
            "{fault:?}"
        );
    }
}

#[test]
fn a_key_is_sent_and_asked_for() {
    let fake = Fake::start();
    fake.require_api_key("aWQ6a2V5");
    let error = refused(try_open(&fake, Conflict::Insert, json!({})));
    assert_eq!(error.code(), "elasticsearch::not_let_in");
    let sink = try_open(&fake, Conflict::Insert, json!({"api_key": "aWQ6a2V5"})).unwrap();
    let mut run = Run::start(sink, 1);
    assert_eq!(fates(&run.write(&some(&[1])), 1), "w");
}

#[test]
fn a_packed_bulk_is_the_same() {
    let fake = Fake::start();
    let sink = try_open(&fake, Conflict::Insert, json!({"gzip": true})).unwrap();
    let mut run = Run::start(sink, 1);
    run.write(&some(&[1, 2]));
    run.commit();
    assert!(fake.bulks().iter().all(|bulk| bulk.gzip));
    assert_eq!(
        scan(run.sink.as_ref()),
        ["{\"id\":1,\"n\":10}", "{\"id\":2,\"n\":20}"]
    );
}

#[test]
fn a_scan_whose_place_was_forgotten_is_an_error_and_no_short_answer() {
    let fake = Fake::start();
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    let many: Vec<i64> = (1..=2500).collect();
    run.write(&some(&many));
    run.commit();
    assert_eq!(run.sink.count().unwrap(), 2500);
    assert_eq!(scan(run.sink.as_ref()).len(), 2500);
    fake.next("POST", "_search/scroll", Fault::Status(404, None));
    assert!(run.sink.scan(&mut |_| Ok(())).is_err());
}

#[test]
fn settings_are_put_back_also_by_the_run_after_a_killed_one() {
    let fake = Fake::start();
    fake.put("movies", "0", "{}");
    let mut run = Run::start(open(&fake, Conflict::Insert), 1);
    assert_eq!(
        fake.setting("movies", "refresh_interval").as_deref(),
        Some("-1")
    );
    run.write(&some(&[1]));
    run.commit();
    drop(run);
    // Another run: the job was started over.
    let sink = open(&fake, Conflict::Insert);
    sink.inspect("job").unwrap();
    let mut run = Run::over(sink, 2, 1);
    run.write(&some(&[2]));
    run.commit();
    run.finish();
    assert_eq!(fake.setting("movies", "refresh_interval"), None);
    assert_eq!(ids(&fake), ["0", "1", "2"]);
    let left: Vec<String> = fake
        .names()
        .into_iter()
        .filter(|name| name.contains("writer"))
        .collect();
    assert!(
        left.is_empty() && fake.documents("dkhost-checkpoints").is_empty(),
        "{left:?}"
    );
}
