//! Partitions: together everything, each row once.

use std::collections::BTreeSet;

use dkhost_core::Position;
use dkhost_servers::Database;
use serde_json::json;

use crate::support::*;

/// How many rows each partition has; together they are `expected` different ones.
fn check(database: &Database, table: &str, wanted: usize, expected: usize) -> Vec<usize> {
    let source = source_with(&database.url, json!({"table": table}), |open| {
        open.partitions = wanted
    })
    .unwrap();
    let mut all = BTreeSet::new();
    let counts: Vec<usize> = source
        .partitions()
        .unwrap()
        .iter()
        .map(|partition| {
            let lines = said(&batches(source.as_ref(), partition, &Position::start()));
            let count = lines.len();
            for line in lines {
                assert!(all.insert(line.clone()), "{line} was read twice");
            }
            count
        })
        .collect();
    assert_eq!(all.len(), expected, "{table}: {counts:?}");
    counts
}

const SKEWED: &str = "
    CREATE TABLE numbers(id bigint PRIMARY KEY);
    INSERT INTO numbers SELECT i FROM generate_series(1, 4000) i; INSERT INTO numbers SELECT 1000000000000 + i FROM generate_series(1, 10) i;
    CREATE TABLE texts(k text COLLATE \"en-x-icu\" PRIMARY KEY);
    INSERT INTO texts SELECT CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'ä' END || i FROM generate_series(1, 3000) i;
    CREATE TABLE pairs(tenant int, id int, PRIMARY KEY (tenant, id)); INSERT INTO pairs SELECT 1, i FROM generate_series(1, 3000) i; INSERT INTO pairs VALUES (2, 1), (3, 1);
    CREATE TABLE few(id int PRIMARY KEY); INSERT INTO few VALUES (1);";

#[test]
fn ranges_of_skewed_keys_have_about_as_many_rows_each() {
    for analyzed in [false, true] {
        let database = with(SKEWED);
        if analyzed {
            database.sql("ANALYZE");
        }
        for (table, wanted, rows) in [("numbers", 4, 4010), ("texts", 4, 3000)] {
            let counts = check(&database, table, wanted, rows);
            assert_eq!(counts.len(), wanted, "{table}");
            assert!(
                counts.iter().all(|count| *count > rows / wanted / 2),
                "{table}: {counts:?}"
            );
        }
        check(&database, "pairs", 4, 3002);
        check(&database, "few", 4, 1);
    }
}

#[test]
fn values_of_a_column_are_slices_and_all_other_rows_one_more() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY, region text); INSERT INTO t VALUES (1, 'eu'), (2, 'us'), (3, NULL), (4, 'EU'), (5, 'eu'), (6, '');
         CREATE TABLE keyless(region text, n numeric); INSERT INTO keyless VALUES ('eu', 1), ('us', 1.0), (NULL, 2);",
    );
    let slices = |table: &str, column: &str, values: &[&str]| {
        source_with(&database.url, json!({"table": table}), |open| {
            open.partition_by = Some((
                column.into(),
                values.iter().map(|v| (*v).to_owned()).collect(),
            ));
        })
    };
    let counts = |table: &str, column: &str, values: &[&str]| -> Vec<usize> {
        let source = slices(table, column, values).unwrap();
        let partitions = source.partitions().unwrap();
        partitions
            .iter()
            .map(|p| said(&batches(source.as_ref(), p, &Position::start())).len())
            .collect()
    };
    assert_eq!(counts("t", "region", &["eu", "us"]), [2, 1, 3]);
    assert_eq!(counts("t", "id", &["5", "99"]), [1, 0, 5]);
    assert_eq!(counts("keyless", "n", &["1"]), [2, 1]);
    assert_eq!(
        refused(slices("keyless", "n", &["1", "1.00"])).code(),
        "source::partition_value"
    );
    assert_eq!(
        refused(slices("t", "id", &["many"])).code(),
        "source::partition_value"
    );
    assert_eq!(
        refused(slices("t", "regoin", &["eu"])).code(),
        "postgres::no_column"
    );
    let label = &slices("t", "region", &["eu"])
        .unwrap()
        .partitions()
        .unwrap()[0]
        .label;
    assert_eq!(label, "table `t`, region = eu");
}

#[test]
fn tables_that_others_inherit_from_are_read_with_them() {
    let database = with(
        "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b() INHERITS (a); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3);",
    );
    // Both may have the same id, so the key of one is no key of all.
    let found = source(&database, json!({"table": "a"})).unwrap();
    assert_eq!(read(found.as_ref()).len(), 3);
    assert!(found.schema().key().is_empty());
}
