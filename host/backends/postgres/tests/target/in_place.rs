//! A table that is the source and the target of one run: nothing that others write is lost, and a
//! crash at any moment leaves the old table or the new one.

use dkhost_core::{
    Backend, Claim, Conflict, OpenSource, Options, Position, Reshape, Result, Sink, Source,
};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;

use crate::support::{Run, database, refused, rows, schema, sink_at};
use crate::versions::{pairs, reshape};

/// What both ends are told: a wait for themselves is over soon.
fn options(database: &Database) -> Options {
    let options = serde_json::json!({"url": database.url, "table": "t", "lock_timeout_ms": 1500});
    Options::from_json("[target]", &options).unwrap()
}

/// The table `t`, as a run reads it that replaces it.
fn source(database: &Database, in_place: bool) -> Box<dyn Source> {
    let open = OpenSource {
        partitions: 1,
        in_place,
        ..OpenSource::default()
    };
    PostgresBackend
        .open_source(options(database), &open)
        .unwrap()
}

/// The table `t` as the target that its rows go back to, as `id` and `w`.
fn sink(database: &Database) -> Result<Box<dyn Sink>> {
    let options = serde_json::json!({"url": database.url, "table": "t", "lock_timeout_ms": 1500});
    let to = schema(&["!id int32", "w int32"]);
    sink_at(options, &to, Conflict::ReplaceAll, |open| {
        open.reshape = Some(Reshape {
            renamed: pairs(&[("v", "w")]),
            ..reshape()
        });
    })
}

const TABLE: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20)";

/// Reads everything and stages it under the new names.
fn moved(source: &dyn Source, run: &mut Run) {
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    while let Some(batch) = reader.next().unwrap() {
        let to = schema(&["!id int32", "w int32"]).to_arrow();
        let columns = batch.records.columns().to_vec();
        let records = arrow::array::RecordBatch::try_new(to, columns).unwrap();
        run.write(&records);
        run.commit();
    }
}

#[test]
fn a_table_is_read_and_brought_to_another_version_in_one_run() {
    let database = database(TABLE);
    let source = source(&database, true);
    let mut run = Run::start(sink(&database).unwrap(), 1);
    moved(source.as_ref(), &mut run);
    // The reader holds the table.
    let waited = refused(run.sink.publish());
    assert!(waited.chain().contains("lock timeout"), "{waited:?}");
    assert_eq!(
        database.sql("SELECT id, v FROM t ORDER BY id"),
        "1|10\n2|20"
    );
    source.release();
    source.release();
    run.finish();
    assert_eq!(
        database.sql("SELECT id, w FROM t ORDER BY id"),
        "1|10\n2|20"
    );
}

#[test]
fn nobody_writes_to_a_table_while_it_is_read_and_replaced() {
    let database = database(TABLE);
    let write = "SET lock_timeout = '300ms'; UPDATE t SET v = 11 WHERE id = 1";
    // Reading alone keeps nobody from writing.
    let reader = source(&database, false);
    database.sql(write);
    drop(reader);
    let source = source(&database, true);
    let refused = |database: &Database| database.try_sql(write).unwrap_err();
    assert!(refused(&database).contains("lock timeout"));
    let mut run = Run::start(sink(&database).unwrap(), 1);
    moved(source.as_ref(), &mut run);
    source.release();
    assert!(refused(&database).contains("lock timeout"));
    assert_eq!(database.sql("SELECT count(*) FROM t"), "2");
    // Who waits is let in behind the result.
    let url = database.url.clone();
    let waits =
        std::thread::spawn(move || dkhost_servers::query(&url, "UPDATE t SET id = 3 WHERE id = 2"));
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
    while database.sql(waiting) == "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    run.finish();
    waits.join().unwrap().unwrap();
    assert_eq!(
        database.sql("SELECT id, w FROM t ORDER BY id"),
        "1|11\n3|20"
    );
}

/// Ends every connection of the program.
fn cut(database: &Database) {
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dkhost' AND datname = current_database()");
}

