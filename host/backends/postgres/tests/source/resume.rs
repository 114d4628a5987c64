//! Reading goes on from every position, and says so when it cannot.

use dkhost_core::{Class, Partition, Position, Source};
use dkhost_servers::{Database, Server, Settings, Stop};
use serde_json::{Value, json};

use crate::support::*;

/// Read whole, and again from the position after every batch.
fn resumes_everywhere(source: &dyn Source) -> Vec<String> {
    for partition in source.partitions().unwrap() {
        let first = batches(source, &partition, &Position::start());
        for (i, batch) in first.iter().enumerate() {
            let rest = said(&batches(source, &partition, &batch.until));
            assert_eq!(rest, said(&first[i + 1..]), "after batch {i}");
        }
    }
    read(source)
}

const KEYED: &str = "
    CREATE TYPE mood AS ENUM ('z', 'a');
    CREATE TABLE by_text(k text COLLATE \"en-x-icu\" PRIMARY KEY, v int); INSERT INTO by_text VALUES ('b', 1), ('B', 2), ('ä', 3), ('a', 4), ('', 5), (E'it''s\\\\', 6);
    CREATE TABLE by_two(a text, b int, v int, PRIMARY KEY (a, b)); INSERT INTO by_two VALUES ('x', 2, 1), ('x', 1, 2), ('a', 9, 3), ('y', -1, 4), ('x', 3, 5);
    CREATE TABLE by_char(k char(3) PRIMARY KEY, v int); INSERT INTO by_char VALUES ('b', 1), ('ab', 2), ('abc', 3);
    CREATE TABLE by_mood(k mood PRIMARY KEY, v int); INSERT INTO by_mood VALUES ('a', 1), ('z', 2);
    CREATE TABLE by_uuid(k uuid PRIMARY KEY, v int); INSERT INTO by_uuid SELECT md5(i::text)::uuid, i FROM generate_series(1, 5) i;
    CREATE TABLE by_time(k timestamptz PRIMARY KEY, v int); INSERT INTO by_time VALUES ('2024-01-01 00:00:00.000001+00', 1), ('0044-01-01 BC', 2), ('2024-01-01', 3);
    CREATE TABLE by_number(k numeric PRIMARY KEY, v int); INSERT INTO by_number VALUES (1.50, 1), (-3, 2), (1e20, 3), (0, 4);
    CREATE TABLE parted(k int PRIMARY KEY, v int) PARTITION BY RANGE (k);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (3); CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (3) TO (9);
    INSERT INTO parted SELECT i, i FROM generate_series(1, 5) i;
    CREATE VIEW seen AS SELECT k, v FROM by_text;";

#[test]
fn reading_goes_on_after_every_batch_whatever_the_key() {
    let database = with(KEYED);
    for (options, key, order) in [
        (json!({"table": "by_text"}), "", &[5, 2, 4, 1, 6, 3][..]),
        (json!({"table": "by_two"}), "", &[3, 2, 1, 5, 4]),
        (json!({"table": "by_char"}), "", &[2, 3, 1]),
        (json!({"table": "by_mood"}), "", &[2, 1]),
        (json!({"table": "by_time"}), "", &[2, 3, 1]),
        (json!({"table": "by_number"}), "", &[2, 4, 1, 3]),
        (json!({"table": "parted"}), "", &[1, 2, 3, 4, 5]),
        (json!({"table": "seen"}), "k", &[5, 2, 4, 1, 6, 3]),
        (
            json!({"query": "SELECT v, k FROM by_text WHERE v < 4 -- not all"}),
            "v",
            &[1, 2, 3],
        ),
        (
            json!({"table": "by_text", "fields": {"v": "utf8"}}),
            "v",
            &[1, 2, 3, 4, 5, 6],
        ),
    ] {
        let what = options.to_string();
        let source = source_with(&database.url, options, |open| {
            open.batch = small(1);
            open.key = key.split_terminator(',').map(str::to_owned).collect();
        })
        .unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
        let found: Vec<i64> = resumes_everywhere(source.as_ref())
            .iter()
            .map(|line| {
                let record: Value = serde_json::from_str(line).unwrap();
                record["v"]
                    .as_i64()
                    .or_else(|| record["v"].as_str()?.parse().ok())
                    .unwrap()
            })
            .collect();
        assert_eq!(found, order, "{what}");
    }
    let by_uuid = source_with(&database.url, json!({"table": "by_uuid"}), |open| {
        open.batch = small(2)
    })
    .unwrap();
    assert_eq!(resumes_everywhere(by_uuid.as_ref()).len(), 5);
}

#[test]
fn a_key_that_is_none_is_refused() {
    let database = with(
        "CREATE TABLE t(a int, b int); INSERT INTO t VALUES (1, 1), (1, 2), (2, NULL);
         CREATE VIEW v AS SELECT a, b FROM t WHERE b IS NOT NULL;",
    );
    let open = |table: &str, name: &str| {
        source_with(&database.url, json!({"table": table}), |open| {
            open.key = key(name)
        })
    };
    assert_eq!(refused(open("t", "a")).code(), "postgres::key_not_unique");
    assert_eq!(refused(open("t", "b")).code(), "postgres::bad_key");
    assert_eq!(refused(open("t", "c")).code(), "postgres::no_column");
    // What a view holds is seen while reading.
    let view = open("v", "a").unwrap();
    let mut reader = view
        .read(&view.partitions().unwrap()[0], &Position::start())
        .unwrap();
    assert_eq!(refused(reader.next()).code(), "postgres::key_not_unique");
}

#[test]
fn what_has_no_key_is_read_once_and_refuses_to_go_on() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5); CREATE VIEW v AS SELECT id FROM t;",
    );
    for options in [json!({"table": "v"}), json!({"query": "SELECT id FROM t"})] {
        let source = source_with(&database.url, options, |open| open.batch = small(2)).unwrap();
        let partition = &source.partitions().unwrap()[0];
        let first = batches(source.as_ref(), partition, &Position::start());
        assert_eq!(first.len(), 3);
        let error = refused(source.read(partition, &first[0].until));
        assert_eq!(error.code(), "source::changed");
        assert!(error.help_text().unwrap().contains("`key`"));
        assert!(
            source.notes().iter().any(|note| note.contains("one pass")),
            "{:?}",
            source.notes()
        );
    }
}

