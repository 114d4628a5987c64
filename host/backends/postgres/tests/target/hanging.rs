//! What hangs on a table that is brought to another version: kept, told, or named in a refusal.

use dkhost_core::{Conflict, ConstraintRule, Reshape};

use crate::support::{Cells, assert_no_leftovers, database, refused, schema};
use crate::versions::{load, open, pairs, range, reshape, rule, texts, told};

/// The error of a migration that the plan refuses: code, message and help.
fn why(sql: &str, fields: &[&str], reshape: &Reshape) -> String {
    let database = database(sql);
    let error = refused(open(&database, &schema(fields), reshape));
    assert_no_leftovers(&database);
    let help = error.help_text().unwrap_or_default();
    assert!(!help.is_empty(), "{error}");
    format!("{} {} | {help}", error.code(), error.chain())
}

#[test]
fn what_uses_a_column_that_goes_or_gets_another_type_is_named() {
    let removes = Reshape {
        removed: texts(&["v"]),
        ..reshape()
    };
    let function =
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';";
    let cases = [
        ("CREATE VIEW w AS SELECT v FROM t", "view w uses"),
        (
            "CREATE MATERIALIZED VIEW w AS SELECT v FROM t",
            "materialized view w uses",
        ),
        (
            "ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (v + 1) STORED",
            "generated column g uses",
        ),
        (
            &format!(
                "{function} CREATE TRIGGER g AFTER UPDATE OF v ON t FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            "trigger g on table t uses",
        ),
        (
            "CREATE POLICY p ON t USING (v > 0)",
            "policy p on table t uses",
        ),
        (
            "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(v) FROM t; END",
            "function f() uses",
        ),
        (
            "CREATE PUBLICATION p FOR TABLE t (id, v) WHERE (v > 0)",
            "publication of table t in publication p uses",
        ),
        (
            "CREATE UNIQUE INDEX ON t (v); ALTER TABLE t ADD COLUMN up int CONSTRAINT parent REFERENCES t (v)",
            "foreign key parent uses",
        ),
    ];
    for (hanging, named) in cases {
        let sql = format!("CREATE TABLE t (id int PRIMARY KEY, v int); {hanging}");
        let goes = why(&sql, &["!id int32"], &removes);
        let whole = format!("postgres::depends {named} column `v` of table `t`, which goes |");
        assert!(goes.starts_with(&whole), "{goes}");
        let retyped = why(&sql, &["!id int32", "v utf8"], &reshape());
        let whole =
            format!("postgres::depends {named} column `v` of table `t`, which gets another type |");
        assert!(retyped.starts_with(&whole), "{retyped}");
    }
}

#[test]
fn whole_rows_elsewhere_keep_columns_from_getting_another_type() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE log (old t)";
    let why = why(sql, &["!id int32", "v utf8"], &reshape());
    assert!(
        why.starts_with("postgres::depends column log.old, which has whole rows, uses column `v`"),
        "{why}"
    );
}

