//! Tables, views and queries in; records out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use dkhost_core::{DeadLetter, Position, Source, StageKind};
use serde_json::{Value, json};
use support::{Folder, all, batches, lines, read, small, types};

fn check(sql: &str, options: Value, expected_types: &[&str], expected: &[&str]) {
    let folder = Folder::with(sql);
    let source = folder.source(options).unwrap();
    assert_eq!(types(source.schema()), expected_types);
    assert_eq!(read(source.as_ref()), expected);
}

#[test]
fn every_storage_class_arrives_exactly() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, r REAL, s TEXT, b BLOB, n);
         INSERT INTO t VALUES (1, 9223372036854775807, 0.1, 'ünï\"', x'00ff', NULL), (2, -9223372036854775808, 5, '', x'', NULL);",
        json!({"table": "t"}),
        &["id int64", "i int64", "r float64", "s utf8", "b binary", "n json", "_rest json"],
        &[
            r#"{"id":1,"i":9223372036854775807,"r":0.1,"s":"ünï\"","b":"AP8=","n":null}"#,
            r#"{"id":2,"i":-9223372036854775808,"r":5.0,"s":"","b":"","n":null}"#,
        ],
    );
}

#[test]
fn declared_types_are_honoured() {
    check(
        "CREATE TABLE t(ok BOOLEAN, born DATE, seen TIMESTAMP, price DECIMAL(10,2), doc JSON, u UUID);
         INSERT INTO t VALUES (1, '2024-02-29', '2024-02-29 10:00:00.5', 1.10, '{\"a\": 1}', '0191f2a0-0000-7000-8000-00000000000a');",
        json!({"table": "t"}),
        &["ok boolean", "born date32", "seen timestamp(us)", "price decimal(10, 2)", "doc json", "u uuid", "_rest json"],
        &[r#"{"ok":true,"born":"2024-02-29","seen":"2024-02-29T10:00:00.500000","price":1.10,"doc":{"a": 1},"u":"0191f2a0-0000-7000-8000-00000000000a"}"#],
    );
}

#[test]
fn a_value_that_does_not_fit_its_column_stays_in_the_rest() {
    let folder = Folder::with(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < 10000) INSERT INTO t SELECT i, i FROM c;
         INSERT INTO t VALUES (10001, 'many'), (10002, x'ff'), (10003, 1e999), (10004, 7);",
    );
    let source = folder.source(json!({"table": "t"})).unwrap();
    assert_eq!(
        types(source.schema()),
        ["id int64", "n int64", "_rest json"]
    );
    let last = &read(source.as_ref())[10_000..];
    assert_eq!(
        last,
        [
            r#"{"id":10001,"n":"many"}"#,
            r#"{"id":10002,"n":{"$binary":"/w=="}}"#,
            r#"{"id":10003,"n":{"$real":"inf"}}"#,
            r#"{"id":10004,"n":7}"#,
        ]
    );
}

