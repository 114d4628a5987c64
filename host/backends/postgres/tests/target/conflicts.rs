//! A record whose key is there already: insert, upsert, skip, replace-all.

use dkhost_core::content::row_hashes;
use dkhost_core::{Conflict, ContentSum};

use crate::support::{
    Cells, Run, assert_no_leftovers, database, fates, load, refused, rows, schema, sink, sink_with,
    whys,
};

const TABLE: &str = "CREATE TABLE t (a text, b bigint, v text, PRIMARY KEY (a, b));";

const PARTITIONED: &str = "CREATE TABLE t (a text, b bigint, v text, PRIMARY KEY (a, b)) PARTITION BY LIST (a); \
    CREATE TABLE t_x PARTITION OF t FOR VALUES IN ('x'); CREATE TABLE t_rest PARTITION OF t DEFAULT;";

#[test]
fn an_upsert_replaces_keeps_and_folds() {
    for table in [TABLE, PARTITIONED] {
        let database = database(&format!(
            "{table} INSERT INTO t VALUES ('x', 1, 'old'), ('x', 2, 'same'), ('y', 1, 'other')"
        ));
        let schema = schema(&["v utf8", "!a utf8", "!b int64"]);
        let cells: Cells<'_> = &[
            &[Some("1st"), Some("x"), Some("1")],
            &[Some("same"), Some("x"), Some("2")],
            &[Some("2nd"), Some("x"), Some("1")],
            &[Some("new"), Some("z"), Some("1")],
            &[Some("newer"), Some("z"), Some("1")],
            &[Some("other"), Some("y"), Some("1")],
            &[Some("only"), Some("q"), Some("1")],
        ];
        let mut run = Run::start(sink(&database, "t", &schema, Conflict::Upsert).unwrap(), 1);
        let report = run.write(&rows(&schema, cells));
        assert_eq!(fates(&report, 7), "duwdwuw");
        let old = rows(&schema, &[&[Some("old"), Some("x"), Some("1")]]);
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
        assert_eq!(
            database.sql("SELECT * FROM t ORDER BY a, b"),
            "q|1|only\nx|1|2nd\nx|2|same\ny|1|other\nz|1|newer"
        );
    }
}

#[test]
fn of_rows_with_different_keys_each_is_told_its_own_fate() {
    for (conflict, told, held) in [
        (Conflict::Upsert, "wuww", "new|9|1\nsame|2|2\nnew|1|3\n|5|4"),
        (
            Conflict::Skip,
            "wuwu",
            "new|9|1\nsame|2|2\nnew|1|3\nold|5|4",
        ),
    ] {
        let database = database(
            "CREATE TABLE t (v text, w bigint, id bigint PRIMARY KEY); \
             INSERT INTO t VALUES ('same', 2, 2), ('old', 5, 4)",
        );
        let schema = schema(&["!id int64", "v utf8", "w int64"]);
        // One that was there differs in a number, a text, or not at all.
        let cells: Cells<'_> = &[
            &[Some("3"), Some("new"), Some("1")],
            &[Some("2"), Some("same"), Some("2")],
            &[Some("1"), Some("new"), Some("9")],
            &[Some("4"), None, Some("5")],
        ];
        let mut run = Run::start(sink(&database, "t", &schema, conflict).unwrap(), 1);
        let report = run.write(&rows(&schema, cells));
        assert_eq!(fates(&report, 4), told);
        let replaced = match conflict {
            Conflict::Upsert => rows(&schema, &[&[Some("4"), Some("old"), Some("5")]]),
            _ => rows(&schema, &[]),
        };
        assert_eq!(
            (report.replaced, report.replaced_rows),
            (
                ContentSum::of(&replaced).unwrap(),
                replaced.num_rows() as u64
            )
        );
        run.commit();
        run.finish();
        assert_eq!(database.sql("SELECT * FROM t ORDER BY id"), held);
    }
}

