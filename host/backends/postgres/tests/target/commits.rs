//! Commits: rows and checkpoint together or not at all, whoever dies in between.

use std::cell::RefCell;
use std::rc::Rc;

use dkhost_core::{Class, Conflict};
use dkhost_servers::Database;

use crate::support::{
    Cells, Run, assert_no_leftovers, database, fates, partition, refused, rows, schema, sink,
};

const FIELDS: &[&str] = &["!id int32", "v utf8"];

fn row(id: &'static str) -> [Option<&'static str>; 2] {
    [Some(id), Some("v")]
}

/// Ends every connection that writes to the target.
fn cut(database: &Database) {
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dkhost' AND datname = current_database()");
}

fn started(database: &Database) -> Run {
    Run::start(
        sink(database, "t", &schema(FIELDS), Conflict::Insert).unwrap(),
        1,
    )
}

#[test]
fn a_commit_is_repeated_without_harm() {
    let database = database("");
    let mut run = started(&database);
    run.write(&rows(&schema(FIELDS), &[&row("1")]));
    run.commit();
    run.write(&rows(&schema(FIELDS), &[&row("2")]));
    // The reply to the first commit was lost.
    run.writer.commit(&run.checkpoint).unwrap();
    assert_eq!(database.sql("SELECT id FROM t"), "1");
    run.write(&rows(&schema(FIELDS), &[&row("3")]));
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT id FROM t ORDER BY 1"), "1\n3");
}

#[test]
fn a_connection_that_ends_before_the_commit_loses_the_batch_and_nothing_else() {
    let database = database("");
    let mut run = started(&database);
    run.write(&rows(&schema(FIELDS), &[&row("1")]));
    run.commit();
    run.write(&rows(&schema(FIELDS), &[&row("2")]));
    cut(&database);
    assert_eq!(refused(run.try_commit()).class(), Class::Transient);
    let lost = refused(run.try_commit());
    assert_eq!(lost.code(), dkhost_core::sink::STAGED_LOST);
    run.writer.roll_back().unwrap();
    let report = run.write(&rows(&schema(FIELDS), &[&row("2")]));
    assert_eq!(fates(&report, 1), "w");
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT id FROM t ORDER BY 1"), "1\n2");
    assert_no_leftovers(&database);
}

