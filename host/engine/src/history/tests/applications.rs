//! Applications of schema versions: they stand as their runs do, stay when a run is taken up again,
//! and give away a migration file that was edited later.

use dkhost_schema::Direction;

use super::*;

in_both_stores! {
    an_application_comes_back_as_it_was_written
    a_run_that_was_killed_leaves_its_application_running_and_takes_it_up_again
    an_application_stands_as_its_run_does
    a_process_whose_run_was_taken_over_cannot_end_its_application
    an_application_needs_a_run_and_a_beginning
    applications_are_told_apart_by_schema_and_job
    a_history_from_before_applications_is_brought_up_to_date
}

fn hop(from: &str, to: &str, by: Author, digest: &str) -> Hop {
    Hop {
        from: from.into(),
        to: to.into(),
        direction: Direction::Up,
        by,
        digest: digest.into(),
        from_digest: format!("of {from}"),
        to_digest: format!("of {to}"),
    }
}

fn by_file(digest: &str) -> Hop {
    let file = Author::File("1.0.0--2.0.0.toml".into());
    hop("1.0.0", "2.0.0", file, digest)
}

fn application(run: &str) -> Application {
    Application {
        run: run.into(),
        schema: "user".into(),
        from: Some("1.0.0".into()),
        to: "2.0.0".into(),
        direction: Direction::Up,
        job: "job".into(),
        store: "table users".into(),
        who: "ada@here".into(),
        hops: vec![by_file("sha256:1")],
    }
}

fn done() -> ApplicationEnd {
    ApplicationEnd {
        status: Status::Done,
        counts: ApplicationCounts {
            changed: 3,
            unchanged: 2,
            rejected: 1,
        },
        duration_ms: 17,
        message: None,
    }
}

fn all() -> ApplicationFilter<'static> {
    ApplicationFilter {
        limit: 9,
        ..ApplicationFilter::default()
    }
}