#[test]
fn what_is_written_when_the_lock_is_lost_is_not_lost() {
    for write in [
        "INSERT INTO t VALUES (3, 30)",
        "UPDATE t SET v = 10 WHERE id = 1",
        "DELETE FROM t WHERE id = 1",
        "TRUNCATE t; INSERT INTO t VALUES (1, 10), (2, 20)",
    ] {
        let database = database(TABLE);
        let mut run = Run::start(sink(&database).unwrap(), 1);
        run.write(&rows(
            &schema(&["!id int32", "w int32"]),
            &[&[Some("1"), Some("0")]],
        ));
        run.commit();
        cut(&database);
        database.sql(write);
        let held = database.sql("SELECT * FROM t ORDER BY id");
        let error = refused(run.sink.publish());
        assert_eq!(error.code(), "target::changed", "{write}: {error:?}");
        assert!(error.help_text().unwrap().contains("--no-resume"));
        // A process that goes on sees it before it writes.
        drop(run);
        let claim = Claim {
            job: "job".into(),
            run: "run 1".into(),
            plan_hash: "hash".into(),
            epoch_floor: 0,
        };
        let sink = sink(&database).unwrap();
        assert_eq!(
            refused(sink.claim(&claim)).code(),
            "target::changed",
            "{write}"
        );
        assert_eq!(database.sql("SELECT * FROM t ORDER BY id"), held);
    }
}

#[test]
fn a_lost_lock_is_no_harm_where_nobody_wrote() {
    let database = database(TABLE);
    let mut run = Run::start(sink(&database).unwrap(), 1);
    run.write(&rows(
        &schema(&["!id int32", "w int32"]),
        &[&[Some("1"), Some("0")]],
    ));
    run.commit();
    cut(&database);
    database.sql("VACUUM FREEZE t; ANALYZE t");
    run.finish();
    assert_eq!(database.sql("SELECT id, w FROM t"), "1|0");
}

#[test]
fn a_process_that_is_paused_keeps_nobody_from_going_on() {
    let database = database(TABLE);
    let to = schema(&["!id int32", "w int32"]);
    let mut paused = Run::start(sink(&database).unwrap(), 1);
    paused.write(&rows(&to, &[&[Some("1"), Some("1")]]));
    let mut taker = Run::over(sink(&database).unwrap(), 1, 1);
    taker.write(&rows(&to, &[&[Some("1"), Some("2")]]));
    taker.commit();
    taker.finish();
    assert_eq!(refused(paused.sink.publish()).code(), "run::fenced");
    assert_eq!(database.sql("SELECT id, w FROM t"), "1|2");
}

/// A run of which everything is staged and whose connections are gone.
fn staged(database: &Database) -> Run {
    let to = schema(&["!id int32", "w int32"]);
    let mut run = Run::start(sink(database).unwrap(), 1);
    run.write(&rows(&to, &[&[Some("1"), Some("0")]]));
    run.commit();
    cut(database);
    run
}

#[test]
fn a_table_that_is_altered_meanwhile_is_not_replaced() {
    let database = database(TABLE);
    let run = staged(&database);
    database.sql("ALTER TABLE t ADD COLUMN more int");
    assert_eq!(refused(run.sink.publish()).code(), "target::changed");
    drop(run);
    // Whoever goes on would find the rows in a table of another shape.
    let claim = Claim {
        job: "job".into(),
        run: "run 1".into(),
        plan_hash: "hash".into(),
        epoch_floor: 0,
    };
    let error = refused(sink(&database).unwrap().claim(&claim));
    assert_eq!(error.code(), "target::changed");
    assert!(error.help_text().unwrap().contains("--no-resume"));
    assert_eq!(database.sql("SELECT * FROM t ORDER BY id"), "1|10|\n2|20|");
}

#[test]
fn records_that_are_tried_again_join_a_table_that_is_at_the_version() {
    let database =
        database("CREATE TABLE t (id int PRIMARY KEY, w int); INSERT INTO t VALUES (1, 10)");
    let to = schema(&["!id int32", "w int32"]);
    let options = serde_json::json!({"url": database.url, "table": "t"});
    let sink = sink_at(options, &to, Conflict::Insert, |open| {
        open.reshape = Some(reshape())
    });
    let mut run = Run::start(sink.unwrap(), 1);
    run.write(&rows(&to, &[&[Some("2"), Some("20")]]));
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT * FROM t ORDER BY id"), "1|10\n2|20");
}
