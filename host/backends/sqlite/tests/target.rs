//! Batches in; tables out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod common;

use common::{Folder, Run, batch, fates, lines, read, rows, schema, types};
use dkhost_core::content::row_hashes;
use dkhost_core::{Class, Conflict, ContentSum, Schema};
use serde_json::json;

type Cells<'a> = &'a [&'a [Option<&'a str>]];

/// Writes one batch in a run of its own; its fates and the codes of its rejects.
fn load(
    folder: &Folder,
    schema: &Schema,
    conflict: Conflict,
    run: u32,
    cells: Cells<'_>,
) -> (String, Vec<String>) {
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), schema, conflict)
            .unwrap(),
        run,
    );
    let report = run.write(&rows(schema, cells));
    run.commit();
    run.finish();
    let rejects = report.rejects.iter().map(|r| {
        format!(
            "{} {} {}",
            r.row,
            r.code,
            r.column.as_deref().unwrap_or("-")
        )
    });
    (fates(&report, cells.len()), rejects.collect())
}

/// The code, message and help of the error of opening `t`.
fn refused(folder: &Folder, fields: &[&str], conflict: Conflict) -> String {
    let error = folder
        .sink(json!({"table": "t"}), &schema(fields), conflict)
        .err()
        .expect("a refusal");
    assert_eq!(error.class(), Class::Config);
    format!(
        "{}: {error}; {}",
        error.code(),
        error.help_text().unwrap_or("")
    )
}

