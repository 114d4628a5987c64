//! Tables as they are found and made: types, names, columns the server fills, plans that say no.

use dkhost_core::{Conflict, Field};

use crate::support::{
    Cells, Run, assert_no_leftovers, database, load, refused, rows, scan, schema, sink, sink_with,
};

#[test]
fn a_table_is_created_from_the_plan_with_key_and_types() {
    let database = database("");
    let mut schema = schema(&[
        "!id int64",
        "b boolean",
        "n number",
        "d decimal(10,2)",
        "t timestamp",
        "z timestamp(UTC)",
        "j json",
        "u uuid",
        "f float32",
        "x binary",
    ]);
    schema.fields[1].nullable = false;
    let cells: Cells<'_> = &[&[
        Some("1"),
        Some("true"),
        Some("1.50"),
        Some("2.50"),
        Some("2024-01-01T00:00:00"),
        Some("2024-01-01T00:00:00Z"),
        Some("{\"a\": 1}"),
        Some("0191f2a0-1234-7abc-8def-0123456789ab"),
        Some("0.5"),
        Some("AQI="),
    ]];
    let (fates, _) = load(
        &database,
        "new.\"Odd.Table\"",
        &schema,
        Conflict::Insert,
        cells,
    );
    assert_eq!(fates, "w");
    let columns = "SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' !' ELSE '' END \
                   FROM pg_attribute WHERE attrelid = 'new.\"Odd.Table\"'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(
        database.sql(columns),
        "id bigint !\nb boolean !\nn numeric\nd numeric(10,2)\nt timestamp without time zone\nz timestamp with time zone\n\
         j json\nu uuid\nf real\nx bytea"
    );
    assert_eq!(
        database.sql("SELECT n, d, j, x FROM new.\"Odd.Table\""),
        "1.50|2.50|{\"a\": 1}|\\x0102"
    );
}

#[test]
fn a_new_table_keeps_the_types_of_its_source_that_the_server_knows() {
    let database = database("CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE pair AS (a int, b text)");
    let typed = |name: &str, logical: &str, source: &str| Field {
        source_type: Some(source.to_owned()),
        ..Field::new(name, logical.parse().unwrap())
    };
    let schema = dkhost_core::Schema::new(vec![
        typed("v", "utf8", "character varying(30)"),
        typed("m", "utf8", "mood"),
        typed("r", "utf8", "int4range"),
        typed("j", "json", "jsonb"),
        typed("a", "json", "integer[]"),
        typed("s", "int32", "smallint"),
        typed("i", "int64", "INTEGER"),
        typed("q", "utf8", "no such type"),
    ]);
    let cells: Cells<'_> = &[&[
        Some("x"),
        Some("ok"),
        Some("[1,5)"),
        Some("{\"a\": 1}"),
        Some("[1,2]"),
        Some("7"),
        Some("8"),
        Some("9"),
    ]];
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Insert).unwrap(), 1);
    assert!(
        run.sink
            .plan()
            .columns
            .iter()
            .all(|column| column.lossy.is_none())
    );
    run.write(&rows(&schema, cells));
    run.commit();
    assert_eq!(
        scan(run.sink.as_ref()),
        [
            r#"{"v":"x","m":"ok","r":"[1,5)","j":{"a":1},"a":[1,2],"s":7,"i":8,"q":"9"}"#
                .replace("\"a\":1}", "\"a\": 1}")
        ]
    );
    run.finish();
    let columns = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) \
                   FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0";
    assert_eq!(
        database.sql(columns),
        "character varying(30), mood, int4range, jsonb, integer[], smallint, bigint, text"
    );
}

#[test]
fn names_may_have_any_character() {
    let name = "a \"b\".%s$dkhost0$;--ü";
    let database = database("");
    let schema = dkhost_core::Schema::new(vec![
        Field {
            key: Some(0),
            ..Field::new("lo", "int32".parse().unwrap())
        },
        Field::new(name, "utf8".parse().unwrap()),
        Field::new("s", "utf8".parse().unwrap()),
    ]);
    let table = "\"S $1\".\"t \"\"x\"\" $$\"";
    for conflict in [
        Conflict::Insert,
        Conflict::Upsert,
        Conflict::Skip,
        Conflict::ReplaceAll,
    ] {
        let cells: Cells<'_> = &[
            &[Some("1"), Some("a"), Some("b")],
            &[Some("1"), Some("a"), Some("a\0b")],
            &[Some("2"), Some("c"), None],
            &[Some("2"), Some("c"), None],
        ];
        load(&database, table, &schema, conflict, cells);
    }
    assert_eq!(
        database.sql("SELECT * FROM \"S $1\".\"t \"\"x\"\" $$\" ORDER BY 1"),
        "1|a|b\n2|c|"
    );
}