fn only(history: &History) -> ApplicationRecord {
    let mut found = history.applications(all()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn an_application_comes_back_as_it_was_written(store: &Store) {
    let history = store.open();
    assert!(history.applications(all()).unwrap().is_empty());
    let plugin = Author::Plugin("customers-v2@0.1.0".into());
    let odd = Application {
        from: None,
        direction: Direction::Down,
        store: "table \"odd; 'name'\" \u{1F600}\u{1b}[2J".into(),
        hops: vec![by_file("sha256:1"), hop("2.0.0", "3.0.0", plugin, "x")],
        ..application("a")
    };
    begin(&history, "a", 1);
    history.begin_application(&odd).unwrap();
    history.end_application("a", 1, &done()).unwrap();
    history.end("a", 1, &ended(Status::Done, &[])).unwrap();
    drop(history);

    let held = only(&store.open());
    assert_eq!(held.application, odd);
    assert_eq!((held.status, held.duration_ms), (Status::Done, 17));
    assert_eq!(held.counts, Some(done().counts));
    assert!(held.ended_at.unwrap() >= held.started_at);
}

fn a_run_that_was_killed_leaves_its_application_running_and_takes_it_up_again(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    history.begin_application(&application("a")).unwrap();
    let before = only(&history);
    assert_eq!((before.status, before.counts), (Status::Running, None));
    assert_eq!(before.ended_at, None);

    // Another user goes on, and accepts that the file changed meanwhile.
    history
        .take_over("a", 2, "plan", None, "taken over")
        .unwrap();
    let again = Application {
        who: "bob@there".into(),
        hops: vec![by_file("sha256:2")],
        ..application("a")
    };
    history.begin_application(&again).unwrap();
    let stopped = ApplicationEnd {
        status: Status::Stopped,
        message: Some("a signal".into()),
        ..done()
    };
    history.end("a", 2, &ended(Status::Stopped, &[])).unwrap();
    history.end_application("a", 2, &stopped).unwrap();
    let held = only(&history);
    assert_eq!(held.started_at, before.started_at);
    assert_eq!(held.application.who, "ada@here");
    assert_eq!(held.application.hops, again.hops);
    assert_eq!(held.message.as_deref(), Some("a signal"));

    history
        .take_over("a", 3, "plan", None, "taken over")
        .unwrap();
    let held = only(&history);
    assert_eq!((held.ended_at, held.message), (None, None));
    history.begin_application(&again).unwrap();
    history.end("a", 3, &ended(Status::Done, &[])).unwrap();
    history.end_application("a", 3, &done()).unwrap();
    // What is done stays so, whoever begins it again.
    history.begin_application(&application("a")).unwrap();
    let held = only(&history);
    assert_eq!(
        (held.status, held.counts),
        (Status::Done, Some(done().counts))
    );
    assert_eq!(held.application.hops, again.hops);
}

fn an_application_stands_as_its_run_does(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    history.begin_application(&application("a")).unwrap();
    let end = RunEnd {
        message: Some("the target said no".into()),
        busy_ms: 5,
        ..ended(Status::Failed, &[])
    };
    history.end("a", 1, &end).unwrap();
    // Killed before it could say so here.
    let held = only(&history);
    assert_eq!((held.status, held.duration_ms), (Status::Failed, 5));
    assert_eq!(held.message, end.message);
    // Given up, as a newer run took its place.
    begin(&history, "b", 2);
    assert_eq!(only(&history).status, Status::Abandoned);
    history.begin_application(&application("b")).unwrap();
    // Killed when all was done: what became of the records is in the run's report.
    let report = serde_json::json!({
        "counts": { "written": 4, "unchanged": 1, "dead_lettered": 1, "skipped": 0 },
        "stages": [{ "name": "migrate", "kept": 2 }],
    });
    let end = RunEnd {
        report,
        ..ended(Status::Done, &[])
    };
    history.end("b", 2, &end).unwrap();
    let last = history.applications(all()).unwrap().remove(0);
    assert_eq!(
        (last.status, last.counts),
        (Status::Done, Some(done().counts))
    );
    assert!(last.ended_at.is_some());
}

fn a_process_whose_run_was_taken_over_cannot_end_its_application(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    history.begin_application(&application("a")).unwrap();
    history
        .take_over("a", 2, "plan", None, "taken over")
        .unwrap();
    let error = history.end_application("a", 1, &done()).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::fenced", Class::Locked)
    );
    let held = only(&history);
    assert_eq!((held.status, held.counts), (Status::Running, None));
    history.end_application("a", 2, &done()).unwrap();
}

fn an_application_needs_a_run_and_a_beginning(store: &Store) {
    let history = store.open();
    assert!(history.begin_application(&application("a")).is_err());
    assert!(history.applications(all()).unwrap().is_empty());
    begin(&history, "a", 1);
    let error = history.end_application("a", 1, &done()).unwrap_err();
    assert_eq!(error.class(), Class::Bug);
}

fn applications_are_told_apart_by_schema_and_job(store: &Store) {
    let history = store.open();
    let of = |run: &str, schema: &str, job: &str| {
        begin(&history, run, 1);
        let application = Application {
            schema: schema.into(),
            job: job.into(),
            ..application(run)
        };
        history.begin_application(&application).unwrap();
    };
    of("a", "user", "one");
    of("b", "user", "two");
    of("c", "film", "two");
    of("d", "user", "two");
    let runs = |filter| {
        let found = history.applications(filter).unwrap();
        let runs = found.into_iter().map(|record| record.application.run);
        runs.collect::<Vec<_>>()
    };
    assert_eq!(runs(all()), ["d", "c", "b", "a"]);
    assert_eq!(runs(ApplicationFilter { limit: 2, ..all() }), ["d", "c"]);
    let schema = Some("user");
    assert_eq!(runs(ApplicationFilter { schema, ..all() }), ["d", "b", "a"]);
    let job = Some("two");
    let of_job = ApplicationFilter { job, ..all() };
    assert_eq!(runs(of_job), ["d", "c", "b"]);
    assert_eq!(runs(ApplicationFilter { schema, ..of_job }), ["d", "b"]);
}

fn a_history_from_before_applications_is_brought_up_to_date(store: &Store) {
    let history = store.open();
    begin(&history, "a", 1);
    history
        .write("go back", async |tx: &mut Connection| {
            statement::statement("DROP TABLE schema_application")
                .run(tx)
                .await?;
            let made = match tx {
                Connection::Sqlite(_) => "DELETE FROM _sqlx_migrations WHERE version = 4",
                Connection::Postgres(_) => "DELETE FROM migration WHERE version = 3",
            };
            Ok(statement::statement(made).run(tx).await?)
        })
        .unwrap();
    drop(history);
    let history = History::open_existing(&store.place).unwrap().unwrap();
    assert!(history.applications(all()).unwrap().is_empty());
    history.begin_application(&application("a")).unwrap();
    assert_eq!(only(&history).status, Status::Running);
}

fn record(run: &str, status: Status, at: &str, hops: Vec<Hop>) -> ApplicationRecord {
    ApplicationRecord {
        application: Application {
            hops,
            ..application(run)
        },
        status,
        started_at: "2026-01-01T00:00:00.000Z".into(),
        ended_at: Some(at.into()),
        counts: None,
        duration_ms: 0,
        message: None,
    }
}

#[test]
fn a_file_that_is_not_what_was_applied_is_told_once_for_each_text() {
    let (may, june) = ("2026-05-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z");
    let records = [
        record("d", Status::Failed, june, vec![by_file("never applied")]),
        record("c", Status::Done, june, vec![by_file("first")]),
        record("b", Status::Done, may, vec![by_file("second")]),
        record("a", Status::Done, may, vec![by_file("first")]),
    ];
    let told = |now: &dyn Fn(&str, &Hop) -> Option<String>| {
        let found = edited(&records, now).into_iter();
        let found = found.map(|edited| (edited.digest, edited.applied_at, edited.now));
        found.collect::<Vec<_>>()
    };
    let second = Some("second".to_owned());
    assert_eq!(
        told(&|schema, hop| {
            assert_eq!((schema, hop.by.name()), ("user", "1.0.0--2.0.0.toml"));
            second.clone()
        }),
        [("first".into(), june.into(), second.clone())]
    );
    // The file is gone.
    assert_eq!(
        told(&|_, _| None),
        [
            ("first".into(), june.into(), None),
            ("second".into(), may.into(), None)
        ]
    );
}

#[test]
fn a_component_is_no_file_that_somebody_edits() {
    let plugin = Author::Plugin("customers-v2@0.1.0".into());
    let hops = vec![hop("1.0.0", "2.0.0", plugin, "x")];
    let records = [record("a", Status::Done, "", hops)];
    assert_eq!(edited(&records, &|_, _| None), []);
}

#[test]
fn a_digest_is_that_of_sha256sum() {
    assert_eq!(
        digest(b"abc"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