#[test]
fn keys_that_only_the_server_calls_equal_meet() {
    for (conflict, told, held) in [
        (Conflict::Upsert, "dw", "A|2"),
        (Conflict::Skip, "wu", "a|1"),
    ] {
        let database = database(
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE TABLE t (k text COLLATE loose PRIMARY KEY, v text)",
        );
        let schema = schema(&["!k utf8", "v utf8"]);
        let cells: Cells<'_> = &[&[Some("a"), Some("1")], &[Some("A"), Some("2")]];
        let (fates, _) = load(&database, "t", &schema, conflict, cells);
        assert_eq!(fates, told);
        assert_eq!(database.sql("SELECT * FROM t"), held);
    }
}

#[test]
fn what_was_replaced_is_counted_where_its_content_is_not_asked_for() {
    let database = database(&format!("{TABLE} INSERT INTO t VALUES ('x', 1, 'old')"));
    let schema = schema(&["!a utf8", "!b int64", "v utf8"]);
    let open = sink_with(&database, "t", &schema, Conflict::Upsert, |open| {
        open.content = false
    });
    let mut run = Run::start(open.unwrap(), 1);
    let report = run.write(&rows(&schema, &[&[Some("x"), Some("1"), Some("new")]]));
    assert_eq!(
        (report.replaced, report.replaced_rows),
        (ContentSum::default(), 1)
    );
}

#[test]
fn skip_keeps_what_is_there_and_the_first_of_two() {
    for table in [TABLE, PARTITIONED] {
        let database = database(&format!("{table} INSERT INTO t VALUES ('x', 1, 'old')"));
        let schema = schema(&["!a utf8", "!b int64", "v utf8"]);
        let cells: Cells<'_> = &[
            &[Some("x"), Some("1"), Some("new")],
            &[Some("y"), Some("1"), Some("first")],
            &[Some("y"), Some("1"), Some("second")],
        ];
        let (fates, _) = load(&database, "t", &schema, Conflict::Skip, cells);
        assert_eq!(fates, "uwu");
        assert_eq!(database.sql("SELECT v FROM t ORDER BY a"), "old\nfirst");
    }
}

#[test]
fn insert_refuses_what_is_there_and_the_second_of_two_by_name() {
    let database = database(&format!("{TABLE} INSERT INTO t VALUES ('x', 1, 'old')"));
    let schema = schema(&["!a utf8", "!b int64", "v utf8"]);
    let cells: Cells<'_> = &[
        &[Some("y"), Some("1"), Some("first")],
        &[Some("x"), Some("1"), Some("new")],
        &[Some("y"), Some("1"), Some("second")],
    ];
    let (fates, whys) = load(&database, "t", &schema, Conflict::Insert, cells);
    assert_eq!(fates, "wxx");
    for why in &whys {
        assert!(
            why.contains("postgres::constraint")
                && why.contains("\"t_pkey\"")
                && why.contains("23505"),
            "{why}"
        );
    }
    assert_eq!(database.sql("SELECT v FROM t ORDER BY a"), "old\nfirst");
}

#[test]
fn of_one_key_the_last_that_can_be_held_is_written() {
    let database = database(
        "CREATE TABLE t (k int PRIMARY KEY, v int CHECK (v < 10)); INSERT INTO t VALUES (1, 0)",
    );
    let schema = schema(&["!k int32", "v int32"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("1")],
        &[Some("1"), Some("2")],
        &[Some("1"), Some("99")],
        &[Some("2"), Some("99")],
        &[Some("3"), Some("3")],
    ];
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Upsert).unwrap(), 1);
    let report = run.write(&rows(&schema, cells));
    assert_eq!(fates(&report, 5), "dwxxw");
    let old = rows(&schema, &[&[Some("1"), Some("0")]]);
    assert_eq!(
        (report.replaced, report.replaced_rows),
        (ContentSum::of(&old).unwrap(), 1)
    );
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT * FROM t ORDER BY k"), "1|2\n3|3");
}