/// A point, and what happens there.
type Trouble = (&'static str, Box<dyn Fn()>);

thread_local! {
    /// The point at which this thread's trouble begins, and what happens there.
    static TROUBLE: RefCell<Option<Trouble>> = const { RefCell::new(None) };
}

/// From now on something happens when this thread passes `point`, once, and the point fails.
fn trouble(point: &'static str, what: impl Fn() + 'static) {
    dkhost_core::fail::arm(|passed| {
        TROUBLE.with_borrow_mut(|trouble| match trouble {
            Some((point, _)) if *point == passed => {
                let (_, what) = trouble.take().unwrap();
                what();
                let class = Class::Transient;
                Err(dkhost_core::Error::new(class, "test::trouble", passed))
            }
            _ => Ok(()),
        })
    });
    TROUBLE.set(Some((point, Box::new(what))));
}

#[test]
fn a_commit_whose_reply_is_lost_is_found_when_it_is_repeated() {
    for with_connection in [true, false] {
        let database = Rc::new(database(""));
        let mut run = started(&database);
        run.write(&rows(&schema(FIELDS), &[&row("1")]));
        let other = database.clone();
        trouble("postgres.commit.sent", move || {
            if with_connection {
                cut(&other);
            }
        });
        assert_eq!(refused(run.try_commit()).class(), Class::Transient);
        run.commit();
        run.finish();
        assert_eq!(database.sql("SELECT id FROM t"), "1");
    }
}

#[test]
fn a_commit_that_fails_before_it_is_sent_never_commits_the_checkpoint_alone() {
    let database = database("");
    let mut run = started(&database);
    run.write(&rows(&schema(FIELDS), &[&row("1")]));
    trouble("postgres.commit.prepared", || ());
    assert_eq!(refused(run.try_commit()).class(), Class::Transient);
    assert_eq!(
        refused(run.try_commit()).code(),
        dkhost_core::sink::STAGED_LOST
    );
    assert_eq!(database.sql("SELECT count(*) FROM dkhost.checkpoint"), "0");
    run.writer.roll_back().unwrap();
    run.write(&rows(&schema(FIELDS), &[&row("1")]));
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT id FROM t"), "1");
}

#[test]
fn a_batch_is_written_again_on_a_new_connection() {
    let database = database("");
    let mut run = started(&database);
    cut(&database);
    let records = rows(&schema(FIELDS), &[&row("1")]);
    let first = run.try_write(&records);
    if first.is_err() {
        assert_eq!(refused(first).class(), Class::Transient);
        run.writer.roll_back().unwrap();
        run.write(&records);
    }
    run.commit();
    assert_eq!(database.sql("SELECT id FROM t"), "1");
}

#[test]
fn an_older_epoch_is_fenced_and_keeps_nobody_waiting() {
    let database = database("");
    let mut paused = started(&database);
    paused.write(&rows(&schema(FIELDS), &[&row("1")]));
    let mut taker = Run::over(
        sink(&database, "t", &schema(FIELDS), Conflict::Insert).unwrap(),
        1,
        1,
    );
    // The same key, which the paused one holds uncommitted.
    let report = taker.write(&rows(&schema(FIELDS), &[&row("1")]));
    assert_eq!(fates(&report, 1), "w");
    assert_eq!(refused(paused.try_commit()).code(), "run::fenced");
    paused.writer.roll_back().unwrap();
    assert_eq!(
        refused(paused.try_write(&rows(&schema(FIELDS), &[&row("2")]))).code(),
        "run::fenced"
    );
    taker.commit();
    taker.finish();
    assert_eq!(database.sql("SELECT id FROM t"), "1");
}

#[test]
fn writers_of_two_partitions_write_at_once() {
    let database = database("");
    let schema = schema(FIELDS);
    let mut run = started(&database);
    let mut second = run.sink.writer(&partition(1)).unwrap();
    run.write(&rows(&schema, &[&row("1")]));
    second
        .write(&crate::support::batch(rows(&schema, &[&row("2")])))
        .unwrap();
    let there = dkhost_core::Checkpoint {
        partition: 1,
        seq: 1,
        ..run.checkpoint.clone()
    };
    second.commit(&there).unwrap();
    run.commit();
    drop(second);
    run.finish();
    assert_eq!(database.sql("SELECT id FROM t ORDER BY 1"), "1\n2");
}

#[test]
fn a_row_that_somebody_locks_makes_the_batch_transient() {
    let database =
        database("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old')");
    let options = serde_json::json!({"url": database.url, "table": "t", "lock_timeout_ms": 200});
    let schema = schema(FIELDS);
    let open = crate::support::sink_at(options, &schema, Conflict::Upsert, |_| ());
    let mut run = Run::start(open.unwrap(), 1);
    let locking = beside(
        &database,
        "BEGIN; SELECT * FROM t FOR UPDATE; SELECT pg_advisory_lock(1); SELECT pg_sleep(3)",
    );
    let error = refused(run.try_write(&rows(&schema, &[&row("1")])));
    assert_eq!(
        (error.class(), error.code()),
        (Class::Transient, "postgres::locked")
    );
    locking.join().unwrap();
    run.writer.roll_back().unwrap();
    run.write(&rows(&schema, &[&row("1")]));
    run.commit();
    assert_eq!(database.sql("SELECT v FROM t"), "v");
}

#[test]
fn what_is_written_without_a_key_is_read_back_in_order() {
    let database = database("CREATE TABLE t (id int, v text)");
    let schema = schema(&["id int32", "v utf8"]);
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Insert).unwrap(), 1);
    let cells: Cells<'_> = &[&row("3"), &row("1"), &row("3"), &[None, Some("x")]];
    run.write(&rows(&schema, cells));
    let back = run.writer.read_back().unwrap();
    assert_eq!(
        dkhost_core::content::row_hashes(&back).unwrap(),
        dkhost_core::content::row_hashes(&rows(&schema, cells)).unwrap()
    );
}