const PLAIN: &str = "CREATE TABLE t(v int, filler text); INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 500) i;";

#[test]
fn a_table_without_key_is_read_by_its_blocks_and_goes_on_after_every_batch() {
    let database = with(PLAIN);
    let source = source_with(&database.url, json!({"table": "t"}), |open| {
        open.batch = small(40);
        open.partitions = 3;
        open.columns = Some(key("v"));
    })
    .unwrap();
    assert_eq!(source.partitions().unwrap().len(), 3);
    let mut found = resumes_everywhere(source.as_ref());
    assert_eq!(found.len(), 500);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 500);
    let batch = &all(source.as_ref())[0];
    assert_eq!(
        batch.source.locator(1).to_string(),
        "table public.t, ctid (0,2)"
    );
}

/// A source that another process opens later, with the partitions of the first.
struct Later {
    partition: Partition,
    position: Position,
}

fn read_some(database: &Database, table: &str, repeatable: bool) -> Later {
    let source = open_again(database, table, repeatable);
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    let position = reader.next().unwrap().unwrap().until;
    Later {
        partition,
        position,
    }
}

fn open_again(database: &Database, table: &str, repeatable: bool) -> Box<dyn Source> {
    source_with(&database.url, json!({"table": table}), |open| {
        open.batch = small(3);
        open.repeatable = repeatable;
    })
    .unwrap()
}

#[test]
fn a_table_without_key_goes_on_later_only_if_nobody_wrote() {
    let database = with("CREATE TABLE t(v int); INSERT INTO t SELECT generate_series(1, 9);");
    let later = read_some(&database, "t", false);
    // A source that lives keeps others from rewriting its table.
    let goes_on = || -> dkhost_core::Result<usize> {
        let source = open_again(&database, "t", false);
        let mut reader = source.read(&later.partition, &later.position)?;
        let batches = std::iter::from_fn(|| reader.next().unwrap());
        Ok(batches.map(|batch| batch.records.num_rows()).sum())
    };
    assert_eq!(goes_on().unwrap(), 6);
    database.sql("UPDATE t SET v = 100 WHERE v = 1");
    let error = refused(goes_on());
    assert_eq!(error.code(), "source::changed");
    assert!(error.help_text().unwrap().contains("--no-resume"));
    database.sql("VACUUM FULL t");
    assert_eq!(refused(goes_on()).code(), "source::changed");
}

