//! Stores as targets.

use dkhost_core::content::row_hashes;
use dkhost_core::{Conflict, ContentSum, Field, LogicalType, Role, Schema};
use dkhost_servers::Database;
use serde_json::json;

use crate::python::{dataknobs, found};
use crate::source::{read, refused, with};
use crate::support::{copy, create, one_batch, open, sink};
use crate::target::{Run, fates, rows, schema, whys};

/// Records of an id and a number.
fn numbers() -> Schema {
    Schema::new(vec![
        Field::reserved(Role::Id),
        Field::new("n", LogicalType::Int64),
    ])
}

/// What the server knows about a table, its name aside.
fn definition(database: &Database, table: &str) -> String {
    let asked = format!(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute \
           LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum; \
         SELECT indexdef FROM pg_indexes WHERE schemaname || '.' || tablename = '{table}' ORDER BY indexname"
    );
    let (_, bare) = table.split_once('.').unwrap();
    database.sql(&asked).replace(bare, "TABLE")
}

/// Rows that only one of two stores has.
fn differences(database: &Database, a: &str, b: &str, columns: &str) -> String {
    let both =
        |a: &str, b: &str| format!("(SELECT {columns} FROM {a} EXCEPT SELECT {columns} FROM {b})");
    database.sql(&format!("{} UNION ALL {}", both(a, b), both(b, a)))
}

#[test]
fn dataknobs_reads_in_our_store_what_it_reads_in_its_own() {
    let database = with("");
    dataknobs("write", &database, "theirs");
    let report = copy(
        &database,
        json!({"table": "theirs"}),
        "ours",
        Conflict::Insert,
    );
    assert_eq!(whys(&report), [""; 0]);
    assert_eq!(
        differences(&database, "theirs", "ours", "id, data, metadata"),
        ""
    );
    assert_eq!(
        definition(&database, "public.theirs"),
        definition(&database, "public.ours")
    );
    let theirs = found(&database, "theirs");
    assert_eq!(theirs, found(&database, "ours"));
    assert_eq!(theirs["plain"]["fields"]["embedding"]["type"], "vector");
    assert_eq!(
        theirs["plain"]["metadata"]["nested"],
        json!({"k": [1, null, "é"]})
    );
    // It goes on writing there.
    database.sql("DELETE FROM ours");
    dataknobs("write", &database, "ours");
    assert_eq!(theirs, found(&database, "ours"));
}

#[test]
fn a_new_store_has_its_indexes_however_it_is_written() {
    let schema = numbers();
    for conflict in [Conflict::Insert, Conflict::ReplaceAll] {
        let database = with("CREATE SCHEMA crm");
        let mut run = Run::start(sink(&database, "crm.notes", &schema, conflict).unwrap(), 1);
        run.write(&rows(&schema, &[&[Some("a"), Some("1")]]));
        run.commit();
        run.finish();
        database.sql(&format!(
            "{} CREATE INDEX idx_theirs_data ON theirs USING GIN (data); CREATE INDEX idx_theirs_metadata ON theirs USING GIN (metadata)",
            create("theirs")
        ));
        assert_eq!(
            definition(&database, "crm.notes"),
            definition(&database, "public.theirs").replace("public.", "crm."),
            "{conflict:?}"
        );
        assert_eq!(
            database.sql("SELECT id, data FROM crm.notes"),
            "a|{\"n\": 1}"
        );
        // Replaced once more it still is the same table.
        let mut run = Run::start(
            sink(&database, "crm.notes", &schema, Conflict::ReplaceAll).unwrap(),
            2,
        );
        run.write(&rows(&schema, &[&[Some("b"), None]]));
        run.commit();
        run.finish();
        assert_eq!(
            database.sql("SELECT id, data FROM crm.notes"),
            "b|{\"n\": null}"
        );
        assert!(definition(&database, "crm.notes").contains("USING gin (metadata)"));
    }
}