#[test]
fn a_foreign_key_stays_as_long_as_its_columns_can_be_compared() {
    let database = database(
        "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (7); \
         CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t, o int CONSTRAINT known REFERENCES o)",
    );
    let wide = schema(&["!id int64", "up int64", "o int64"]);
    let sink = open(&database, &wide, &reshape()).unwrap();
    let cells: Cells<'_> = &[
        &[Some("1"), None, Some("7")],
        &[Some("2"), Some("1"), Some("8")],
        &[Some("3"), Some("1"), None],
    ];
    let (fates, whys) = load(sink, &wide, cells);
    assert_eq!(fates, "wxw", "{whys:?}");
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"),
        "2"
    );
    let texts = schema(&["!id int64", "up int64", "o utf8"]);
    let error = refused(open(&database, &texts, &reshape()));
    assert!(
        error
            .to_string()
            .starts_with("foreign key known uses column `o`"),
        "{error}"
    );
    // What goes with its column is told.
    let without = Reshape {
        removed: vec!["o".to_owned()],
        ..reshape()
    };
    let sink = open(&database, &schema(&["!id int64", "up int64"]), &without).unwrap();
    let told = told(sink.as_ref());
    assert!(
        told.contains(&"drops foreign key known along with column o".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_table_that_others_refer_to_is_not_replaced() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE o (t int REFERENCES t)";
    let why = why(sql, &["!id int64"], &reshape());
    assert!(
        why.starts_with("postgres::referred_to rows of o refer"),
        "{why}"
    );
}

#[test]
fn defaults_and_indexes_that_do_not_fit_a_new_type_are_named() {
    let cases = [
        (
            "v text DEFAULT 'x'",
            "default for column \"v\" cannot be cast",
        ),
        (
            "v text, CHECK (v <> 'x')",
            "operator does not exist: integer <> text",
        ),
        (
            "v text); CREATE INDEX ON t (lower(v)",
            "function lower(integer) does not exist",
        ),
    ];
    for (column, said) in cases {
        let sql = format!("CREATE TABLE t (id int PRIMARY KEY, {column})");
        let why = why(&sql, &["!id int32", "v int32"], &reshape());
        assert!(why.starts_with("postgres::cannot_alter table `t` cannot be brought to the new version: the server refuses `ALTER COLUMN v TYPE integer`"), "{why}");
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn columns_that_are_shared_with_other_tables_are_not_changed() {
    let cases = [
        (
            "CREATE TABLE t (id int); CREATE TABLE child () INHERITS (t)",
            "child inherits from it",
        ),
        (
            "CREATE TABLE p (id int); CREATE TABLE t () INHERITS (p)",
            "it takes its columns from p",
        ),
        (
            "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE t PARTITION OF p DEFAULT",
            "it takes its columns from p",
        ),
        (
            "CREATE TYPE y AS (id int); CREATE TABLE t OF y",
            "it takes its columns from the type y",
        ),
    ];
    for (sql, said) in cases {
        let why = why(sql, &["id int32", "v int32"], &reshape());
        assert!(
            why.starts_with("postgres::inherits") && why.contains(said),
            "{why}"
        );
    }
}

#[test]
fn a_partitioned_table_is_brought_to_the_version_as_a_whole() {
    let sql = "CREATE TABLE t (id int, v int, w text) PARTITION BY RANGE (id); \
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)";
    let database = database(sql);
    let new = schema(&["number int32", "v int64", "x utf8"]);
    let changes = Reshape {
        renamed: pairs(&[("id", "number")]),
        removed: texts(&["w"]),
        constraints: vec![rule("user_v_range", "v", "int64", range("1", "9"))],
        ..reshape()
    };
    let cells: Cells<'_> = &[
        &[Some("1"), Some("1"), Some("a")],
        &[Some("11"), Some("2"), Some("b")],
        &[Some("30"), Some("3"), Some("c")],
        &[Some("2"), Some("10"), Some("d")],
    ];
    let (fates, _) = load(open(&database, &new, &changes).unwrap(), &new, cells);
    assert_eq!(fates, "wwxx");
    assert_eq!(
        database.sql("SELECT tableoid::regclass, * FROM t ORDER BY number"),
        "t1|1|1|a\nt2|11|2|b"
    );
    assert_eq!(
        database.sql(
            "SELECT count(*) FROM pg_constraint WHERE conname = 'user_v_range' AND convalidated"
        ),
        "3"
    );
    let retyped = why(sql, &["id utf8"], &reshape());
    assert!(
        retyped.starts_with("postgres::depends the partitioning uses column `id`"),
        "{retyped}"
    );
    let by_expression = "CREATE TABLE t (id int, v int) PARTITION BY RANGE ((id + v))";
    let dropped = Reshape {
        removed: texts(&["v"]),
        ..reshape()
    };
    let gone = why(by_expression, &["id int32"], &dropped);
    assert!(
        gone.starts_with("postgres::depends the partitioning uses column `v`"),
        "{gone}"
    );
    let unique = Reshape {
        constraints: vec![rule("user_v_unique", "v", "int32", ConstraintRule::Unique)],
        ..reshape()
    };
    let unique = why(sql, &["id int32", "v int32"], &unique);
    assert!(
        unique.starts_with("postgres::unique_in_partitions"),
        "{unique}"
    );
}

#[test]
fn names_that_others_have_are_not_taken() {
    let unique = Reshape {
        constraints: vec![rule("user_v_unique", "v", "int32", ConstraintRule::Unique)],
        ..reshape()
    };
    let fields: &[&str] = &["!id int32", "v int32"];
    let table = "CREATE TABLE t (id int PRIMARY KEY, v int)";
    let other = why(
        &format!("{table}; ALTER TABLE t ADD CONSTRAINT user_v_unique CHECK (v > 0)"),
        fields,
        &unique,
    );
    assert!(other.starts_with("postgres::name_taken table `t` has a constraint `user_v_unique` that dkhost did not make"), "{other}");
    let index = why(
        &format!("{table}; CREATE TABLE user_v_unique (id int)"),
        fields,
        &unique,
    );
    assert!(
        index.starts_with("postgres::name_taken there is user_v_unique already"),
        "{index}"
    );
    let renamed = Reshape {
        renamed: pairs(&[("v", "w")]),
        ..reshape()
    };
    let column = why(
        "CREATE TABLE t (id int PRIMARY KEY, v int, w int)",
        &["!id int32", "w int32"],
        &renamed,
    );
    assert!(
        column.starts_with("postgres::name_taken `v` of table `t` is to be called `w`"),
        "{column}"
    );
}

#[test]
fn a_generated_column_that_records_have_is_named_with_a_way_out() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)";
    let why = why(sql, &["!id int32", "twice int32"], &reshape());
    assert!(
        why.starts_with("postgres::generated_column `twice` of table `t`"),
        "{why}"
    );
    let way_out = "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"twice\" DROP EXPRESSION";
    assert!(why.ends_with(way_out), "{why}");
    let database = database(sql);
    database.sql(way_out);
    open(
        &database,
        &schema(&["!id int32", "twice int32"]),
        &reshape(),
    )
    .unwrap();
}