fn definition(folder: &Folder) -> String {
    folder
        .db()
        .query_row(
            "SELECT group_concat(sql, '; ') FROM sqlite_schema WHERE sql NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap()
}

#[test]
fn a_created_table_is_read_back_as_what_it_was() {
    let folder = Folder::empty();
    let fields = [
        "!id int64",
        "a int32",
        "b uint64",
        "c float32",
        "d float64",
        "e utf8",
        "f binary",
        "g json",
        "h date32",
        "i time64(us)",
        "j timestamp(us)",
        "k timestamp(us, UTC)",
        "l uuid",
        "m decimal(10, 2)",
        "n number",
        "o vector(2)",
        "p boolean",
    ];
    let schema = schema(&fields);
    let row = [
        "1",
        "2",
        "18446744073709551615",
        "0.5",
        "0.1",
        "007",
        "AP8=",
        "1.50",
        "2024-02-29",
        "10:00:00",
        "2024-02-29T10:00:00",
        "2024-02-29T10:00:00Z",
        "0191f2a0-0000-7000-8000-00000000000a",
        "1.10",
        "1.50",
        "[0.5,1.0]",
        "true",
    ];
    let cells: Vec<Option<&str>> = row.iter().map(|cell| Some(*cell)).collect();
    load(&folder, &schema, Conflict::Insert, 1, &[&cells]);
    let source = folder.source(json!({"table": "t"})).unwrap();
    let mut expected: Vec<String> = fields
        .iter()
        .map(|field| field.trim_start_matches('!').to_owned())
        .collect();
    expected.push("_rest json".to_owned());
    assert_eq!(types(source.schema()), expected);
    assert_eq!(read(source.as_ref()), lines(&rows(&schema, &[&cells])));
    assert_eq!(
        folder.dump("SELECT typeof(b), typeof(e), typeof(g), typeof(h), typeof(m), typeof(n), typeof(p), p FROM t"),
        ["'text' | 'text' | 'text' | 'text' | 'text' | 'text' | 'integer' | 1"]
    );
}

#[test]
fn odd_names_need_no_care() {
    let folder = Folder::empty();
    let schema = schema(&["!select int64", "a \"b\" utf8", "ü utf8", " utf8"]);
    let options = json!({"table": "order; drop \"t\""});
    let mut run = Run::start(folder.sink(options, &schema, Conflict::Upsert).unwrap(), 1);
    run.write(&rows(
        &schema,
        &[
            &[Some("1"), Some("x"), Some("y"), Some("z")],
            &[Some("1"), None, None, None],
        ],
    ));
    run.commit();
    run.finish();
    assert_eq!(
        folder.dump("SELECT * FROM \"order; drop \"\"t\"\"\""),
        ["1 | NULL | NULL | NULL"]
    );
}

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
    assert_eq!(fates, "wrrrrrrw");
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
fn values_sqlite_would_change_are_refused() {
    let folder = Folder::empty();
    let schema = schema(&["x float64", "v float64"]);
    let (fates, rejects) = load(
        &folder,
        &schema,
        Conflict::Insert,
        1,
        &[
            &[Some("NaN"), None],
            &[Some("0.0"), Some("-0.0")],
            &[Some("inf"), Some("-inf")],
        ],
    );
    assert_eq!(
        (fates.as_str(), rejects),
        (
            "rrw",
            vec![
                "0 sqlite::not_representable x".into(),
                "1 sqlite::not_representable v".into()
            ]
        )
    );
    assert_eq!(folder.dump("SELECT * FROM t"), ["inf | -inf"]);
}

#[test]
fn affinities_that_change_values_are_in_the_plan() {
    let folder = Folder::with(
        "CREATE TABLE t (a NUMERIC, b DECIMAL(10,2), c DATE, d JSON, e INTEGER, f REAL, g, h TEXT, i VARCHAR(9), j TIMESTAMP, k NUMERIC)",
    );
    let schema = schema(&[
        "a utf8",
        "b decimal(10, 2)",
        "c date32",
        "d json",
        "e utf8",
        "f int64",
        "g utf8",
        "h float64",
        "i int64",
        "j timestamp(us)",
        "k uint64",
    ]);
    let sink = folder
        .sink(json!({"table": "t"}), &schema, Conflict::Insert)
        .unwrap();
    let lossy: Vec<&str> = sink
        .plan()
        .columns
        .iter()
        .filter(|column| column.lossy.is_some())
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(lossy, ["a", "e", "f"]);
    let reason = sink.plan().columns[0].lossy.clone().unwrap();
    assert!(
        reason.contains("`007` becomes 7") && reason.contains("NUMERIC"),
        "{reason}"
    );
    // What is not called lossy comes back as it was, though SQLite stores it otherwise.
    let good: [&[Option<&str>]; 3] = [
        &[
            Some("x"),
            Some("1.10"),
            Some("2020-01-01"),
            Some("\"1.10\""),
            Some("y"),
            Some("5"),
            Some("007"),
            Some("0.30000000000000004"),
            Some("-7"),
            Some("2020-01-01T00:00:00"),
            Some("9"),
        ],
        &[
            None,
            Some("100.00"),
            None,
            Some("7"),
            None,
            None,
            None,
            Some("-0.0"),
            None,
            None,
            None,
        ],
        &[
            None,
            Some("-99999999.99"),
            None,
            Some("[1.10]"),
            None,
            None,
            None,
            Some("NaN"),
            None,
            None,
            None,
        ],
    ];
    let mut run = Run::start(sink, 1);
    let records = rows(&schema, &good);
    assert_eq!(fates(&run.write(&records), 3), "www");
    assert_eq!(
        row_hashes(&run.writer.read_back().unwrap()).unwrap(),
        row_hashes(&records).unwrap()
    );
    let bad = rows(
        &schema,
        &[
            &[
                None,
                None,
                None,
                Some("1.10"),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
            &[
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                Some("18446744073709551615"),
            ],
        ],
    );
    assert_eq!(fates(&run.write(&bad), 2), "rr");
    run.commit();
    assert_eq!(
        folder.dump("SELECT typeof(b), typeof(d), typeof(h), typeof(i) FROM t LIMIT 1"),
        ["'real' | 'text' | 'text' | 'text'"]
    );
}

#[test]
fn what_cannot_work_is_refused_in_the_plan() {
    let folder = Folder::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER, double INTEGER AS (size * 2)); CREATE VIEW v AS SELECT 1;",
    );
    let starts = |text: String, start: &str| assert!(text.starts_with(start), "{text}");
    starts(
        refused(&folder, &["id int64", "nam utf8"], Conflict::Insert),
        "sqlite::missing_column: table `t` has no column `nam`; add it (`ALTER TABLE \"t\" ADD COLUMN \"nam\" TEXT`), leave it out with a step (drop = [\"nam\"])",
    );
    starts(
        refused(&folder, &["name utf8", "double int64"], Conflict::Insert),
        "sqlite::generated_column",
    );
    starts(
        refused(&folder, &["id int64"], Conflict::Insert),
        "sqlite::not_null_column: `name` of table `t` must have a value",
    );
    starts(
        refused(&folder, &["!name utf8"], Conflict::Upsert),
        "sqlite::no_key: on_conflict = \"upsert\" needs a key, and table `t` has none for these columns; CREATE UNIQUE INDEX \"t_name\" ON \"t\" (\"name\")",
    );
    starts(
        refused(&Folder::empty(), &["name utf8"], Conflict::Skip),
        "sqlite::no_key",
    );
    starts(
        refused(&Folder::empty(), &["a utf8", "A utf8"], Conflict::Insert),
        "sqlite::same_name: `a` and `A` are the same column",
    );
    let with = |table: &str| {
        folder
            .sink(
                json!({"table": table}),
                &schema(&["a utf8"]),
                Conflict::Insert,
            )
            .err()
            .unwrap()
            .code()
    };
    assert_eq!(
        [with("v"), with("sqlite_stat9"), with("DKHOST_x")],
        [
            "sqlite::not_a_table",
            "sqlite::reserved_name",
            "sqlite::reserved_name"
        ]
    );
    let many: Vec<String> = (0..2001).map(|i| format!("c{i} utf8")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    starts(
        refused(&Folder::empty(), &many, Conflict::Insert),
        "sqlite::cannot_create: SQLite cannot create table `t`: too many columns",
    );
}

#[test]
fn a_strict_table_takes_what_it_declares() {
    let folder = Folder::with("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, x ANY) STRICT");
    for (fields, code) in [
        ("i utf8", true),
        ("b int64", true),
        ("s binary", true),
        ("r uuid", true),
        ("s uuid", false),
        ("x binary", false),
        ("i boolean", false),
        ("x utf8", false),
    ] {
        assert_eq!(
            folder
                .sink(json!({"table": "t"}), &schema(&[fields]), Conflict::Insert)
                .is_err(),
            code,
            "{fields}"
        );
    }
    let schema = schema(&["i int64", "s utf8", "b binary", "x utf8"]);
    load(
        &folder,
        &schema,
        Conflict::Insert,
        1,
        &[&[Some("1"), Some("007"), Some("AA=="), Some("007")]],
    );
    assert_eq!(
        folder.dump("SELECT * FROM t"),
        ["1 | NULL | '007' | x[00] | '007'"]
    );
}

#[test]
fn an_upsert_replaces_keeps_and_folds() {
    for table in [
        "CREATE TABLE t (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b))",
        "CREATE TABLE t (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE t (rowid TEXT, v TEXT, b INTEGER, a TEXT); CREATE UNIQUE INDEX i ON t(b, a)",
    ] {
        let folder = Folder::with(&format!(
            "{table}; INSERT INTO t (a, b, v) VALUES ('x', 1, 'old'), ('x', 2, 'same'), ('y', 1, 'other');"
        ));
        let schema = schema(&["v utf8", "!a utf8", "!b int64"]);
        let row = |v: &'static str, a: &'static str, b: &'static str| [Some(v), Some(a), Some(b)];
        let cells = [
            row("1st", "x", "1"),
            row("same", "x", "2"),
            row("2nd", "x", "1"),
            row("new", "z", "1"),
            row("newer", "z", "1"),
            row("other", "y", "1"),
            row("only", "q", "1"),
        ];
        let cells: Vec<&[Option<&str>]> = cells.iter().map(|cells| &cells[..]).collect();
        let mut run = Run::start(
            folder
                .sink(json!({"table": "t"}), &schema, Conflict::Upsert)
                .unwrap(),
            1,
        );
        let report = run.write(&rows(&schema, &cells));
        assert_eq!(fates(&report, 7), "duwdwuw", "{table}");
        let old = rows(&schema, &[&row("old", "x", "1")]);
        assert_eq!(
            (report.replaced, report.replaced_rows),
            (ContentSum::of(&old).unwrap(), 1)
        );
        let written = rows(&schema, &[cells[2], cells[4], cells[6]]);
        assert_eq!(
            row_hashes(&run.writer.read_back().unwrap()).unwrap(),
            row_hashes(&written).unwrap()
        );
        run.commit();
        run.finish();
        let held = folder.dump("SELECT a, b, v FROM t ORDER BY a, b");
        assert_eq!(
            held,
            [
                "'q' | 1 | 'only'",
                "'x' | 1 | '2nd'",
                "'x' | 2 | 'same'",
                "'y' | 1 | 'other'",
                "'z' | 1 | 'newer'"
            ]
        );
    }
}

#[test]
fn the_same_key_is_what_the_index_says() {
    let folder = Folder::with(
        "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v INTEGER); INSERT INTO t VALUES ('Ada', 1)",
    );
    let schema = schema(&["!k utf8", "v int64"]);
    let cells: Cells<'_> = &[
        &[Some("ADA"), Some("2")],
        &[Some("bob"), Some("1")],
        &[Some("ada"), Some("3")],
        &[Some("BOB"), Some("1")],
    ];
    let (fates, _) = load(&folder, &schema, Conflict::Upsert, 1, cells);
    assert_eq!(fates, "ddww");
    assert_eq!(
        folder.dump("SELECT * FROM t ORDER BY k"),
        ["'ada' | 3", "'BOB' | 1"]
    );
    let (fates, _) = load(
        &folder,
        &schema,
        Conflict::Skip,
        2,
        &[
            &[Some("Bob"), None],
            &[Some("cy"), None],
            &[Some("CY"), Some("1")],
        ],
    );
    assert_eq!(fates, "uwu");
}