#[test]
fn a_column_of_several_classes_is_json_and_says_so() {
    let folder =
        Folder::with("CREATE TABLE t(v); INSERT INTO t VALUES (1), ('1'), (1.5), (x'01'), (NULL);");
    let source = folder.source(json!({"table": "t"})).unwrap();
    assert_eq!(types(source.schema())[0], "v json");
    assert!(
        source
            .notes()
            .iter()
            .any(|note| note.contains("INTEGER and TEXT and REAL and BLOB")),
        "{:?}",
        source.notes()
    );
    assert_eq!(
        read(source.as_ref()),
        [
            r#"{"v":1}"#,
            r#"{"v":"1"}"#,
            r#"{"v":1.5}"#,
            r#"{"v":{"$binary":"AQ=="}}"#,
            r#"{"v":null}"#
        ]
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_bytes_and_its_place() {
    let folder = Folder::with(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT);
         INSERT INTO t VALUES (1, 'a'), (2, CAST(x'61ff' AS TEXT)), (3, 'b'), (4, CAST(x'fe' AS TEXT));",
    );
    let source = folder.source(json!({"table": "t"})).unwrap();
    let batch = &all(source.as_ref())[0];
    assert_eq!(
        lines(&batch.records),
        [r#"{"id":1,"s":"a"}"#, r#"{"id":3,"s":"b"}"#]
    );
    assert_eq!(batch.origin.as_deref(), Some(&[0, 2][..]));
    let codes: Vec<_> = batch
        .rejects
        .iter()
        .map(|r| (r.source_row, r.code.as_str(), r.column.as_deref()))
        .collect();
    assert_eq!(
        codes,
        [
            (1, "sqlite::not_utf8", Some("s")),
            (3, "sqlite::not_utf8", Some("s"))
        ]
    );
    assert_eq!(
        batch.source.payload(1).bytes,
        br#"{"id":2,"s":{"$text":"Yf8="}}"#
    );
    assert_eq!(batch.source.payload(2).bytes, br#"{"id":3,"s":"b"}"#);
    assert_eq!(batch.source.locator(3).to_string(), "table t, rowid 4");
    assert_eq!(batch.source.len(), 4);
}

#[test]
fn odd_names_need_no_care() {
    check(
        r#"CREATE TABLE "my ""odd"" tåble; drop"("select" INTEGER, "a b" TEXT, "ü""ü" TEXT, "" TEXT); INSERT INTO "my ""odd"" tåble; drop" VALUES (1, 'x', 'y', 'z');"#,
        json!({"table": "my \"odd\" tåble; drop"}),
        &[
            "select int64",
            "a b utf8",
            "ü\"ü utf8",
            " utf8",
            "_rest json",
        ],
        &[r#"{"select":1,"a b":"x","ü\"ü":"y","":"z"}"#],
    );
}

#[test]
fn a_column_called_like_the_rest_or_the_rowid_stays_itself() {
    check(
        "CREATE TABLE t(rowid TEXT, _rest TEXT, oid INTEGER); INSERT INTO t VALUES ('b', 'r', 2), ('a', 'r', 1);",
        json!({"table": "t"}),
        &["rowid utf8", "_rest utf8", "oid int64", "_rest_ json"],
        &[
            r#"{"rowid":"b","_rest":"r","oid":2}"#,
            r#"{"rowid":"a","_rest":"r","oid":1}"#,
        ],
    );
}

const KEYED: &str = "
    CREATE TABLE plain(k TEXT PRIMARY KEY, v); INSERT INTO plain VALUES ('b', 1), (NULL, 2), (NULL, 3), ('a', 4), ('c', 5);
    CREATE TABLE norow(a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO norow VALUES ('x', 2, 1), ('x', 1, 2), ('a', 9, 3), ('y', -1, 4), ('x', 3, 5);
    CREATE VIEW seen AS SELECT k, v FROM plain WHERE k IS NOT NULL;";

/// Read whole, and again from the position after every batch.
fn resumes_everywhere(source: &dyn Source) -> Vec<String> {
    let whole = read(source);
    for partition in source.partitions().unwrap() {
        let first = batches(source, &partition, &Position::start());
        for (i, batch) in first.iter().enumerate() {
            let rest: Vec<_> = batches(source, &partition, &batch.until)
                .iter()
                .flat_map(|b| lines(&b.records))
                .collect();
            let expected: Vec<_> = first[i + 1..]
                .iter()
                .flat_map(|b| lines(&b.records))
                .collect();
            assert_eq!(rest, expected, "after batch {i}");
        }
    }
    whole
}

#[test]
fn reading_goes_on_after_every_batch_whatever_the_key() {
    let folder = Folder::with(KEYED);
    for (options, key, order) in [
        (json!({"table": "plain"}), vec![], vec![1, 2, 3, 4, 5]),
        (json!({"table": "norow"}), vec![], vec![3, 2, 1, 5, 4]),
        (json!({"table": "seen"}), vec!["k"], vec![4, 1, 5]),
        (json!({"table": "seen"}), vec![], vec![1, 4, 5]),
        (
            json!({"query": "SELECT v, k FROM plain WHERE k > 'a' -- not all"}),
            vec!["k"],
            vec![1, 5],
        ),
        (
            json!({"query": "SELECT v, v AS v FROM plain ORDER BY v DESC;"}),
            vec![],
            vec![5, 4, 3, 2, 1],
        ),
        (
            json!({"query": "VALUES (1), (2)"}),
            vec!["column1"],
            vec![1, 2],
        ),
    ] {
        for rows in 1..4 {
            let source = folder
                .source_with(options.clone(), |open| {
                    open.key = key.iter().map(|k| (*k).to_owned()).collect();
                    open.batch = small(rows);
                })
                .unwrap();
            let column = if options["query"] == "VALUES (1), (2)" {
                "column1"
            } else {
                "v"
            };
            let seen: Vec<i64> = resumes_everywhere(source.as_ref())
                .iter()
                .map(|line| {
                    serde_json::from_str::<Value>(line).unwrap()[column]
                        .as_i64()
                        .unwrap()
                })
                .collect();
            assert_eq!(seen, order, "{options} in batches of {rows}");
        }
    }
}

#[test]
fn partitions_are_the_whole_table_and_nothing_twice() {
    let folder = Folder::with(
        "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (-5), (1), (2), (3), (1000), (9223372036854775807);",
    );
    for partitions in [1, 2, 3, 7, 100] {
        let source = folder
            .source_with(json!({"table": "t"}), |open| open.partitions = partitions)
            .unwrap();
        assert!(source.partitions().unwrap().len() <= partitions);
        // Rows that come later are in the first or the last slice.
        assert_eq!(resumes_everywhere(source.as_ref()).len(), 6, "{partitions}");
    }
    let source = folder
        .source_with(json!({"table": "t"}), |open| open.partitions = 3)
        .unwrap();
    folder
        .db()
        .execute_batch("INSERT INTO t VALUES (-100), (5000)")
        .unwrap();
    assert_eq!(read(source.as_ref()).len(), 8);
}

#[test]
fn a_batch_ends_at_its_bytes() {
    let folder = Folder::with(
        "CREATE TABLE t(b BLOB); INSERT INTO t VALUES (zeroblob(600)), (zeroblob(600)), (zeroblob(5000)), (zeroblob(1));",
    );
    let source = folder
        .source_with(json!({"table": "t"}), |open| {
            open.batch = dkhost_core::BatchSize {
                rows: 100,
                bytes: 1000,
            }
        })
        .unwrap();
    let sizes: Vec<_> = all(source.as_ref())
        .iter()
        .map(|batch| batch.records.num_rows())
        .collect();
    assert_eq!(sizes, [2, 1, 1]);
}

#[test]
fn a_row_added_while_a_partition_is_read_is_not_seen_half() {
    let folder = Folder::with(
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);",
    );
    let source = folder
        .source_with(json!({"table": "t"}), |open| open.batch = small(1))
        .unwrap();
    let mut reader = source
        .read(&source.partitions().unwrap()[0], &Position::start())
        .unwrap();
    let mut rows = reader.next().unwrap().unwrap().records.num_rows();
    folder
        .db()
        .execute_batch("INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 3")
        .unwrap();
    while let Some(batch) = reader.next().unwrap() {
        rows += batch.records.num_rows();
    }
    assert_eq!(rows, 3);
}

#[test]
fn without_a_key_a_changed_database_is_not_gone_on_with() {
    let folder = Folder::with(KEYED);
    let source = folder
        .source_with(json!({"query": "SELECT * FROM plain"}), |open| {
            open.batch = small(2)
        })
        .unwrap();
    let partition = &source.partitions().unwrap()[0];
    let until = batches(source.as_ref(), partition, &Position::start())[0]
        .until
        .clone();
    folder
        .db()
        .execute_batch("DELETE FROM plain WHERE k = 'b'")
        .unwrap();
    let error = source.read(partition, &until).err().unwrap();
    assert_eq!(error.code(), "source::changed");
    assert!(error.help_text().unwrap().contains("`key`"));
}

#[test]
fn an_altered_table_is_not_gone_on_with() {
    let folder = Folder::with(KEYED);
    let source = folder.source(json!({"table": "plain"})).unwrap();
    folder
        .db()
        .execute_batch("ALTER TABLE plain ADD COLUMN w")
        .unwrap();
    assert_eq!(
        source
            .read(&source.partitions().unwrap()[0], &Position::start())
            .err()
            .unwrap()
            .code(),
        "source::changed"
    );
}

#[test]
fn a_key_that_does_not_tell_records_apart_stops_the_run() {
    let folder = Folder::with(KEYED);
    for (query, code) in [
        ("SELECT 1 AS k FROM plain", "sqlite::key_not_unique"),
        ("SELECT k FROM plain", "sqlite::bad_key"),
    ] {
        let source = folder
            .source_with(json!({"query": query}), |open| open.key = vec!["k".into()])
            .unwrap();
        let mut reader = source
            .read(&source.partitions().unwrap()[0], &Position::start())
            .unwrap();
        assert_eq!(reader.next().unwrap_err().code(), code);
    }
}

#[test]
fn columns_and_key_are_chosen_by_name() {
    let folder = Folder::with(KEYED);
    let source = folder
        .source_with(json!({"table": "NOROW"}), |open| {
            open.columns = Some(vec!["v".into(), "b".into(), "A".into()])
        })
        .unwrap();
    assert_eq!(
        types(source.schema()),
        ["v int64", "b int64", "a utf8", "_rest json"]
    );
    let key: Vec<_> = source
        .schema()
        .key()
        .into_iter()
        .map(|i| source.schema().fields[i].name.as_str())
        .collect();
    assert_eq!(key, ["a", "b"]);
    assert_eq!(read(source.as_ref())[0], r#"{"v":3,"b":9,"a":"a"}"#);
    let declared = folder
        .source_with(json!({"table": "plain"}), |open| {
            open.key = vec!["v".into()]
        })
        .unwrap();
    assert_eq!(declared.schema().field("v").unwrap().key, Some(0));
}

#[test]
fn wrong_names_are_answered_with_the_right_ones() {
    let folder = Folder::with(KEYED);
    let error = |options: Value, column: Option<&str>| {
        let opened = folder.source_with(options, |open| {
            open.columns = column.map(|c| vec![c.to_owned()])
        });
        let error = opened.err().unwrap();
        format!(
            "{}: {error} | {} | {}",
            error.code(),
            error.place().map_or("", |p| p.1),
            error.help_text().unwrap_or("")
        )
    };
    assert_eq!(
        error(json!({"table": "pain"}), None),
        "sqlite::no_table: there is no table `pain` in a.db | did you mean `plain`? | the database has: norow, plain, seen"
    );
    assert_eq!(
        error(json!({"table": "plain"}), Some("kk")),
        "sqlite::no_column: `columns` names the column `kk`, which table `plain` does not have; did you mean `k`? |  | it has: k, v"
    );
    assert_eq!(
        error(json!({}), None),
        "sqlite::no_table_named: which table of a.db is to be read? | `table` or `query` is missing here | the database has: norow, plain, seen"
    );
    assert!(
        error(json!({"query": "SELEC 1"}), None).starts_with(
            "sqlite::bad_query: the query cannot be read: near \"SELEC\": syntax error"
        )
    );
    assert!(error(json!({"query": "DELETE FROM plain"}), None).starts_with("sqlite::bad_query"));
    assert!(
        error(json!({"query": "SELECT 1; DROP TABLE plain"}), None)
            .starts_with("sqlite::bad_query")
    );
    assert!(
        error(json!({"query": "PRAGMA journal_mode = DELETE"}), None)
            .starts_with("sqlite::bad_query")
    );
}

#[test]
fn a_source_changes_nothing_in_its_database() {
    let folder = Folder::with(KEYED);
    let path = folder.path().join("a.db");
    let before = std::fs::read(&path).unwrap();
    let source = folder.source(json!({"table": "plain"})).unwrap();
    read(source.as_ref());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let error = folder
        .source(json!({"path": "b.db", "table": "plain"}))
        .err()
        .unwrap();
    assert_eq!(error.code(), "io::not_found");
    assert!(!folder.path().join("b.db").exists());
}

fn letter(payload: &[u8], batch: &dkhost_core::Batch, row: usize) -> DeadLetter {
    DeadLetter {
        job: "job".into(),
        run: "run".into(),
        partition: 0,
        batch: 0,
        row: row as u32,
        source_id: None,
        locator: batch.source.locator(row),
        kind: StageKind::Write,
        stage: "target".into(),
        column: None,
        code: "x".into(),
        message: String::new(),
        plugin_digest: None,
        attempts: 1,
        repeats: None,
        payload: payload.to_vec(),
        media: "json".into(),
        payload_length: payload.len() as u64,
        payload_sha256: String::new(),
    }
}

#[test]
fn a_dead_letter_decodes_to_the_row_it_was() {
    let folder = Folder::with(
        "CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB, m, d DATE, p DECIMAL(20,3), j JSON);
         INSERT INTO t VALUES (1, 0.5, 'é', x'ff', 'x', '2024-01-01', 12345678901234.5, '{\"a\":  1}'), (9007199254740993, -1e999, '', x'', 5, NULL, 1, '7'), (NULL, NULL, NULL, NULL, x'00', NULL, NULL, NULL);",
    );
    let source = folder.source(json!({"table": "t"})).unwrap();
    let batch = &all(source.as_ref())[0];
    let letters: Vec<_> = (0..3)
        .map(|row| letter(&batch.source.payload(row).bytes, batch, row))
        .collect();
    let again = source.decode(&letters).unwrap();
    assert_eq!(again.records, batch.records);
    assert_eq!(again.source.locator(1), batch.source.locator(1));
    let broken = source.decode(&[letter(b"{\"i\":", batch, 0)]).unwrap();
    assert_eq!(
        (broken.records.num_rows(), broken.rejects[0].code.as_str()),
        (0, "sqlite::bad_payload")
    );
}

#[test]
fn an_empty_table_has_its_declared_types_and_no_batch() {
    let folder = Folder::with(
        "CREATE TABLE t(a INT, b FLOAT, c VARCHAR(9), d BLOB, e BOOLEAN, f DATETIME, g NUMERIC, h)",
    );
    let source = folder.source(json!({"table": "t"})).unwrap();
    assert_eq!(
        types(source.schema()),
        [
            "a int64",
            "b float64",
            "c utf8",
            "d binary",
            "e boolean",
            "f timestamp(us)",
            "g float64",
            "h json",
            "_rest json"
        ]
    );
    assert!(all(source.as_ref()).is_empty());
    assert_eq!(source.estimate().records, Some(0));
}
