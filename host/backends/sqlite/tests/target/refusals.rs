//! Rows that constraints and triggers refuse.

use serde_json::json;

use super::{Cells, load};
use crate::support::{Folder, Run, batch, fates, rows, schema};
use dkhost_core::{Class, Conflict};

#[test]
fn a_row_the_table_refuses_takes_no_other_along() {
    let folder = Folder::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER CHECK (age >= 0), email TEXT UNIQUE ON CONFLICT REPLACE,
                         home INTEGER REFERENCES homes(id));
         CREATE TABLE homes (id INTEGER PRIMARY KEY); INSERT INTO homes VALUES (1);
         INSERT INTO t VALUES (1, 'old', 1, 'a@x', 1);",
    );
    let schema = schema(&[
        "!id int64",
        "name utf8",
        "age int64",
        "email utf8",
        "home int64",
    ]);
    let (fates, rejects) = load(
        &folder,
        &schema,
        Conflict::Insert,
        1,
        &[
            &[Some("2"), Some("fine"), Some("3"), Some("b@x"), Some("1")],
            &[Some("1"), Some("same key"), None, None, None],
            &[Some("3"), None, None, None, None],
            &[Some("4"), Some("young"), Some("-1"), None, None],
            &[Some("5"), Some("same email"), None, Some("a@x"), None],
            &[Some("6"), Some("homeless"), None, None, Some("9")],
            &[None, Some("no key"), None, None, None],
            &[Some("7"), Some("fine too"), None, None, None],
        ],
    );
    assert_eq!(fates, "wxxxxxxw");
    assert_eq!(
        rejects,
        [
            "1 sqlite::constraint id",
            "2 sqlite::constraint name",
            "3 sqlite::constraint -",
            "4 sqlite::constraint email",
            "5 sqlite::constraint -",
            "6 sqlite::not_representable id",
        ]
    );
    assert_eq!(
        folder.dump("SELECT id, name FROM t"),
        ["1 | 'old'", "2 | 'fine'", "7 | 'fine too'"]
    );
}

#[test]
fn a_constraint_that_rolls_everything_back_stops_the_run() {
    let folder = Folder::with("CREATE TABLE t (n INTEGER); CREATE TRIGGER no BEFORE INSERT ON t WHEN new.n = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
                               CREATE TRIGGER never BEFORE INSERT ON t WHEN new.n = 3 BEGIN SELECT RAISE(IGNORE); END");
    let schema = schema(&["n int64"]);
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    );
    assert_eq!(
        fates(&run.write(&rows(&schema, &[&[Some("1")], &[Some("3")]])), 2),
        "wx"
    );
    let error = run
        .writer
        .write(&batch(rows(&schema, &[&[Some("2")]])))
        .unwrap_err();
    assert_eq!(error.code(), "sqlite::rolled_back");
    // What was staged is gone, so its checkpoint must not be committed.
    run.checkpoint.seq = 1;
    assert_eq!(
        run.writer.commit(&run.checkpoint).unwrap_err().code(),
        "sqlite::rolled_back"
    );
    run.writer.roll_back().unwrap();
    run.write(&rows(&schema, &[&[Some("4")]]));
    run.commit();
    assert_eq!(folder.dump("SELECT n FROM t"), ["4"]);
}