#[test]
fn a_row_committed_late_below_the_position_arrives_when_a_run_goes_on() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT i FROM generate_series(2, 20, 2) i;",
    );
    let later = read_some(&database, "t", true);
    database.sql("INSERT INTO t VALUES (1), (19), (30)");
    let source = open_again(&database, "t", true);
    let found = batches(source.as_ref(), &later.partition, &later.position);
    let ids = said(&found).join(",");
    assert_eq!(
        ids,
        [1, 8, 10, 12, 14, 16, 18, 19, 20]
            .map(|id| format!("{{\"id\":{id}}}"))
            .join(","),
        "what is late comes first, and what is above the ceiling not at all"
    );
    // Until the late rows are read the position stays, and then it is of the new moment.
    assert_eq!(found[0].until, later.position);
    assert_eq!(
        said(&batches(source.as_ref(), &later.partition, &found[1].until)),
        said(&found[2..])
    );
}

#[test]
fn a_row_committed_late_stops_a_run_whose_target_takes_nothing_twice() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT i FROM generate_series(2, 20, 2) i;",
    );
    let later = read_some(&database, "t", false);
    database.sql("INSERT INTO t VALUES (19)");
    let source = open_again(&database, "t", false);
    assert_eq!(
        said(&batches(source.as_ref(), &later.partition, &later.position)).len(),
        8,
        "above the position it may be"
    );
    database.sql("INSERT INTO t VALUES (1)");
    let source = open_again(&database, "t", false);
    let error = refused(source.read(&later.partition, &later.position));
    assert_eq!(error.code(), "source::changed");
    assert!(error.help_text().unwrap().contains("upsert"));
}

#[test]
fn one_run_sees_one_moment_however_often_it_reads() {
    let database = with(
        "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT i FROM generate_series(2, 20, 2) i;",
    );
    let source = open_again(&database, "t", false);
    let partition = &source.partitions().unwrap()[0];
    let whole = batches(source.as_ref(), partition, &Position::start());
    database.sql("INSERT INTO t VALUES (1), (9); DELETE FROM t WHERE id = 20;");
    assert_eq!(
        said(&batches(source.as_ref(), partition, &Position::start())),
        said(&whole)
    );
    assert_eq!(
        said(&batches(source.as_ref(), partition, &whole[0].until)),
        said(&whole[1..])
    );
    assert!(
        database
            .try_sql("SET lock_timeout = '300ms'; TRUNCATE t")
            .is_err(),
        "nobody empties it meanwhile"
    );
}

#[test]
fn a_table_that_was_altered_is_refused() {
    let database = with("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1);");
    let before = open_again(&database, "t", false).fingerprint(&[]).unwrap();
    database.sql("ALTER TABLE t ADD COLUMN v int");
    assert_ne!(
        open_again(&database, "t", false).fingerprint(&[]).unwrap(),
        before
    );
}

#[test]
fn a_server_that_restarts_between_batches_is_a_passing_trouble() {
    let mut server = Server::start(&Settings::default()).unwrap();
    server.sql("CREATE TABLE t(id int PRIMARY KEY, s text); INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 3000) i;").unwrap();
    let source = source_with(&server.url(), json!({"table": "t"}), |open| {
        open.batch = small(10)
    })
    .unwrap();
    let partition = &source.partitions().unwrap()[0];
    let mut reader = source.read(partition, &Position::start()).unwrap();
    let first = reader.next().unwrap().unwrap();
    server.stop(Stop::Immediate).unwrap();
    let mut position = first.until.clone();
    let error = loop {
        match reader.next() {
            Ok(Some(batch)) => position = batch.until,
            Ok(None) => panic!("the end was read from a server that is gone"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::Transient, "{}", error.chain());
    drop(reader);
    assert_eq!(
        refused(source.read(partition, &position)).class(),
        Class::Transient
    );
    server.start_again().unwrap();
    let rest = said(&batches(source.as_ref(), partition, &position));
    assert!(rest.last().unwrap().starts_with("{\"id\":3000,"));
    let read_before: usize = serde_json::from_value::<Vec<String>>(position.0["key"].clone())
        .unwrap()[0]
        .parse()
        .unwrap();
    assert_eq!(rest.len() + read_before, 3000);
}