#[test]
fn a_replacement_the_table_refuses_leaves_the_row_before_it() {
    let folder = Folder::with(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER CHECK (v < 10)); INSERT INTO t VALUES (1, 1)",
    );
    let schema = schema(&["!k int64", "v int64"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("5")],
        &[Some("1"), Some("50")],
        &[Some("2"), Some("6")],
        &[Some("2"), Some("60")],
    ];
    let (fates, rejects) = load(&folder, &schema, Conflict::Upsert, 1, cells);
    assert_eq!((fates.as_str(), rejects.len()), ("wrwr", 2));
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | 5", "2 | 6"]);
}

#[test]
fn replace_all_swaps_and_keeps_the_definition_and_what_hangs_on_it() {
    let folder = Folder::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'none', CHECK (name <> 'bad'));
         CREATE UNIQUE INDEX by_name ON t (name COLLATE NOCASE); CREATE INDEX plain ON t(name) WHERE id > 1;
         CREATE TABLE log (n); CREATE TRIGGER trail AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;
         CREATE TABLE child (t INTEGER REFERENCES t(id) ON DELETE CASCADE); CREATE VIEW seen AS SELECT name FROM t;
         INSERT INTO t VALUES (1, 'old'), (2, 'older'); INSERT INTO child VALUES (1);",
    );
    let before = definition(&folder);
    let schema = schema(&["!id int64", "name utf8"]);
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::ReplaceAll)
            .unwrap(),
        1,
    );
    let cells: Cells<'_> = &[
        &[Some("1"), Some("new")],
        &[Some("5"), Some("NEW")],
        &[Some("6"), Some("bad")],
        &[Some("7"), Some("newer")],
    ];
    assert_eq!(fates(&run.write(&rows(&schema, cells)), 4), "wrrw");
    run.commit();
    assert_eq!(folder.dump("SELECT name FROM seen"), ["'old'", "'older'"]);
    run.finish();
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | 'new'", "7 | 'newer'"]);
    assert_eq!(folder.dump("SELECT name FROM seen"), ["'new'", "'newer'"]);
    assert_eq!(folder.dump("SELECT * FROM child"), ["1"]);
    let sorted = |text: String| {
        let mut parts: Vec<String> = text
            .replace("TABLE \"t\"", "TABLE t")
            .split("; ")
            .map(str::to_owned)
            .collect();
        parts.sort();
        parts
    };
    assert_eq!(sorted(definition(&folder)), sorted(before));
    assert_eq!(folder.dump("PRAGMA integrity_check"), ["'ok'"]);
}