#[test]
fn a_constraint_checked_at_the_commit_stops_the_run_and_writes_nothing() {
    let folder = Folder::with(
        "CREATE TABLE homes (id INTEGER PRIMARY KEY);
         CREATE TABLE t (n INTEGER REFERENCES homes(id) DEFERRABLE INITIALLY DEFERRED)",
    );
    let schema = schema(&["n int64"]);
    let sink = folder
        .sink(json!({"table": "t"}), &schema, Conflict::Insert)
        .unwrap();
    let mut run = Run::start(sink, 1);
    run.write(&rows(&schema, &[&[Some("1")]]));
    run.checkpoint.seq = 1;
    for _ in 0..2 {
        let error = run.writer.commit(&run.checkpoint).unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("sqlite::deferred_constraint", Class::Data)
        );
    }
    run.writer.roll_back().unwrap();
    assert_eq!(folder.dump("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(run.sink.inspect("job").unwrap().unwrap().checkpoints, []);
}

#[test]
fn a_row_that_a_trigger_fails_after_the_fact_is_not_there() {
    for without_rowid in ["", "WITHOUT ROWID"] {
        let folder = Folder::with(&format!(
            "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER) {without_rowid}; INSERT INTO t VALUES (1, 1), (2, 2);
             CREATE TABLE log (n INTEGER);
             CREATE TRIGGER i AFTER INSERT ON t WHEN new.v > 9 BEGIN INSERT INTO log VALUES (new.v); SELECT RAISE(FAIL, 'too much'); END;
             CREATE TRIGGER u AFTER UPDATE ON t WHEN new.v > 9 BEGIN INSERT INTO log VALUES (new.v); SELECT RAISE(FAIL, 'too much'); END;"
        ));
        let schema = schema(&["!k int64", "v int64"]);
        let cells: Cells<'_> = &[
            &[Some("1"), Some("5")],
            &[Some("2"), Some("50")],
            &[Some("3"), Some("6")],
            &[Some("4"), Some("60")],
        ];
        let (fates, rejects) = load(&folder, &schema, Conflict::Upsert, 1, cells);
        assert_eq!(fates, "wxwx");
        assert_eq!(
            rejects,
            ["1 sqlite::constraint -", "3 sqlite::constraint -"]
        );
        assert_eq!(
            folder.dump("SELECT * FROM t ORDER BY k"),
            ["1 | 5", "2 | 2", "3 | 6"]
        );
        assert_eq!(folder.dump("SELECT n FROM log"), [""; 0]);
    }
}

#[test]
fn a_row_that_a_trigger_ignores_is_refused_under_every_conflict() {
    let folder = || {
        Folder::with(
            "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1), (2, 2);
             CREATE TRIGGER i BEFORE INSERT ON t WHEN new.v = 50 BEGIN SELECT RAISE(IGNORE); END;
             CREATE TRIGGER u BEFORE UPDATE ON t WHEN new.v = 60 BEGIN SELECT RAISE(IGNORE); END;",
        )
    };
    let schema = schema(&["!k int64", "v int64"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("60")],
        &[Some("3"), Some("50")],
        &[Some("2"), Some("7")],
        &[Some("4"), Some("8")],
    ];
    for (conflict, expected, held) in [
        (Conflict::Upsert, "xxww", ["1 | 1", "2 | 7", "4 | 8"]),
        (Conflict::Skip, "uxuw", ["1 | 1", "2 | 2", "4 | 8"]),
    ] {
        let folder = folder();
        let (fates, rejects) = load(&folder, &schema, conflict, 1, cells);
        assert_eq!(fates, expected, "{conflict:?}");
        assert!(
            rejects
                .iter()
                .all(|reject| reject.contains("sqlite::ignored")),
            "{rejects:?}"
        );
        assert_eq!(folder.dump("SELECT * FROM t ORDER BY k"), held);
    }
}

#[test]
fn a_replacement_that_rolls_everything_back_stops_the_run() {
    let folder = Folder::with(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1), (2, 2);
         CREATE TRIGGER u BEFORE UPDATE ON t WHEN new.v = 60 BEGIN SELECT RAISE(ROLLBACK, 'no'); END;",
    );
    let schema = schema(&["!k int64", "v int64"]);
    let sink = folder
        .sink(json!({"table": "t"}), &schema, Conflict::Upsert)
        .unwrap();
    let mut run = Run::start(sink, 1);
    let cells: Cells<'_> = &[&[Some("1"), Some("60")], &[Some("2"), Some("7")]];
    let error = run.writer.write(&batch(rows(&schema, cells))).unwrap_err();
    assert_eq!(error.code(), "sqlite::rolled_back");
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | 1", "2 | 2"]);
}
