//! Incremental reads: nothing is missed, and what is at the boundary comes again.

use dkhost_core::{Incremental, Source};
use dkhost_servers::Database;
use serde_json::json;

use crate::support::*;

fn open(
    database: &Database,
    column: &str,
    cursor: Option<&str>,
    lookback: Option<&str>,
) -> dkhost_core::Result<Box<dyn Source>> {
    source_with(&database.url, json!({"table": "t"}), |open| {
        open.columns = Some(key("id"));
        open.incremental = Some(Incremental {
            column: column.into(),
            lookback: lookback.map(str::to_owned),
            cursor: cursor.map(str::to_owned),
            until: None,
        });
    })
}

fn ids(source: &dyn Source) -> Vec<u64> {
    let id = |line: &String| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
            .as_u64()
            .unwrap()
    };
    read(source).iter().map(id).collect()
}

const TABLE: &str = "
    CREATE TABLE t(id int PRIMARY KEY, at timestamptz, day date, n bigint, price numeric(10,2), s text, j json);
    INSERT INTO t VALUES
        (1, '2024-01-01 10:00+00', '2024-01-01', 10, 1.5, 'a'), (2, '2024-01-01 11:00+00', '2024-01-02', 20, 2.5, 'B'),
        (3, '2024-01-01 11:00+00', '2024-01-02', 20, 2.5, 'b'), (4, NULL, NULL, NULL, NULL, NULL);";

#[test]
fn the_first_run_reads_all_and_the_next_what_changed_and_what_shares_the_cursor() {
    let database = with(TABLE);
    for (column, greatest, more) in [
        ("at", "2024-01-01 11:00:00+00", "'2024-01-01 11:00+00'"),
        ("day", "2024-01-02", "'2024-01-02'"),
        ("n", "20", "20"),
        ("price", "2.50", "2.5"),
        ("s", "b", "'b'"),
    ] {
        database.sql("DELETE FROM t WHERE id > 4");
        let first = open(&database, column, None, None).unwrap();
        assert_eq!(ids(first.as_ref()), [1, 2, 3, 4], "{column}");
        assert_eq!(first.cursor().as_deref(), Some(greatest));
        database.sql(&format!(
            "INSERT INTO t(id, {column}) VALUES (5, {more}), (6, NULL)"
        ));
        let next = open(&database, column, first.cursor().as_deref(), None).unwrap();
        let expected: &[u64] = if column == "s" { &[3, 5] } else { &[2, 3, 5] };
        assert_eq!(ids(next.as_ref()), expected, "{column}");
        assert!(
            next.notes()
                .iter()
                .any(|note| note.contains("only the first run")),
            "{:?}",
            next.notes()
        );
    }
}

#[test]
fn a_lookback_reaches_back_from_the_cursor() {
    let database = with(TABLE);
    for (column, cursor, lookback, expected) in [
        ("at", "2024-01-01 11:00:00+00", "30m", &[2, 3][..]),
        ("at", "2024-01-01 11:00:00+00", "1h", &[1, 2, 3]),
        ("day", "2024-01-02", "1h", &[1, 2, 3]),
        ("n", "20", "10", &[1, 2, 3]),
        ("n", "20", "9", &[2, 3]),
        ("price", "2.50", "0.5", &[2, 3]),
    ] {
        let source = open(&database, column, Some(cursor), Some(lookback)).unwrap();
        assert_eq!(ids(source.as_ref()), expected, "{column} {lookback}");
    }
    let wrong = |column, cursor, lookback| refused(open(&database, column, Some(cursor), lookback));
    assert_eq!(wrong("s", "a", Some("10m")).code(), "source::lookback");
    assert_eq!(wrong("j", "1", None).code(), "source::cursor_type");
    assert_eq!(wrong("n", "soon", None).code(), "source::changed");
}

#[test]
fn a_run_that_is_taken_up_again_ends_where_it_would_have() {
    let database = with(TABLE);
    let first = open(&database, "n", None, None).unwrap();
    let partition = &first.partitions().unwrap()[0];
    database.sql("INSERT INTO t(id, n) VALUES (0, 30)");
    let again = source_with(&database.url, json!({"table": "t"}), |open| {
        open.columns = Some(key("id"));
        open.incremental = Some(Incremental {
            column: "n".into(),
            until: first.cursor(),
            ..Incremental::default()
        });
    })
    .unwrap();
    assert_eq!(again.cursor(), first.cursor());
    assert_eq!(
        said(&batches(
            again.as_ref(),
            partition,
            &dkhost_core::Position::start()
        ))
        .len(),
        4
    );
    assert_eq!(ids(again.as_ref()), [1, 2, 3, 4]);
}

#[test]
fn infinity_is_no_cursor() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY, at timestamp); INSERT INTO t VALUES (1, '2024-01-01'), (2, 'infinity');",
    );
    let source = open(&database, "at", None, None).unwrap();
    assert_eq!(source.cursor().as_deref(), Some("2024-01-01 00:00:00"));
    let empty = with("CREATE TABLE t(id int PRIMARY KEY, at timestamp)");
    assert_eq!(open(&empty, "at", None, None).unwrap().cursor(), None);
}
