//! Rows the server refuses: exactly those, each with its reason, however many there are.

use std::fmt::Write;

use arrow::array::RecordBatch;
use dkhost_core::{Conflict, Schema};

use crate::support::{Cells, Run, database, fates, load, rows, schema, sink, whys};

#[test]
fn bad_records_scattered_through_many_are_refused_alone() {
    for conflict in [
        Conflict::Insert,
        Conflict::Upsert,
        Conflict::Skip,
        Conflict::ReplaceAll,
    ] {
        let database = database("CREATE TABLE t (id bigint PRIMARY KEY, v int CHECK (v <> 13))");
        let schema = schema(&["!id int64", "v int32"]);
        let mut run = Run::start(sink(&database, "t", &schema, conflict).unwrap(), 1);
        let (mut refused, mut bad) = (0, 0);
        for first in (0..50_000_i64).step_by(8192) {
            let ids = first..(first + 8192).min(50_000);
            let texts: Vec<[String; 2]> = ids
                .map(|id| [id.to_string(), value(id).to_string()])
                .collect();
            bad += texts.iter().filter(|row| row[1] == "13").count();
            let report = run.write(&of(&schema, &texts));
            refused += report.rejects.len();
            for (row, fate) in fates(&report, texts.len()).chars().enumerate() {
                assert_eq!(fate == 'x', texts[row][1] == "13", "{:?}", texts[row]);
            }
            run.commit();
        }
        run.finish();
        assert_eq!((refused, bad), (1500, 1500));
        let held = database
            .sql("SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE v = 13) FROM t");
        assert_eq!(held, "48500|48500|0");
    }
}

/// 3 in 100 are bad, at places that look like chance.
fn value(id: i64) -> i64 {
    if (id * 7919) % 100 < 3 { 13 } else { 0 }
}

fn of<const N: usize>(schema: &Schema, texts: &[[String; N]]) -> RecordBatch {
    let cells: Vec<Vec<Option<&str>>> = texts
        .iter()
        .map(|row| row.iter().map(|text| Some(text.as_str())).collect())
        .collect();
    let cells: Vec<&[Option<&str>]> = cells.iter().map(Vec::as_slice).collect();
    rows(schema, &cells)
}

/// Writes one good row and one bad one; why the bad one was refused.
fn why(table: &str, fields: &[&str], good: &[Option<&str>], bad: &[Option<&str>]) -> String {
    let database = database(table);
    let schema = schema(fields);
    let (fates, whys) = load(&database, "t", &schema, Conflict::Insert, &[bad, good]);
    assert_eq!(fates, "xw", "{table}");
    whys[0].clone()
}

#[test]
fn every_kind_of_constraint_refuses_its_row_with_its_name() {
    let cases: [(&str, &[&str], &str, &str, &str); 9] = [
        (
            "CREATE TABLE t (v int CONSTRAINT small CHECK (v < 10))",
            &["v int32"],
            "1",
            "10",
            "23514",
        ),
        (
            "CREATE TABLE t (v varchar(3))",
            &["v utf8"],
            "abc",
            "abcd",
            "too_long",
        ),
        (
            "CREATE TABLE t (v int)",
            &["v int64"],
            "1",
            "3000000000",
            "out_of_range",
        ),
        (
            "CREATE TABLE t (v smallint)",
            &["v int32"],
            "1",
            "70000",
            "",
        ),
        (
            "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TABLE t (v mood)",
            &["v utf8"],
            "ok",
            "mad",
            "22P02",
        ),
        (
            "CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0); CREATE TABLE t (v even)",
            &["v int32"],
            "2",
            "3",
            "23514",
        ),
        (
            "CREATE TABLE t (v int4range, EXCLUDE USING gist (v WITH &&)); INSERT INTO t VALUES ('[5,6)')",
            &["v utf8"],
            "[1,3)",
            "[5,9)",
            "23P01",
        ),
        (
            "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1); CREATE TABLE t (v int REFERENCES o DEFERRABLE INITIALLY DEFERRED)",
            &["v int32"],
            "1",
            "2",
            "23503",
        ),
        (
            "CREATE TABLE t (v int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (2)",
            &["v int32"],
            "1",
            "2",
            "23505",
        ),
    ];
    for (table, fields, good, bad, state) in cases {
        let why = why(table, fields, &[Some(good)], &[Some(bad)]);
        assert!(why.contains(state), "{table}: {why}");
        assert!(why.starts_with("0 postgres::"), "{why}");
    }
}

#[test]
fn a_missing_value_is_refused_with_its_column() {
    let why = why(
        "CREATE TABLE t (v int NOT NULL)",
        &["v int32"],
        &[Some("1")],
        &[None],
    );
    assert!(why.starts_with("0 postgres::constraint v:"), "{why}");
    assert!(why.contains("23502"), "{why}");
}

#[test]
fn a_text_the_server_cannot_hold_is_refused_before_it_is_sent() {
    let why = why(
        "CREATE TABLE t (v text)",
        &["v utf8"],
        &[Some("ab")],
        &[Some("a\0b")],
    );
    assert!(why.contains("NUL"), "{why}");
}