#[test]
fn columns_the_server_fills_are_left_to_it_and_counters_go_on_behind() {
    let database = database(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)",
    );
    let schema = schema(&["!id int32", "s int32", "a int32"]);
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::ReplaceAll] {
        let cells: Cells<'_> = &[
            &[Some("40"), Some("50"), Some("1")],
            &[Some("41"), Some("51"), Some("2")],
        ];
        database.sql("TRUNCATE t RESTART IDENTITY");
        let (fates, _) = load(&database, "t", &schema, conflict, cells);
        assert_eq!(fates, "ww");
        assert_eq!(
            database.sql("INSERT INTO t (a) VALUES (3) RETURNING id, s, twice"),
            "42|52|6"
        );
    }
    let error = refused(sink(
        &database,
        "t",
        &crate::support::schema(&["twice int32"]),
        Conflict::Insert,
    ));
    assert_eq!(error.code(), "postgres::generated_column");
}

#[test]
fn columns_are_added_and_read_back_beside_the_plans() {
    let database = database("");
    let schema = schema(&["!id int32", "v utf8"]);
    let mut wider = schema.clone();
    wider
        .fields
        .push(Field::new("extra", "utf8".parse().unwrap()));
    let mut run = Run::start(sink(&database, "t", &schema, Conflict::Insert).unwrap(), 1);
    run.write(&rows(&schema, &[&[Some("1"), Some("a")]]));
    run.commit();
    run.writer.add_columns(&wider.fields[2..]).unwrap();
    run.write(&rows(&wider, &[&[Some("2"), Some("b"), Some("more")]]));
    run.commit();
    run.finish();
    assert_eq!(
        database.sql("SELECT * FROM t ORDER BY id"),
        "1|a|\n2|b|more"
    );
}

#[test]
fn the_plan_refuses_what_cannot_go_well() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, needed text NOT NULL, p point); CREATE VIEW w AS SELECT 1 AS id",
    );
    let code = |table: &str, fields: &[&str]| {
        refused(sink(&database, table, &schema(fields), Conflict::Insert)).code()
    };
    assert_eq!(code("t", &["!id int32"]), "postgres::not_null_column");
    assert_eq!(
        code("t", &["!id int32", "needed utf8", "nope utf8"]),
        "postgres::missing_column"
    );
    assert_eq!(
        code("t", &["!id int32", "needed utf8", "p boolean"]),
        "postgres::wrong_type"
    );
    assert_eq!(code("w", &["!id int32"]), "postgres::not_a_table");
    assert_eq!(code("dkhost.t", &["!id int32"]), "postgres::reserved_name");
    let absent = sink_with(
        &database,
        "absent",
        &schema(&["!id int32"]),
        Conflict::Insert,
        |open| open.create = false,
    );
    assert!(refused(absent).help_text().is_some());
    assert_no_leftovers(&database);
}

#[test]
fn a_target_that_changed_since_the_plan_is_not_claimed() {
    let database = database("CREATE TABLE t (id int)");
    let sink = sink(&database, "t", &schema(&["id int32"]), Conflict::Insert).unwrap();
    database.sql("ALTER TABLE t ADD COLUMN other text NOT NULL");
    let claim = dkhost_core::Claim {
        job: "job".into(),
        run: "run".into(),
        plan_hash: String::new(),
        epoch_floor: 0,
    };
    assert_eq!(refused(sink.claim(&claim)).code(), "target::changed");
    assert_no_leftovers(&database);
}

/// The options of a target as another user of the database, who was given these rights.
pub fn as_user(database: &dkhost_servers::Database, rights: &str) -> serde_json::Value {
    let user = format!("user_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {user} LOGIN; {}",
        rights.replace("USER_", &user)
    ));
    let (_, host) = database.url.split_once('@').unwrap();
    serde_json::json!({"url": format!("postgres://{user}@{host}"), "table": "t"})
}