#[test]
fn a_key_without_a_value_meets_nothing_and_is_refused() {
    let database = database("CREATE TABLE t (k int UNIQUE, v int)");
    let schema = schema(&["!k int32", "v int32"]);
    let cells: Cells<'_> = &[&[None, Some("1")], &[Some("1"), None]];
    let (fates, whys) = load(&database, "t", &schema, Conflict::Upsert, cells);
    assert_eq!(fates, "xw");
    assert!(whys[0].starts_with("0 postgres::null_key k:"), "{whys:?}");
}

#[test]
fn without_an_index_to_meet_by_the_plan_says_which_is_missing() {
    let database = database("CREATE TABLE t (k int, v int, UNIQUE (k) DEFERRABLE)");
    let schema = schema(&["!k int32", "v int32"]);
    let error = refused(sink(&database, "t", &schema, Conflict::Upsert));
    assert_eq!(error.code(), "postgres::no_key");
    assert_eq!(
        error.help_text(),
        Some("CREATE UNIQUE INDEX ON \"public\".\"t\" (\"k\")")
    );
    assert!(error.to_string().contains("deferrable"), "{error}");
}

#[test]
fn without_an_index_on_the_job_s_key_the_plan_names_the_key_that_the_table_has() {
    let partitioned =
        "CREATE TABLE t (id int, day int, v int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)";
    let bare = "CREATE TABLE t (id int, day int, v int) PARTITION BY RANGE (day)";
    let deferrable = "CREATE TABLE t (id int, day int, v int, UNIQUE (day) DEFERRABLE)";
    let cases = [
        (
            partitioned,
            "!id int32",
            "set key = [\"id\", \"day\"] in [source]",
        ),
        (
            bare,
            "!id int32",
            "all columns that the table is partitioned by",
        ),
        (
            bare,
            "id int32",
            "all columns that the table is partitioned by",
        ),
        (deferrable, "id int32", "(\"day\")"),
    ];
    for (table, id, wanted) in cases {
        let database = database(table);
        let schema = schema(&[id, "day int32", "v int32"]);
        let error = refused(sink(&database, "t", &schema, Conflict::Upsert));
        assert_eq!(error.code(), "postgres::no_key");
        let help = error.help_text().unwrap_or_default();
        assert!(help.contains(wanted), "{table}: {help}");
    }
}

#[test]
fn replace_all_keeps_what_hangs_on_the_table_and_shows_nothing_before() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'd', n int GENERATED ALWAYS AS IDENTITY); \
         CREATE INDEX by_v ON t (v); COMMENT ON TABLE t IS 'ours'; COMMENT ON COLUMN t.v IS 'value'; \
         CREATE VIEW w AS SELECT v FROM t; GRANT SELECT ON t TO PUBLIC; INSERT INTO t VALUES (1, 'old')",
    );
    let what = "SELECT indexdef FROM pg_indexes WHERE tablename = 't' UNION ALL \
         SELECT relacl::text || obj_description(oid) FROM pg_class WHERE relname = 't' UNION ALL \
         SELECT column_default FROM information_schema.columns WHERE table_name = 't' AND column_name = 'v' UNION ALL \
         SELECT col_description('t'::regclass, 2)";
    let before = database.sql(what);
    let schema = schema(&["!id int32", "v utf8"]);
    let mut run = Run::start(
        sink(&database, "t", &schema, Conflict::ReplaceAll).unwrap(),
        1,
    );
    let cells: Cells<'_> = &[
        &[Some("7"), Some("new")],
        &[Some("7"), Some("twice")],
        &[Some("8"), None],
    ];
    let report = run.write(&rows(&schema, cells));
    assert_eq!(fates(&report, 3), "wxw");
    assert!(
        whys(&report)[0].contains("\"t_pkey\""),
        "{:?}",
        whys(&report)
    );
    run.commit();
    assert_eq!(database.sql("SELECT id, v FROM t"), "1|old");
    assert_eq!(run.sink.count().unwrap(), 2);
    run.finish();
    assert_eq!(database.sql("SELECT id, v FROM t ORDER BY id"), "7|new\n8|");
    assert_eq!(database.sql("SELECT * FROM w ORDER BY v"), "new");
    assert_eq!(database.sql(what), before);
    assert_no_leftovers(&database);
}

