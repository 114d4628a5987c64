//! Tables that are created, found and planned, and the values they hold.

use serde_json::json;

use super::{Cells, load, refused};
use crate::support::{Folder, Run, fates, lines, read, rows, schema, small, types};
use dkhost_core::Conflict;
use dkhost_core::content::row_hashes;

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
            "xxw",
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
    assert_eq!(fates(&run.write(&bad), 2), "xx");
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
}

#[test]
fn more_columns_than_a_table_can_have_are_refused_in_the_plan() {
    let folder = Folder::empty();
    let fields: Vec<String> = (0..100_000).map(|n| format!("k{n} int64")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let refused = refused(&folder, &fields, Conflict::Insert);
    assert!(
        refused.starts_with(
            "sqlite::too_many_columns: 100000 columns are to be written, and a table of SQLite has at most 2000"
        ),
        "{refused}"
    );
    // As many as it says.
    let schema = schema(&fields[..2000]);
    let sink = folder.sink(json!({"table": "t"}), &schema, Conflict::Insert);
    Run::start(sink.unwrap(), 1).finish();
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
fn a_table_may_be_copied_within_its_own_database() {
    let folder = Folder::with(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES (1, 'a'), (2, 'b')",
    );
    let source = folder
        .source_with(json!({"table": "s"}), |open| open.batch = small(1))
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