#[test]
fn the_plan_says_what_will_be_there() {
    let folder = Folder::with(
        "CREATE TABLE full (id INTEGER PRIMARY KEY); INSERT INTO full VALUES (1); CREATE TABLE empty (id INTEGER)",
    );
    let plan = |table: &str, conflict| {
        let sink = folder
            .sink(json!({"table": table}), &schema(&["!id int64"]), conflict)
            .unwrap();
        (
            sink.plan().fresh,
            sink.plan().effects[0].clone(),
            sink.plan().notes.clone(),
        )
    };
    assert_eq!(
        plan("full", Conflict::Insert),
        (false, "adds rows to table full".into(), vec![])
    );
    assert!(plan("full", Conflict::ReplaceAll).0 && plan("absent", Conflict::Insert).0);
    let (fresh, _, notes) = plan("empty", Conflict::Insert);
    assert!(
        fresh && notes[0].contains("no unique index on id"),
        "{notes:?}"
    );
    assert_eq!(
        folder.dump("SELECT name FROM sqlite_schema"),
        ["'full'", "'empty'"]
    );
    assert!(!folder.path().join("b.db").exists());
}

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
        "wr"
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

#[test]
fn a_table_may_be_copied_within_its_own_database() {
    let folder = Folder::with(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES (1, 'a'), (2, 'b')",
    );
    let source = folder
        .source_with(json!({"table": "s"}), |open| open.batch = common::small(1))
        .unwrap();
    let before = source.fingerprint(&[]).unwrap();
    let schema = schema(&["!id int64", "v utf8"]);
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    );
    let mut reader = source
        .read(
            &source.partitions().unwrap()[0],
            &dkhost_core::Position::start(),
        )
        .unwrap();
    while let Some(batch) = reader.next().unwrap() {
        run.write(&batch.records.project(&[0, 1]).unwrap());
        run.commit();
    }
    drop(reader);
    assert_eq!(source.fingerprint(&[]).unwrap(), before);
    run.finish();
    assert_eq!(
        folder.dump("SELECT * FROM t"),
        folder.dump("SELECT * FROM s")
    );
}