#[test]
fn replace_all_of_a_table_that_others_refer_to_is_refused_in_the_plan() {
    let database =
        database("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (t int REFERENCES t)");
    let error = refused(sink(
        &database,
        "t",
        &schema(&["!id int32"]),
        Conflict::ReplaceAll,
    ));
    assert_eq!(error.code(), "postgres::referred_to");
}

#[test]
fn replace_all_refuses_rows_that_the_target_will_refuse() {
    let database = database(
        "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1); \
         CREATE TABLE t (id int, o int REFERENCES other, up int, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
         CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
    );
    let schema = schema(&["!id int32", "o int32"]);
    let cells: Cells<'_> = &[
        &[Some("1"), Some("1")],
        &[Some("2"), Some("9")],
        &[Some("50"), Some("1")],
    ];
    let (fates, _) = load(&database, "t", &schema, Conflict::ReplaceAll, cells);
    assert_eq!(fates, "wxx");
    assert_eq!(database.sql("SELECT id FROM t"), "1");
}

#[test]
fn replace_all_makes_a_table_that_is_absent_visible_in_the_end() {
    let database = database("");
    let schema = schema(&["!id int32", "v utf8"]);
    let mut run = Run::start(
        sink(&database, "new.t", &schema, Conflict::ReplaceAll).unwrap(),
        1,
    );
    run.write(&rows(&schema, &[&[Some("1"), Some("a")]]));
    run.commit();
    assert_eq!(database.sql("SELECT to_regclass('new.t')"), "");
    run.finish();
    assert_eq!(database.sql("SELECT * FROM new.t"), "1|a");
    let key = "SELECT conname FROM pg_constraint WHERE conrelid = 'new.t'::regclass";
    assert_eq!(database.sql(key), "t_pkey");
    assert_no_leftovers(&database);
}

#[test]
fn two_jobs_do_not_replace_one_table_at_once() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    let schema = schema(&["!id int32"]);
    let mut first = Run::start(
        sink(&database, "t", &schema, Conflict::ReplaceAll).unwrap(),
        1,
    );
    first.write(&rows(&schema, &[&[Some("1")]]));
    first.commit();
    let other = sink_with(&database, "t", &schema, Conflict::ReplaceAll, |open| {
        open.job = "other".into();
    });
    let claim = dkhost_core::Claim {
        job: "other".into(),
        run: "run".into(),
        plan_hash: String::new(),
        epoch_floor: 0,
    };
    assert_eq!(refused(other.unwrap().claim(&claim)).code(), "target::busy");
    first.finish();
    assert_eq!(database.sql("SELECT * FROM t"), "1");
}

#[test]
fn keys_meet_as_what_their_column_makes_of_them() {
    let cases: [(&str, &str, [&str; 2]); 3] = [
        ("numeric(5,1)", "!k decimal(10,3)", ["1.040", "1.000"]),
        (
            "timestamp(0)",
            "!k timestamp(us)",
            ["2020-01-01T00:00:00.4", "2020-01-01T00:00:00"],
        ),
        ("time(0)", "!k time64(us)", ["00:00:00.4", "00:00:00"]),
    ];
    for (column, field, [one, other]) in cases {
        for (conflict, expected, kept) in
            [(Conflict::Upsert, "dw", "2"), (Conflict::Skip, "wu", "1")]
        {
            let database = database(&format!("CREATE TABLE t (k {column} PRIMARY KEY, v int)"));
            let cells: Cells<'_> = &[&[Some(one), Some("1")], &[Some(other), Some("2")]];
            let (fates, whys) = load(
                &database,
                "t",
                &schema(&[field, "v int32"]),
                conflict,
                cells,
            );
            assert_eq!(fates, expected, "{column}: {whys:?}");
            assert_eq!(database.sql("SELECT v FROM t"), kept, "{column}");
        }
    }
}