#[test]
fn what_was_sent_is_what_is_held() {
    let database = with(&format!(
        "{} INSERT INTO theirs (id, data, metadata) SELECT 'id ' || n, jsonb_build_object('n', n, 'list', jsonb_build_array(n, NULL, 'ü'), 'o', '{{\"bb\": 1e300, \"a\": {{}}}}'::jsonb), \
           CASE WHEN n % 2 = 0 THEN jsonb_build_object('m', n) END FROM generate_series(1, 50) n;",
        create("theirs")
    ));
    let source = open(&database, json!({"table": "theirs"})).unwrap();
    let records = one_batch(source.as_ref());
    let target = sink(&database, "ours", source.schema(), Conflict::Upsert).unwrap();
    let notes = target.plan().notes.join("\n");
    assert!(
        notes.contains("jsonb keeps values") && notes.contains("created_at"),
        "{notes}"
    );
    let mut run = Run::start(target, 1);
    run.write(&records);
    let back = run.writer.read_back().unwrap();
    assert_eq!(row_hashes(&records).unwrap(), row_hashes(&back).unwrap());
    run.commit();
    let mut held = ContentSum::default();
    run.sink
        .scan(&mut |records| {
            held += ContentSum::of(&records)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(held, ContentSum::of(&records).unwrap());
    assert_eq!(run.sink.count().unwrap(), 50);
    // The same again changes nothing.
    let report = run.write(&records);
    assert_eq!(fates(&report, 50), "u".repeat(50));
    assert_eq!(report.replaced_rows, 0);
}

#[test]
fn an_upsert_keeps_the_creation_and_moves_the_update() {
    let old = "'2000-01-01', '2000-01-01'";
    let database = with(&format!(
        "{} INSERT INTO notes VALUES ('a', '{{\"n\": 1}}', NULL, {old}), ('b', '{{\"n\": 2}}', NULL, {old}), ('c', '{{\"n\": 3}}', NULL, NULL, NULL);",
        create("notes")
    ));
    let schema = numbers();
    let mut run = Run::start(
        sink(&database, "notes", &schema, Conflict::Upsert).unwrap(),
        1,
    );
    let sent = rows(
        &schema,
        &[
            &[Some("a"), Some("5")],
            &[Some("b"), Some("2")],
            &[Some("c"), Some("4")],
            &[Some("d"), None],
            &[Some("d"), Some("6")],
        ],
    );
    let report = run.write(&sent);
    assert_eq!(
        (fates(&report, 5).as_str(), report.replaced_rows),
        ("wuwdw", 2)
    );
    let old_rows = rows(&schema, &[&[Some("a"), Some("1")], &[Some("c"), Some("3")]]);
    assert_eq!(report.replaced, ContentSum::of(&old_rows).unwrap());
    run.commit();
    run.finish();
    let now = "CASE WHEN created_at > '2020-01-01' THEN 'now' ELSE created_at::date::text END, \
               CASE WHEN updated_at > '2020-01-01' THEN 'now' ELSE updated_at::date::text END";
    assert_eq!(
        database.sql(&format!("SELECT id, data, {now} FROM notes ORDER BY id")),
        "a|{\"n\": 5}|2000-01-01|now\nb|{\"n\": 2}|2000-01-01|2000-01-01\nc|{\"n\": 4}|now|now\nd|{\"n\": 6}|now|now"
    );
}

#[test]
fn insert_refuses_and_skip_keeps_what_is_there() {
    let schema = numbers();
    let sent = rows(&schema, &[&[Some("a"), Some("5")], &[Some("b"), Some("6")]]);
    for (conflict, outcomes, held) in [
        (Conflict::Insert, "xw", "a|{\"n\": 1}\nb|{\"n\": 6}"),
        (Conflict::Skip, "uw", "a|{\"n\": 1}\nb|{\"n\": 6}"),
        (Conflict::Upsert, "ww", "a|{\"n\": 5}\nb|{\"n\": 6}"),
        (Conflict::ReplaceAll, "ww", "a|{\"n\": 5}\nb|{\"n\": 6}"),
    ] {
        let database = with(&format!(
            "{} INSERT INTO records (id, data) VALUES ('a', '{{\"n\": 1}}')",
            create("records")
        ));
        let mut run = Run::start(sink(&database, "records", &schema, conflict).unwrap(), 1);
        let report = run.write(&sent);
        assert_eq!(fates(&report, 2), outcomes, "{conflict:?}");
        run.commit();
        run.finish();
        assert_eq!(
            database.sql("SELECT id, data FROM records ORDER BY id"),
            held,
            "{conflict:?}"
        );
    }
}

#[test]
fn timestamps_travel_when_asked_for() {
    let database = with(&format!(
        "{} INSERT INTO theirs VALUES ('a', '{{\"v\": {{\"name\": \"v\", \"type\": \"vector\", \"value\": [1], \"metadata\": {{\"x\": {{}}}}}}}}', '{{\"m\": {{\"n\": {{}}}}}}', '2001-02-03 04:05:06.789', '2002-01-01'), \
           ('b', '{{}}', NULL, NULL, '2003-01-01'), ('c', '{{}}', NULL, NULL, NULL);",
        create("theirs")
    ));
    for conflict in [Conflict::Insert, Conflict::Upsert] {
        let report = copy(
            &database,
            json!({"table": "theirs", "timestamps": true}),
            "ours",
            conflict,
        );
        let expected = if conflict == Conflict::Insert {
            "www"
        } else {
            "uuu"
        };
        assert_eq!(fates(&report, 3), expected);
        assert_eq!(
            database.sql("SELECT id, created_at IS NULL, updated_at IS NULL FROM ours WHERE id <> 'a' ORDER BY id"),
            "b|f|f\nc|f|f"
        );
        assert_eq!(
            differences(
                &database,
                "(SELECT * FROM theirs WHERE id = 'a') t",
                "(SELECT * FROM ours WHERE id = 'a') o",
                "*"
            ),
            ""
        );
    }
    // A time alone is reason enough to update.
    database.sql("UPDATE theirs SET updated_at = '2004-01-01' WHERE id = 'a'");
    let options = json!({"table": "theirs", "timestamps": true});
    let report = copy(&database, options, "ours", Conflict::Upsert);
    assert_eq!(fates(&report, 3), "wuu");
    assert_eq!(
        database.sql("SELECT created_at, updated_at FROM ours WHERE id = 'a'"),
        "2001-02-03 04:05:06.789|2004-01-01 00:00:00"
    );
}

#[test]
fn what_jsonb_would_lose_is_refused_record_by_record() {
    let database = with("");
    let schema = schema(&["!k utf8", "x float64", "j json", "t utf8"]);
    let mut run = Run::start(
        sink(&database, "records", &schema, Conflict::Upsert).unwrap(),
        1,
    );
    let report = run.write(&rows(
        &schema,
        &[
            &[None, None, None, None],
            &[Some("a"), Some("NaN"), None, None],
            &[Some("b"), Some("-0.0"), None, None],
            &[Some("c"), None, Some(r#"[{"x":1,"x":2}]"#), None],
            &[Some("d"), None, None, Some("a\0b")],
            &[Some("e"), None, Some("1e200000"), None],
            &[
                Some("f"),
                Some("1e300"),
                Some(r#"{"b":[1.50],"a":null}"#),
                Some("\\u0000 ü"),
            ],
            &[Some("nul\0"), None, None, None],
        ],
    ));
    assert_eq!(fates(&report, 8), "xxxxxxwx");
    let told: Vec<_> = report
        .rejects
        .iter()
        .map(|reject| (reject.row, reject.code.as_str(), reject.column.as_deref()))
        .collect();
    assert_eq!(
        told[..5],
        [
            (0, "dataknobs::no_id", None),
            (1, "json::not_a_number", Some("x")),
            (2, "postgres::negative_zero", Some("x")),
            (3, "postgres::duplicate_key", Some("j")),
            (4, "postgres::nul", Some("t")),
        ]
    );
    assert_eq!((told[5].0, told[6].0), (5, 7));
    run.commit();
    run.finish();
    let source = open(&database, json!({})).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&read(source.as_ref())[0]).unwrap(),
        json!({"_id": "f", "k": "f", "x": 1e300, "j": {"a": null, "b": [1.5]}, "t": "\\u0000 ü"})
    );
}

#[test]
fn other_stores_and_tables_that_are_none() {
    let database = with(
        "CREATE TABLE older (id VARCHAR(5) PRIMARY KEY, data JSON NOT NULL, metadata JSON, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, vector_v real[]);
         CREATE TABLE bare (id text PRIMARY KEY, data jsonb, metadata jsonb);
         CREATE TABLE none (key text, value text);",
    );
    let schema = schema(&["!id utf8", "n int64"]);
    let sent = rows(
        &schema,
        &[&[Some("a"), Some("1")], &[Some("too long"), None]],
    );
    let target = sink(&database, "older", &schema, Conflict::Upsert).unwrap();
    assert!(
        target
            .plan()
            .notes
            .iter()
            .any(|note| note.contains("vector_v"))
    );
    let mut run = Run::start(target, 1);
    assert_eq!(fates(&run.write(&sent), 2), "wx");
    run.commit();
    run.finish();
    assert_eq!(
        database
            .sql("SELECT id, data, created_at > '2020-01-01', updated_at = created_at FROM older"),
        "a|{\"id\": \"a\", \"n\": 1}|t|t"
    );
    let mut run = Run::start(
        sink(&database, "bare", &schema, Conflict::Upsert).unwrap(),
        1,
    );
    assert_eq!(fates(&run.write(&sent), 2), "ww");
    assert_eq!(fates(&run.write(&sent), 2), "uu");
    run.commit();
    run.finish();
    let code = |table: &str, schema: &Schema| {
        refused(sink(&database, table, schema, Conflict::Insert))
            .code()
            .to_owned()
    };
    assert_eq!(code("none", &schema), "postgres::missing_column");
    let no_id = crate::target::schema(&["n int64"]);
    assert_eq!(code("records", &no_id), "dataknobs::no_id");
}