#[test]
fn two_jobs_do_not_replace_one_table_at_once() {
    let folder = Folder::with("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)");
    let schema = schema(&["n int64"]);
    let open = |table: &str, conflict| {
        folder
            .sink(json!({"table": table}), &schema, conflict)
            .unwrap()
    };
    let other = dkhost_core::Claim {
        job: "other".into(),
        run: "o".into(),
        plan_hash: "h".into(),
        epoch_floor: 0,
    };
    let mut killed = Run::start(open("t", Conflict::ReplaceAll), 1);
    killed.write(&rows(&schema, &[&[Some("1")]]));
    killed.commit();
    drop(killed);
    let error = open("T", Conflict::ReplaceAll).claim(&other).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("target::busy", Class::Locked)
    );
    let help = error.help_text().unwrap();
    assert!(
        help.contains("`job`") && help.contains("--no-resume"),
        "{help}"
    );
    // Other tables, and the same one in another mode, are none of its business.
    open("u", Conflict::ReplaceAll).claim(&other).unwrap();
    open("t", Conflict::Insert).claim(&other).unwrap();
    let mut resumed = Run::start(open("t", Conflict::ReplaceAll), 1);
    assert_eq!(resumed.checkpoint.seq, 1);
    resumed.write(&rows(&schema, &[&[Some("2")]]));
    resumed.commit();
    // Another run of the job that inserts takes nobody's staging table along.
    open("t", Conflict::Insert)
        .claim(&dkhost_core::Claim {
            run: "p".into(),
            ..other.clone()
        })
        .unwrap();
    let Run { writer, sink, .. } = resumed;
    drop(writer);
    sink.publish().unwrap();
    // Published, it is in nobody's way, retired or not.
    open("t", Conflict::ReplaceAll)
        .claim(&dkhost_core::Claim {
            run: "q".into(),
            ..other
        })
        .unwrap();
    assert_eq!(folder.dump("SELECT n FROM t"), ["1", "2"]);
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
        assert_eq!(fates, "wrwr");
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
        (Conflict::Upsert, "rrww", ["1 | 1", "2 | 7", "4 | 8"]),
        (Conflict::Skip, "uruw", ["1 | 1", "2 | 2", "4 | 8"]),
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

#[test]
fn a_value_that_cannot_be_read_is_no_null() {
    let folder = Folder::with(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 'abc'), (2, NULL)",
    );
    let schema = schema(&["!k int64", "v int64"]);
    let cells: Cells<'_> = &[&[Some("1"), None], &[Some("2"), None]];
    let (fates, _) = load(&folder, &schema, Conflict::Upsert, 1, cells);
    assert_eq!(fates, "wu");
    assert_eq!(folder.dump("SELECT * FROM t"), ["1 | NULL", "2 | NULL"]);
}