#[test]
fn a_rule_that_the_server_cannot_check_is_told() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, v json)");
    let unique = Reshape {
        constraints: vec![
            rule("user_v_unique", "v", "json", ConstraintRule::Unique),
            rule("user_id_unique", "id", "int32", ConstraintRule::Unique),
        ],
        ..reshape()
    };
    let sink = open(&database, &schema(&["!id int32", "v json"]), &unique).unwrap();
    assert_eq!(
        sink.plan().notes,
        ["the table does not check user_v_unique itself: a column of json has no such rule"]
    );
    // The primary key is unique as it is.
    assert_eq!(told(sink.as_ref()).len(), 1);
}

#[test]
fn only_an_owner_alters() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    let options = crate::tables::as_user(
        &database,
        &format!(
            "GRANT ALL ON t TO USER_; GRANT CREATE ON DATABASE {} TO USER_",
            database.name
        ),
    );
    let open = |fields: &[&str]| {
        crate::support::sink_at(
            options.clone(),
            &schema(fields),
            Conflict::ReplaceAll,
            |open| open.reshape = Some(reshape()),
        )
    };
    let error = refused(open(&["!id int64"]));
    assert_eq!(error.code(), "postgres::denied");
    assert!(
        error
            .to_string()
            .contains("only the owner of table `t` may alter it"),
        "{error}"
    );
    assert!(
        error
            .help_text()
            .unwrap()
            .contains("ALTER TABLE t OWNER TO"),
        "{error}"
    );
    // Where nothing is altered nothing of the kind is needed.
    open(&["!id int32"]).unwrap();
    crate::tables::forget_user(&database);
}

#[test]
fn an_owner_of_the_whole_must_own_every_partition_and_may_make_indexes() {
    let database = database(
        "CREATE TABLE t (id int, v int) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); \
         CREATE TABLE u (id int, v int)",
    );
    let name = &database.name;
    let mut options = crate::tables::as_user(
        &database,
        &format!(
            "ALTER TABLE t OWNER TO USER_; ALTER TABLE u OWNER TO USER_; GRANT CREATE ON DATABASE {name} TO USER_"
        ),
    );
    let unique = Reshape {
        constraints: vec![rule("user_v_unique", "v", "int32", ConstraintRule::Unique)],
        ..reshape()
    };
    let open = |options: &serde_json::Value, fields: &[&str], reshape: &Reshape| {
        crate::support::sink_at(
            options.clone(),
            &schema(fields),
            Conflict::ReplaceAll,
            |open| {
                open.reshape = Some(reshape.clone());
            },
        )
    };
    let error = refused(open(&options, &["id int32", "v int64"], &reshape()));
    assert!(
        error.to_string().contains("only the owner of table `t1`"),
        "{error}"
    );
    options["table"] = "u".into();
    // Since version 15 nobody may but the owner of the database.
    database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let error = refused(open(&options, &["id int32", "v int32"], &unique));
    assert_eq!(error.code(), "postgres::denied");
    assert_eq!(
        error.help_text(),
        Some("GRANT CREATE ON SCHEMA \"public\" TO …")
    );
    database.sql(&format!("GRANT CREATE ON SCHEMA public TO user_{name}"));
    open(&options, &["id int32", "v int32"], &unique).unwrap();
    crate::tables::forget_user(&database);
}

#[test]
fn everything_that_goes_along_with_a_column_is_told() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, v serial, w int, CONSTRAINT ordered CHECK (v < w), CONSTRAINT pair UNIQUE (v, w)); \
         CREATE INDEX t_v ON t (v) WHERE w > 0; CREATE STATISTICS together ON v, w FROM t",
    );
    let removes = Reshape {
        removed: texts(&["v", "w"]),
        ..reshape()
    };
    let sink = open(&database, &schema(&["!id int32"]), &removes).unwrap();
    assert_eq!(
        told(sink.as_ref())[..7],
        [
            "ALTER TABLE t DROP COLUMN v",
            "ALTER TABLE t DROP COLUMN w",
            "drops constraint ordered along with column v",
            "drops constraint pair along with column v",
            "drops index t_v along with column v",
            "drops sequence t_v_seq along with column v",
            "drops statistics object together along with column v",
        ]
    );
    load(sink, &schema(&["!id int32"]), &[&[Some("1")]]);
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'n'; SELECT to_regclass('t_v') IS NULL, to_regclass('t_v_seq') IS NULL; SELECT count(*) FROM pg_statistic_ext"),
        "1\nt|t\n0"
    );
}
