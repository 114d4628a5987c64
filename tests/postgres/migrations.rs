//! `dkhost schema apply` on a table: up and down again, killed on the way, with what hangs on it.

use dkhost_servers::{Database, postgres};

use crate::support::table;
use crate::world::{Answer, World};

const ONE: &str = "key = [\"id\"]\n\
    [fields.id]\ntype = \"int32\"\nrequired = true\n\
    [fields.years]\ntype = \"int32\"\n\
    [fields.mail]\ntype = \"utf8\"\nrequired = true\n\
    [fields.legacy]\ntype = \"utf8\"\n";

const TWO: &str = "key = [\"id\"]\n\
    [fields.id]\ntype = \"int32\"\nrequired = true\n\
    [fields.age]\ntype = \"int64\"\nwas = \"years\"\nrange = { min = 0, max = 150 }\n\
    [fields.mail]\ntype = \"utf8\"\nrequired = true\nunique = true\n\
    [fields.status]\ntype = \"utf8\"\nrequired = true\ndefault = \"new\"\none_of = [\"new\", \"old\"]\n";

const MIGRATION: &str = "[[up]]\nrename = { years = \"age\" }\n\
    [[up]]\ncast = { age = \"int64\" }\n\
    [[up]]\nadd = { status = \"'new'\" }\n\
    [[up]]\nremove = [\"legacy\"]\nkeep_values = true\n\
    [[up]]\nconstrain = [\"age\", \"mail\", \"status\"]\n\
    [[down]]\nrename = { age = \"years\" }\n\
    [[down]]\ncast = { years = \"int32\" }\n\
    [[down]]\nremove = [\"status\"]\n\
    [[down]]\nrestore = [\"legacy\"]\n";

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, years int, mail text NOT NULL, legacy text); \
    CREATE INDEX t_years ON t (years); COMMENT ON COLUMN t.years IS 'full years'; CREATE VIEW mails AS SELECT id, mail FROM t; \
    INSERT INTO t SELECT i, i % 90, 'm' || i, 'l' || i FROM generate_series(1, 50) i";

/// A table at version 1.0.0 and a job that writes to it.
fn fresh() -> (World, Database) {
    let (world, database) = (World::new(), postgres());
    database.sql(TABLE);
    world.write("schemas/user/1.0.0.toml", ONE);
    world.write("schemas/user/2.0.0.toml", TWO);
    world.write("schemas/user/1.0.0--2.0.0.toml", MIGRATION);
    world.write(
        "job.toml",
        format!(
            "name = \"users\"\n[source]\nbackend = \"memory\"\nrecords = [{{ id = 1 }}]\n[target]\n{}\
             [run]\nbatch = {{ rows = 5 }}\nverify = \"checksum\"\n",
            table(&database, "t")
        ),
    );
    (world, database)
}

fn apply(world: &World, from: &str, to: &str, fail: &str) -> Answer {
    let words = [
        "schema", "apply", "user", "--from", from, "--to", to, "--job", "job.toml", "--json",
    ];
    let mut command = world.command(&words);
    if !fail.is_empty() {
        command.env("DKHOST_FAIL", fail);
    }
    crate::world::answer(command.output().unwrap())
}

/// Columns, constraints, what the database says of the version, rows.
fn held(database: &Database) -> String {
    database.sql(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' !' ELSE '' END, ', ' ORDER BY attname) \
         FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped; \
         SELECT string_agg(conname, ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'n' AND convalidated; \
         SELECT schema || '@' || version FROM dkhost.schema_version; \
         SELECT count(*), min(t::text), max(t::text) FROM (SELECT to_jsonb(t) AS t FROM t) t; \
         SELECT count(*) FROM mails; SELECT count(*) FROM pg_class WHERE relnamespace = 'dkhost'::regnamespace AND relkind = 'r'",
    )
}

const AT_TWO: &str = "_removed json, age bigint, id integer !, mail text !, status text !\n\
    t_pkey, user_age_range, user_mail_unique, user_status_one_of\nuser@2.0.0\n";

#[test]
fn a_table_goes_up_to_a_version_and_down_again() {
    let (world, database) = fresh();
    let answer = apply(&world, "1.0.0", "2.0.0", "");
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    let up = held(&database);
    assert!(up.starts_with(AT_TWO), "{up}");
    assert!(up.ends_with("\n50\n1"), "{up}");
    assert_eq!(
        database.sql("SELECT age, mail, status, _removed FROM t WHERE id = 7; SELECT col_description('t'::regclass, attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'age'"),
        "7|m7|new|{\"legacy\":\"l7\"}\nfull years"
    );
    let answer = apply(&world, "2.0.0", "1.0.0", "");
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    assert_eq!(
        database.sql("SELECT years, mail, legacy FROM t WHERE id = 7; SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1"),
        "7|m7|l7\nt_pkey\nt_years"
    );
    let down = held(&database);
    assert!(
        down.starts_with(
            "_removed json, id integer !, legacy text, mail text !, years integer\nt_pkey\nuser@1.0.0\n50|"
        ),
        "{down}"
    );
}