#[test]
fn a_value_that_its_column_would_change_is_refused() {
    let cases: [(&str, &str, &str, &str); 2] = [
        ("integer", "v number", "1", "1.5"),
        ("integer[]", "v json", "[1,2]", "[1.5]"),
    ];
    for (ty, field, good, bad) in cases {
        let why = why(
            &format!("CREATE TABLE t (v {ty})"),
            &[field],
            &[Some(good)],
            &[Some(bad)],
        );
        assert!(why.starts_with("0 postgres::"), "{ty}: {why}");
    }
}

#[test]
fn a_trigger_that_raises_refuses_its_row_with_its_words() {
    let table = "CREATE TABLE t (v int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN IF new.v = 13 THEN RAISE EXCEPTION ''unlucky''; END IF; RETURN new; END'; \
        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let why = why(table, &["v int32"], &[Some("1")], &[Some("13")]);
    assert!(why.contains("unlucky") && why.contains("P0001"), "{why}");
}

#[test]
fn a_row_that_a_trigger_keeps_out_is_counted_as_refused() {
    let table = "CREATE TABLE t (k int PRIMARY KEY, v int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN IF new.v = 13 THEN RETURN NULL; END IF; RETURN new; END'; \
        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO t VALUES (5, 5)";
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::Skip] {
        let database = database(table);
        let schema = schema(&["!k int32", "v int32"]);
        let cells: Cells<'_> = &[
            &[Some("1"), Some("1")],
            &[Some("2"), Some("13")],
            &[Some("3"), Some("3")],
        ];
        let (fates, whys) = load(&database, "t", &schema, conflict, cells);
        assert_eq!(fates, "wxw", "{conflict:?}");
        assert!(whys[0].starts_with("1 postgres::ignored"), "{whys:?}");
        assert_eq!(database.sql("SELECT k FROM t ORDER BY k"), "1\n3\n5");
    }
}

#[test]
fn rows_that_refer_to_later_rows_of_their_batch_are_written_beside_a_bad_one() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t)");
    let schema = schema(&["!id int32", "up int32"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("2")],
        &[Some("2"), Some("3")],
        &[Some("3"), None],
        &[Some("4"), Some("99")],
        &[Some("5"), Some("4")],
        &[Some("6"), Some("1")],
        &[Some("7"), Some("8")],
        &[Some("8"), Some("7")],
    ];
    let (fates, _) = load(&database, "t", &schema, Conflict::Insert, cells);
    assert_eq!(&fates[..6], "wwwxxw");
    assert_eq!(database.sql("SELECT count(*) FROM t WHERE id < 7"), "4");
}

#[test]
fn a_row_without_a_partition_is_refused() {
    let table = "CREATE TABLE t (v int) PARTITION BY RANGE (v); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)";
    let why = why(table, &["v int32"], &[Some("1")], &[Some("10")]);
    assert!(why.contains("23514"), "{why}");
}

#[test]
fn the_words_of_a_refusal_name_what_the_server_named() {
    let database = database("CREATE TABLE t (v int CONSTRAINT \"Odd %name\" CHECK (v > 0))");
    let schema = schema(&["v int32"]);
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Insert).unwrap(), 1);
    let report = run.write(&rows(&schema, &[&[Some("-1")]]));
    let mut all = String::new();
    whys(&report)
        .iter()
        .for_each(|why| writeln!(all, "{why}").unwrap());
    assert!(all.contains("Odd %name") && all.contains("23514"), "{all}");
}

#[test]
fn a_trigger_that_defers_constraints_does_not_hide_which_row_is_bad() {
    let table = "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1); \
        CREATE TABLE t (k int PRIMARY KEY, v int CONSTRAINT known REFERENCES o DEFERRABLE); \
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN new; END'; \
        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::Skip] {
        let database = database(table);
        let schema = schema(&["!k int32", "v int32"]);
        let cells: Cells<'_> = &[
            &[Some("1"), Some("1")],
            &[Some("2"), Some("99")],
            &[Some("3"), Some("1")],
        ];
        let (fates, whys) = load(&database, "t", &schema, conflict, cells);
        assert_eq!(fates, "wxw", "{conflict:?}");
        assert!(
            whys[0].contains("known") && whys[0].contains("23503"),
            "{whys:?}"
        );
        assert_eq!(database.sql("SELECT k FROM t ORDER BY k"), "1\n3");
    }
}

#[test]
fn a_row_stands_in_for_a_later_one_of_its_key_that_is_refused_once_all_are_written() {
    let table = "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1); \
        CREATE TABLE t (k int PRIMARY KEY, v int REFERENCES o DEFERRABLE); \
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN new; END'; \
        CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()";
    let database = database(table);
    let schema = schema(&["!k int32", "v int32"]);
    let cells: Cells<'_> = &[&[Some("1"), Some("1")], &[Some("1"), Some("99")]];
    let (fates, _) = load(&database, "t", &schema, Conflict::Upsert, cells);
    assert_eq!(fates, "wx");
    assert_eq!(database.sql("SELECT k, v FROM t"), "1|1");
}
