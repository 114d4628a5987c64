//! What a migration makes of a table: told in the plan, done with the rows, all or nothing.

use dkhost_core::Reshape;

use crate::support::{Cells, database, schema};
use crate::versions::{NEW_ROWS, OLD, definition, load, new_version, open, pairs, reshape, told};

#[test]
fn a_table_gets_the_columns_and_rules_of_the_version_and_the_plan_says_how() {
    let database = database(OLD);
    let (schema, reshape) = new_version();
    let sink = open(&database, &schema, &reshape).unwrap();
    assert_eq!(
        told(sink.as_ref()),
        [
            "ALTER TABLE t DROP CONSTRAINT user_years_range",
            "ALTER TABLE t DROP COLUMN legacy",
            "ALTER TABLE t RENAME COLUMN years TO age",
            "ALTER TABLE t ALTER COLUMN id TYPE bigint",
            "ALTER TABLE t ALTER COLUMN age SET NOT NULL",
            "ALTER TABLE t ALTER COLUMN price TYPE numeric(10,2)",
            "ALTER TABLE t ALTER COLUMN price DROP NOT NULL",
            "ALTER TABLE t ALTER COLUMN code DROP NOT NULL",
            "ALTER TABLE t ADD COLUMN status text NOT NULL",
            "ALTER TABLE t ADD CONSTRAINT user_age_range CHECK (age >= 0 AND age <= 150) NOT VALID",
            "ALTER TABLE t ADD CONSTRAINT user_code_unique UNIQUE (code)",
            "ALTER TABLE t ADD CONSTRAINT user_status_one_of CHECK (status IN ('new', 'old')) NOT VALID",
            "drops index t_legacy along with column legacy",
            "writes into dkhost.schema_version that the records of table t are user@2.0.0",
            "ALTER TABLE t VALIDATE CONSTRAINT user_age_range, in a transaction of its own at the very end",
            "ALTER TABLE t VALIDATE CONSTRAINT user_status_one_of, in a transaction of its own at the very end",
        ]
    );
    assert!(sink.plan().effects[0].contains("empties table t, alters it and puts them there"));
    assert_eq!(load(sink, &schema, NEW_ROWS).0, "ww");
    assert_eq!(
        definition(&database),
        "age integer !\ncode character varying(9)\nid bigint !\nnote text\nprice numeric(10,2)\nstatus text !\n\
         t_pkey PRIMARY KEY (id)\nuser_age_range CHECK (((age >= 0) AND (age <= 150)))\nuser_code_unique UNIQUE (code)\n\
         user_made CHECK ((id > 0))\nuser_status_one_of CHECK ((status = ANY (ARRAY['new'::text, 'old'::text])))\n\
         t_pkey\nt_years\nuser_code_unique"
    );
    assert_eq!(
        database.sql("SELECT id, age, price, code, status, note FROM t ORDER BY id"),
        "1|30|9.50|a|new|\n2|40||b|old|"
    );
}

#[test]
fn what_is_as_the_version_wants_it_is_left_alone() {
    let database = database(OLD);
    let (schema, reshape) = new_version();
    load(
        open(&database, &schema, &reshape).unwrap(),
        &schema,
        NEW_ROWS,
    );
    let before = definition(&database);
    let sink = open(&database, &schema, &reshape).unwrap();
    assert_eq!(
        told(sink.as_ref()),
        ["writes into dkhost.schema_version that the records of table t are user@2.0.0"]
    );
    load(sink, &schema, NEW_ROWS);
    assert_eq!(definition(&database), before);
}

#[test]
fn a_record_that_the_new_rules_refuse_is_known_as_one() {
    let database = database(OLD);
    let (schema, reshape) = new_version();
    let cells: Cells<'_> = &[
        &[Some("1"), Some("151"), None, Some("a"), Some("new")],
        &[Some("2"), Some("1"), None, Some("b"), Some("else")],
        &[Some("3"), Some("1"), None, Some("c"), None],
        &[Some("4"), Some("1"), None, Some("d"), Some("new")],
        &[Some("5"), Some("1"), None, Some("d"), Some("new")],
        &[Some("0"), Some("1"), None, Some("e"), Some("new")],
    ];
    let (fates, whys) = load(open(&database, &schema, &reshape).unwrap(), &schema, cells);
    assert_eq!(fates, "xxxwxx");
    for (why, named) in whys.iter().zip([
        "user_age_range",
        "user_status_one_of",
        "status",
        "code",
        "user_made",
    ]) {
        assert!(why.contains(named), "{why}");
    }
    assert_eq!(database.sql("SELECT id FROM t"), "4");
}

