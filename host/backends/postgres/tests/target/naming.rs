//! Refusals name their column, where the server or its catalogue knows it; and texts that are no
//! value of their column refuse their record whatever state the server answers with.

use dkhost_core::{Conflict, Field, Schema};

use crate::support::{Cells, database, load, schema};

/// Why the second of two rows was refused; the first and a third like it are written.
fn why(sql: &str, schema: &Schema, conflict: Conflict, good: [&str; 2], bad: &str) -> String {
    let database = database(sql);
    let cells: Cells<'_> = &[
        &[Some("1"), Some(good[0])],
        &[Some("2"), Some(bad)],
        &[Some("3"), Some(good[1])],
    ];
    let (fates, whys) = load(&database, "t", schema, conflict, cells);
    assert_eq!(fates, "wxw", "{sql}: {whys:?}");
    assert_eq!(
        database.sql("SELECT count(*) FROM t WHERE id IN (1, 3)"),
        "2"
    );
    whys[0].clone()
}

#[test]
fn a_refusal_names_the_column_of_its_constraint() {
    let cases: [(&str, &str, [&str; 2], &str, &str); 7] = [
        (
            "v int CONSTRAINT small CHECK (v < 10)",
            "v int32",
            ["1", "2"],
            "10",
            "23514",
        ),
        ("v int REFERENCES o", "v int32", ["1", "1"], "2", "23503"),
        (
            "v int REFERENCES o DEFERRABLE INITIALLY DEFERRED",
            "v int32",
            ["1", "1"],
            "2",
            "23503",
        ),
        ("v int UNIQUE", "v int32", ["5", "6"], "5", "23505"),
        ("v mood", "v utf8", ["ok", "sad"], "mad", "22P02"),
        ("v even", "v int32", ["2", "4"], "3", "23514"),
        (
            "v numeric(4,1) CHECK (v < 10)",
            "v decimal(10,1)",
            ["1.5", "2.5"],
            "12345.0",
            "22003",
        ),
    ];
    for (column, field, good, bad, state) in cases {
        let sql = format!(
            "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0); \
             CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1); CREATE TABLE t (id int, {column})"
        );
        let schema = schema(&["id int32", field]);
        let why = why(&sql, &schema, Conflict::Insert, good, bad);
        assert!(
            why.contains(" v: ") && why.contains(state),
            "{column}: {why}"
        );
    }
}

#[test]
fn a_refusal_by_a_constraint_of_several_columns_names_them_all() {
    let sql = "CREATE TABLE t (id int, v int, CONSTRAINT apart CHECK (id <> v))";
    let schema = schema(&["id int32", "v int32"]);
    let why = why(sql, &schema, Conflict::Insert, ["5", "5"], "2");
    assert!(why.contains("columns id, v"), "{why}");
}

/// A column that a source of PostgreSQL read as text, of the type `spelled`.
fn spelled(spelled: &str) -> Schema {
    let mut schema = schema(&["!id int32", "v utf8"]);
    schema.fields[1].source_type = Some(spelled.to_owned());
    schema
}

#[test]
fn a_text_that_is_no_value_of_the_type_it_was_read_from_refuses_its_record() {
    let cases: [(&str, [&str; 2], &str); 14] = [
        ("interval", ["P1D", "PT2H"], "nope"),
        ("int4range", ["[1,3)", "empty"], "[3,1)"),
        ("inet", ["10.0.0.1/32", "::1/128"], "10.0.0.300"),
        ("bit(3)", ["101", "111"], "1012"),
        ("bit(3)", ["101", "111"], "10111"),
        ("tsvector", ["'a':1 'b':2", "'c'"], "'a"),
        ("tsquery", ["'a' & 'b'", "'c'"], "a &"),
        ("jsonpath", ["$.\"a\"", "$"], "$.["),
        ("point", ["(1,2)", "(3,4)"], "(1"),
        ("regclass", ["pg_class", "-"], "nothing_there"),
        ("regtype", ["integer", "text"], "nothing there"),
        (
            "regprocedure",
            ["sin(double precision)", "-"],
            "sin(nothing)",
        ),
        ("regnamespace", ["public", "pg_catalog"], "nowhere"),
        ("regrole", ["pg_monitor", "-"], "nobody_of_this_name"),
    ];
    for (ty, good, bad) in cases {
        for conflict in [
            Conflict::Insert,
            Conflict::Upsert,
            Conflict::Skip,
            Conflict::ReplaceAll,
        ] {
            let sql = format!("CREATE TABLE t (id int PRIMARY KEY, v {ty})");
            let why = why(&sql, &spelled(ty), conflict, good, bad);
            assert!(why.starts_with("1 postgres::"), "{ty}: {why}");
            assert!(why.contains(" v: "), "{ty}: {why}");
        }
    }
}

#[test]
fn a_text_that_is_no_value_of_the_key_refuses_its_record() {
    let mut schema = schema(&["id int32", "!v utf8"]);
    schema.fields[1].source_type = Some("inet".to_owned());
    let sql = "CREATE TABLE t (id int, v inet PRIMARY KEY)";
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::Skip] {
        let why = why(
            sql,
            &schema,
            conflict,
            ["10.0.0.1/32", "10.0.0.2/32"],
            "10.0.0.x",
        );
        assert!(why.starts_with("1 postgres::refused_value v: "), "{why}");
    }
}

#[test]
fn a_name_of_nothing_in_a_column_of_another_source_refuses_its_record() {
    let schema = Schema::new(vec![
        Field::new("id", "int32".parse().unwrap()),
        Field::new("v", "utf8".parse().unwrap()),
    ]);
    let sql = "CREATE TABLE t (id int, v regclass)";
    let why = why(
        sql,
        &schema,
        Conflict::Insert,
        ["pg_class", "pg_type"],
        "nothing_there",
    );
    assert!(
        why.contains(" v: ") && why.contains("nothing_there"),
        "{why}"
    );
}