/// Runs SQL on another connection, until it holds the advisory lock 1.
fn beside(database: &Database, sql: &str) -> std::thread::JoinHandle<()> {
    let (url, sql) = (database.url.clone(), sql.to_owned());
    let beside = std::thread::spawn(move || {
        let psql = dkhost_servers::programs::postgres("psql").unwrap();
        let done = std::process::Command::new(psql)
            .args(["-X", "-q", "-d", &url, "-c", &sql])
            .output();
        done.unwrap();
    });
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND classid = 0 \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.sql(held) != "1" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    beside
}

#[test]
fn a_deadlock_makes_the_batch_transient() {
    let database =
        database("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1), (2)");
    let schema = schema(FIELDS);
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Upsert).unwrap(), 1);
    // Who has waited longer for the other looks first, and gives way: that is us.
    let other = beside(
        &database,
        "BEGIN; UPDATE t SET v = 'theirs' WHERE id = 2; SELECT pg_advisory_lock(1); SELECT pg_sleep(0.7); \
         SET LOCAL deadlock_timeout = '20s'; UPDATE t SET v = 'theirs' WHERE id = 1; COMMIT",
    );
    let records = rows(&schema, &[&row("2"), &row("1")]);
    let error = refused(run.try_write(&records));
    assert_eq!(
        (error.class(), error.code()),
        (Class::Transient, "postgres::conflict")
    );
    run.writer.roll_back().unwrap();
    other.join().unwrap();
    run.write(&records);
    run.commit();
    assert_eq!(database.sql("SELECT v FROM t"), "v\nv");
}

#[test]
fn what_a_database_sets_for_its_transactions_is_not_taken_over() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let name = &database.name;
    database.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'; \
         ALTER DATABASE {name} SET \"TimeZone\" = 'Asia/Tokyo'; ALTER DATABASE {name} SET bytea_output = 'escape'"
    ));
    let mut run = started(&database);
    run.write(&rows(&schema(FIELDS), &[&row("1")]));
    database.sql("INSERT INTO t VALUES (2)");
    // As one transaction of that level could not.
    let report = run.write(&rows(&schema(FIELDS), &[&row("2")]));
    assert_eq!(fates(&report, 1), "x");
    run.commit();
    run.finish();
}

#[test]
fn two_writers_meet_the_same_rows_in_one_order() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let schema = schema(FIELDS);
    // Whose content is asked for must not come between looking and writing.
    let open = crate::support::sink_with(&database, "t", &schema, Conflict::Upsert, |open| {
        open.content = false;
    });
    let run = Run::start(open.unwrap(), 1);
    let write = |part: u32, step: u32| {
        let mut writer = run.sink.writer(&partition(part)).unwrap();
        for seq in 1..=15 {
            // The same 200 ids, in another order each time.
            let texts: Vec<[String; 2]> = (0..200)
                .map(|row| [(row * step + seq as u32) % 211, part])
                .map(|[id, part]| [id.to_string(), format!("{part} {seq}")])
                .collect();
            let cells: Vec<[Option<&str>; 2]> = texts
                .iter()
                .map(|[id, v]| [Some(id.as_str()), Some(v.as_str())])
                .collect();
            let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| &row[..]).collect();
            writer
                .write(&crate::support::batch(rows(&schema, &cells)))
                .unwrap();
            let next = dkhost_core::Checkpoint {
                partition: part,
                seq,
                ..run.checkpoint.clone()
            };
            writer.commit(&next).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(0, 7));
        scope.spawn(|| write(1, 100));
    });
    assert_eq!(database.sql("SELECT count(*) FROM t"), "211");
}

#[test]
fn a_commit_is_on_disk_before_it_counts_whatever_the_database_has_set() {
    for (set, used) in [("off", "on"), ("local", "local")] {
        let database = database(
            "CREATE TABLE told (how text); CREATE TABLE t (id int PRIMARY KEY, v text); \
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN INSERT INTO told VALUES (current_setting('synchronous_commit')); RETURN NEW; END$$; \
             CREATE TRIGGER tell BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell()",
        );
        let name = &database.name;
        database.sql(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = {set}"
        ));
        let mut run = started(&database);
        run.write(&rows(&schema(FIELDS), &[&row("1")]));
        run.commit();
        run.finish();
        assert_eq!(database.sql("SELECT how FROM told"), used);
    }
}