pub fn forget_user(database: &dkhost_servers::Database) {
    let user = format!("user_{}", database.name);
    database.sql(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}

#[test]
fn a_user_with_few_rights_is_told_which_are_missing_and_needs_no_more() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY CHECK (id > 0), v text)");
    let schema = schema(&["!id int32", "v utf8"]);
    let options = as_user(&database, "GRANT SELECT, INSERT ON t TO USER_");
    let open = |options: &serde_json::Value| {
        crate::support::sink_at(options.clone(), &schema, Conflict::Upsert, |_| ())
    };
    let error = refused(open(&options));
    assert_eq!(error.code(), "postgres::denied");
    let create = format!(
        "GRANT CREATE ON DATABASE {} TO user_{}",
        database.name, database.name
    );
    assert_eq!(error.help_text(), Some("GRANT CREATE ON DATABASE … TO …"));
    database.sql(&create);
    let error = refused(open(&options));
    assert_eq!(
        error.help_text(),
        Some("GRANT SELECT, INSERT, UPDATE ON TABLE \"public\".\"t\" TO …")
    );
    database.sql(&format!("GRANT UPDATE ON t TO user_{}", database.name));
    let mut run = Run::start(open(&options).unwrap(), 1);
    let cells: Cells<'_> = &[&[Some("1"), Some("a")], &[Some("-1"), Some("b")]];
    assert_eq!(
        crate::support::fates(&run.write(&rows(&schema, cells)), 2),
        "wx"
    );
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT * FROM t"), "1|a");
    assert_no_leftovers(&database);
    // Which rows are refused can only be found where plpgsql may be used.
    database.sql("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC");
    let error = refused(open(&options));
    assert_eq!(error.code(), "postgres::no_plpgsql");
    assert_eq!(
        error.help_text(),
        Some("GRANT USAGE ON LANGUAGE plpgsql TO …")
    );
    forget_user(&database);
}

#[test]
fn a_counter_that_could_not_be_moved_is_told_before_anything_is_written() {
    let database = database("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    let name = &database.name;
    let rights =
        format!("GRANT SELECT, INSERT ON t TO USER_; GRANT CREATE ON DATABASE {name} TO USER_");
    let options = as_user(&database, &rights);
    let open = |schema: &dkhost_core::Schema| {
        crate::support::sink_at(options.clone(), schema, Conflict::Insert, |_| ())
    };
    let counted = schema(&["!id int32", "v utf8"]);
    let error = refused(open(&counted));
    assert_eq!(error.code(), "postgres::denied");
    let grant = "GRANT SELECT, UPDATE ON SEQUENCE public.t_id_seq TO";
    assert_eq!(error.help_text(), Some(format!("{grant} …").as_str()));
    // Where the column is not written its counter is nobody's business.
    open(&schema(&["v utf8"])).unwrap();
    database.sql(&format!("{grant} user_{name}"));
    let mut run = Run::start(open(&counted).unwrap(), 1);
    run.write(&rows(&counted, &[&[Some("7"), Some("a")]]));
    run.commit();
    run.finish();
    assert_eq!(database.sql("SELECT nextval('t_id_seq')"), "8");
    forget_user(&database);
}

#[test]
fn a_table_whose_rules_write_something_else_is_refused() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE o (id int); \
         CREATE RULE aside AS ON INSERT TO t DO INSTEAD INSERT INTO o VALUES (NEW.id)",
    );
    let schema = schema(&["!id int32"]);
    for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::ReplaceAll] {
        let error = refused(sink(&database, "t", &schema, conflict));
        assert_eq!(error.code(), "postgres::rule");
        let help = error.help_text().unwrap_or_default();
        assert!(
            help.starts_with("ALTER TABLE \"public\".\"t\" DISABLE RULE \"aside\""),
            "{help}"
        );
    }
    database.sql("ALTER TABLE t DISABLE RULE aside");
    sink(&database, "t", &schema, Conflict::ReplaceAll).unwrap();
}