#[test]
fn columns_that_swap_their_names_keep_what_hangs_on_them() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b text, \"C\" int, d int); CREATE INDEX on_a ON t (a); \
         COMMENT ON COLUMN t.b IS 'of b'; GRANT SELECT (a) ON t TO PUBLIC",
    );
    let schema = schema(&["!id int32", "b int32", "a utf8", "d int32", "e int32"]);
    let reshape = Reshape {
        renamed: pairs(&[("a", "b"), ("b", "a"), ("C", "d"), ("d", "e")]),
        ..reshape()
    };
    let sink = open(&database, &schema, &reshape).unwrap();
    assert_eq!(
        told(sink.as_ref())[..4],
        [
            "ALTER TABLE t RENAME COLUMN a TO b",
            "ALTER TABLE t RENAME COLUMN b TO a",
            "ALTER TABLE t RENAME COLUMN \"C\" TO d",
            "ALTER TABLE t RENAME COLUMN d TO e",
        ]
    );
    let cells: Cells<'_> = &[&[Some("1"), Some("2"), Some("x"), Some("3"), Some("4")]];
    load(sink, &schema, cells);
    assert_eq!(database.sql("SELECT id, b, a, d, e FROM t"), "1|2|x|3|4");
    let hangs = "SELECT pg_get_indexdef('on_a'::regclass), col_description('t'::regclass, attnum) \
        FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'a'; \
        SELECT attacl FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'";
    let hangs = database.sql(hangs);
    assert!(
        hangs.contains("(b)|of b") && hangs.contains("=r/"),
        "{hangs}"
    );
}

#[test]
fn views_grants_defaults_triggers_and_counters_stay() {
    let database = database(
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, years int, note text DEFAULT 'none', twice int GENERATED ALWAYS AS (years * 2) STORED); \
         CREATE VIEW w AS SELECT id, years FROM t; GRANT SELECT ON t TO PUBLIC; \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let schema = schema(&["!id int32", "age int32"]);
    let reshape = Reshape {
        renamed: pairs(&[("years", "age")]),
        ..reshape()
    };
    let sink = open(&database, &schema, &reshape).unwrap();
    let notes = sink.plan().notes.join("\n");
    assert!(
        notes.contains("functions of the triggers of table `t` are not looked into"),
        "{notes}"
    );
    load(sink, &schema, &[&[Some("7"), Some("3")]]);
    assert_eq!(
        database.sql("SELECT * FROM w; SELECT twice, note FROM t; INSERT INTO t (age) VALUES (4) RETURNING id; \
                      SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass; SELECT relacl IS NOT NULL FROM pg_class WHERE oid = 't'::regclass"),
        "7|3\n6|none\n8\ng\nt"
    );
}

#[test]
fn a_new_table_has_the_rules_from_the_start() {
    let database = database("");
    let (schema, reshape) = new_version();
    let sink = open(&database, &schema, &reshape).unwrap();
    assert_eq!(
        told(sink.as_ref()),
        [
            "creates table t (5 columns)",
            "ALTER TABLE t ADD CONSTRAINT user_age_range CHECK (age >= 0 AND age <= 150)",
            "ALTER TABLE t ADD CONSTRAINT user_code_unique UNIQUE (code)",
            "ALTER TABLE t ADD CONSTRAINT user_status_one_of CHECK (status IN ('new', 'old'))",
            "writes into dkhost.schema_version that the records of table t are user@2.0.0",
        ]
    );
    load(sink, &schema, NEW_ROWS);
    assert_eq!(
        definition(&database),
        "age integer !\ncode text\nid bigint !\nprice numeric(10,2)\nstatus text !\n\
         t_pkey PRIMARY KEY (id)\nuser_age_range CHECK (((age >= 0) AND (age <= 150)))\nuser_code_unique UNIQUE (code)\n\
         user_status_one_of CHECK ((status = ANY (ARRAY['new'::text, 'old'::text])))\n\
         t_pkey\nuser_code_unique"
    );
    // Known as ours by the next version.
    let sink = open(
        &database,
        &schema,
        &Reshape {
            constraints: Vec::new(),
            ..reshape
        },
    )
    .unwrap();
    assert_eq!(
        told(sink.as_ref())[..3]
            .join("\n")
            .matches("DROP CONSTRAINT")
            .count(),
        3
    );
}