#[test]
fn an_application_that_is_killed_leaves_one_version_or_the_other_and_goes_on() {
    let (world, database) = fresh();
    let answer = apply(&world, "1.0.0", "2.0.0", "");
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    let wanted = held(&database);
    for point in [
        "postgres.claim.committed:1",
        "run.batch.committed:3",
        "run.end.verified:1",
        "postgres.swap.emptied:1",
        "postgres.swap.filled:1",
        "postgres.publish.prepared:1",
        "postgres.publish.committed:1",
        "run.end.published:1",
        "history.end.prepared:1",
    ] {
        let (world, database) = fresh();
        let killed = apply(&world, "1.0.0", "2.0.0", &format!("{point}:kill"));
        assert!(killed.code < 0, "{point}: {}\n{}", killed.out, killed.err);
        let columns = "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped; SELECT count(*) FROM t";
        let now = database.sql(columns);
        assert!(
            [
                "id legacy mail years\n50",
                "_removed age id mail status\n50"
            ]
            .contains(&now.as_str()),
            "{point}: {now}"
        );
        let answer = apply(&world, "1.0.0", "2.0.0", "");
        assert_eq!(answer.code, 0, "{point}: {}\n{}", answer.out, answer.err);
        assert_eq!(held(&database), wanted, "{point}");
    }
}

/// The history knows by then that all is done: the same command has nothing to do, and what the run
/// remembered goes with the next one.
#[test]
fn who_is_killed_while_tidying_up_has_done_it_all_and_the_next_run_tidies_up() {
    let (world, database) = fresh();
    let killed = apply(&world, "1.0.0", "2.0.0", "postgres.retire.prepared:1:kill");
    assert!(killed.code < 0, "{}\n{}", killed.out, killed.err);
    let again = apply(&world, "1.0.0", "2.0.0", "");
    assert_eq!(again.code, 0, "{}\n{}", again.out, again.err);
    let left = held(&database);
    assert!(
        left.starts_with(AT_TWO) && left.ends_with("\n50\n3"),
        "{left}"
    );
    let down = apply(&world, "2.0.0", "1.0.0", "");
    assert_eq!(down.code, 0, "{}\n{}", down.out, down.err);
    assert!(held(&database).ends_with("\n50\n1"), "{}", held(&database));
}

#[test]
fn a_view_of_a_column_that_goes_stands_in_the_way_and_is_named() {
    let (world, database) = fresh();
    database.sql("CREATE VIEW old AS SELECT legacy FROM t");
    let answer = apply(&world, "1.0.0", "2.0.0", "");
    assert_eq!(answer.code, 2, "{}\n{}", answer.out, answer.err);
    assert!(
        answer.err.contains("view old uses column") || answer.out.contains("view old uses column"),
        "{}\n{}",
        answer.out,
        answer.err
    );
    assert_eq!(database.sql("SELECT count(years) FROM t"), "50");
}

#[test]
fn the_plan_says_statement_by_statement_what_becomes_of_the_table() {
    let (world, database) = fresh();
    database.sql("ALTER TABLE t ADD COLUMN note text DEFAULT 'x'");
    for (version, text) in [("1.0.0", ONE), ("2.0.0", TWO)] {
        world.write(
            &format!("schemas/user/{version}.toml"),
            format!("open = true\n{text}"),
        );
    }
    let words = [
        "schema",
        "apply",
        "user",
        "--from",
        "1.0.0",
        "--to",
        "2.0.0",
        "--job",
        "job.toml",
        "--dry-run",
    ];
    let plan = world.expect(0, &words).out;
    let statements = "  - ALTER TABLE t DROP COLUMN legacy
  - ALTER TABLE t RENAME COLUMN years TO age
  - ALTER TABLE t ALTER COLUMN age TYPE bigint
  - ALTER TABLE t ADD COLUMN status text NOT NULL
  - ALTER TABLE t ADD COLUMN _removed json
  - ALTER TABLE t ADD CONSTRAINT user_age_range CHECK (age >= 0 AND age <= 150) NOT VALID
  - ALTER TABLE t ADD CONSTRAINT user_mail_unique UNIQUE (mail)
  - ALTER TABLE t ADD CONSTRAINT user_status_one_of CHECK (status IN ('new', 'old')) NOT VALID
  - writes into dkhost.schema_version that the records of table t are user@2.0.0
  - ALTER TABLE t VALIDATE CONSTRAINT user_age_range, in a transaction of its own at the very end
  - ALTER TABLE t VALIDATE CONSTRAINT user_status_one_of, in a transaction of its own at the very end
";
    assert!(plan.contains(statements), "{plan}");
    assert_eq!(
        database.sql("SELECT count(years) FROM t; SELECT to_regnamespace('dkhost') IS NULL"),
        "50\nt"
    );
}