#[test]
fn a_trigger_that_changes_what_is_published_is_found_out() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (9, 'OLD'); \
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := upper(NEW.v); RETURN NEW; END'; \
         CREATE TRIGGER shout BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION shout()",
    );
    let schema = schema(&["!id int32", "v utf8"]);
    for (number, (text, ends)) in [("quiet", false), ("LOUD", true)].into_iter().enumerate() {
        let sink = sink(&database, "t", &schema, Conflict::ReplaceAll).unwrap();
        let mut run = Run::start(sink, number as u32 + 1);
        run.write(&rows(&schema, &[&[Some("1"), Some(text)]]));
        run.commit();
        let published = run.sink.publish();
        assert_eq!(published.is_ok(), ends, "{published:?}");
        let held = if ends { "1|LOUD" } else { "9|OLD" };
        assert_eq!(database.sql("SELECT * FROM t"), held);
    }
}

#[test]
fn a_trigger_that_changes_keys_stops_the_run_before_a_record_is_written_and_refused() {
    for (bad, good) in [("1", "2"), ("-1", "1")] {
        for conflict in [Conflict::Upsert, Conflict::Skip] {
            let database = database(
                "CREATE TABLE t (id text PRIMARY KEY, v int CHECK (v > 0)); \
                 CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := upper(NEW.id); RETURN NEW; END'; \
                 CREATE TRIGGER shout BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION shout()",
            );
            let schema = schema(&["!id utf8", "v int32"]);
            let mut run = Run::start(sink(&database, "t", &schema, conflict).unwrap(), 1);
            let cells: Cells<'_> = &[&[Some("B"), Some(bad)], &[Some("a"), Some(good)]];
            let error = refused(run.try_write(&rows(&schema, cells)));
            assert_eq!(error.code(), "postgres::trigger");
            assert!(error.to_string().contains("changes the key"), "{error}");
        }
    }
}

#[test]
fn checkpoints_of_another_user_may_be_shared() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE o (id int)");
    let schema = schema(&["!id int32"]);
    let other = Run::start(sink(&database, "o", &schema, Conflict::Insert).unwrap(), 1);
    let name = &database.name;
    let rights =
        format!("GRANT SELECT, INSERT ON t TO USER_; GRANT CREATE ON DATABASE {name} TO USER_");
    let options = as_user(&database, &rights);
    let open = || crate::support::sink_at(options.clone(), &schema, Conflict::Insert, |_| ());
    let error = refused(open());
    assert_eq!(error.code(), "postgres::denied");
    let help = error.help_text().unwrap_or_default().to_owned();
    assert!(
        help.contains("GRANT USAGE, CREATE ON SCHEMA dkhost"),
        "{help}"
    );
    database.sql(&format!(
        "GRANT USAGE, CREATE ON SCHEMA dkhost TO user_{name}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dkhost TO user_{name}"
    ));
    let mut run = Run::start(open().unwrap(), 2);
    run.write(&rows(&schema, &[&[Some("1")]]));
    run.commit();
    run.finish();
    other.finish();
    assert_no_leftovers(&database);
    forget_user(&database);
}

#[test]
fn a_table_that_a_crash_empties_is_no_target() {
    let unlogged = "CREATE UNLOGGED TABLE t (id int PRIMARY KEY)";
    let part = "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); \
        CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (9); \
        CREATE UNLOGGED TABLE \"B\" PARTITION OF t FOR VALUES FROM (9) TO (20)";
    for (table, help) in [
        (unlogged, "ALTER TABLE public.t SET LOGGED"),
        (part, "ALTER TABLE public.\"B\" SET LOGGED"),
    ] {
        let database = database(table);
        let schema = schema(&["!id int32"]);
        for conflict in [Conflict::Insert, Conflict::Upsert, Conflict::ReplaceAll] {
            let error = refused(sink(&database, "t", &schema, conflict));
            assert_eq!(error.code(), "postgres::unlogged");
            assert_eq!(error.help_text(), Some(help));
        }
        database.sql(help);
        sink(&database, "t", &schema, Conflict::Insert).unwrap();
    }
}

#[test]
fn too_many_columns_are_refused_with_what_a_table_holds() {
    let database = database("");
    let fields: Vec<String> = (0..1601).map(|number| format!("c{number} int32")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let error = refused(sink(&database, "t", &schema(&fields), Conflict::Insert));
    assert_eq!(error.code(), "postgres::too_many_columns");
    assert!(error.to_string().contains("1600"), "{error}");
}
