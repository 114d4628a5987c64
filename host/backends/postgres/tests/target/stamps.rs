//! Which version a table's records are of, as the database says it.

use std::path::Path;

use dkhost_core::{Backend, Conflict, Options, Result, Stamp};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;

use crate::support::{Run, assert_no_leftovers, database, refused, rows, schema, sink};
use crate::tables::{as_user, forget_user};
use crate::versions::{open, reshape};

fn stamp_at(options: &serde_json::Value) -> Result<Option<Stamp>> {
    let options = Options::from_json("[target]", options).unwrap();
    PostgresBackend.stamp(options, Path::new(""))
}

/// What the database says of a table: `user@2.0.0 by run 1`.
fn stamp(database: &Database, table: &str) -> Option<String> {
    let options = serde_json::json!({"url": database.url, "table": table});
    let stamp = stamp_at(&options).unwrap()?;
    Some(format!(
        "{}@{} by {}",
        stamp.schema, stamp.version, stamp.run
    ))
}

/// Replaces all rows of `t`, as a migration or not.
fn replace(database: &Database, number: u32, migrates: bool) {
    let schema = schema(&["!id int32"]);
    let sink = match migrates {
        true => open(database, &schema, &reshape()),
        false => sink(database, "t", &schema, Conflict::ReplaceAll),
    };
    let mut run = Run::start(sink.unwrap(), number);
    run.write(&rows(&schema, &[&[Some("1")]]));
    run.commit();
    run.finish();
}

#[test]
fn a_migration_says_which_version_the_records_are_of() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE o (id int)");
    assert_eq!(stamp(&database, "t"), None);
    assert_eq!(stamp(&database, "absent"), None);
    assert_no_leftovers(&database);
    replace(&database, 1, true);
    assert_eq!(
        stamp(&database, "t").as_deref(),
        Some("user@2.0.0 by run 1")
    );
    assert_eq!(stamp(&database, "o"), None);
    assert_eq!(
        database.sql("SELECT target, schema, version, run, now() - at < interval '1 hour' FROM dkhost.schema_version"),
        "t|user|2.0.0|run 1|t"
    );
    // Nothing else is left of the run.
    assert_eq!(
        database.sql("SELECT relname FROM pg_class WHERE relnamespace = 'dkhost'::regnamespace AND relkind = 'r'"),
        "schema_version"
    );
    replace(&database, 2, true);
    assert_eq!(
        stamp(&database, "t").as_deref(),
        Some("user@2.0.0 by run 2")
    );
}

#[test]
fn a_table_that_is_created_is_stamped_too() {
    let database = database("");
    replace(&database, 1, true);
    assert_eq!(
        stamp(&database, "t").as_deref(),
        Some("user@2.0.0 by run 1")
    );
}

#[test]
fn a_stamp_goes_along_with_its_table() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    replace(&database, 1, true);
    database.sql("ALTER TABLE t RENAME TO u");
    assert_eq!(
        stamp(&database, "u").as_deref(),
        Some("user@2.0.0 by run 1")
    );
    assert_eq!(stamp(&database, "t"), None);
    database.sql("DROP TABLE u; CREATE TABLE u (id int)");
    assert_eq!(stamp(&database, "u"), None);
}

#[test]
fn a_table_that_is_replaced_by_a_job_is_of_no_version_any_more() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    replace(&database, 1, true);
    let plain = schema(&["!id int32"]);
    let sink = sink(&database, "t", &plain, Conflict::ReplaceAll).unwrap();
    let effects = &sink.plan().effects;
    let told = "removes from dkhost.schema_version that the records of table t are user@2.0.0";
    assert!(effects.iter().any(|effect| effect == told), "{effects:?}");
    replace(&database, 2, false);
    assert_eq!(stamp(&database, "t"), None);
    assert_no_leftovers(&database);
}

#[test]
fn a_stamp_of_another_table_stays() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    replace(&database, 1, true);
    database.sql("ALTER TABLE t RENAME TO other");
    replace(&database, 2, false);
    assert_eq!(
        stamp(&database, "other").as_deref(),
        Some("user@2.0.0 by run 1")
    );
}

#[test]
fn who_may_not_read_or_write_stamps_is_told_what_is_missing() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)");
    replace(&database, 1, true);
    let name = &database.name;
    let options = as_user(&database, "GRANT SELECT, INSERT, TRUNCATE ON t TO USER_");
    let error = refused(stamp_at(&options));
    assert_eq!(error.code(), "postgres::denied");
    assert_eq!(
        error.help_text(),
        Some("GRANT USAGE ON SCHEMA dkhost TO …; GRANT SELECT ON dkhost.schema_version TO …")
    );
    let plain = schema(&["!id int32"]);
    let open = || crate::support::sink_at(options.clone(), &plain, Conflict::ReplaceAll, |_| ());
    let error = refused(open());
    assert_eq!(error.code(), "postgres::denied");
    assert_eq!(
        error.help_text(),
        Some(
            "GRANT USAGE ON SCHEMA dkhost TO …; GRANT SELECT, DELETE ON dkhost.schema_version TO …"
        )
    );
    database.sql(&format!(
        "GRANT USAGE ON SCHEMA dkhost TO user_{name}; GRANT SELECT, DELETE ON dkhost.schema_version TO user_{name}"
    ));
    open().unwrap();
    assert_eq!(stamp_at(&options).unwrap().unwrap().version, "2.0.0");
    let migrates = || {
        crate::support::sink_at(options.clone(), &plain, Conflict::ReplaceAll, |open| {
            open.reshape = Some(reshape());
        })
    };
    let help = refused(migrates()).help_text().unwrap().to_owned();
    assert_eq!(
        help,
        "GRANT USAGE ON SCHEMA dkhost TO …; GRANT SELECT, INSERT, UPDATE, DELETE ON dkhost.schema_version TO …"
    );
    database.sql(&format!(
        "GRANT INSERT, UPDATE ON dkhost.schema_version TO user_{name}"
    ));
    migrates().unwrap();
    database.sql("DROP TABLE dkhost.schema_version");
    let error = refused(migrates());
    assert_eq!(error.code(), "postgres::denied");
    assert_eq!(
        error.help_text(),
        Some("GRANT USAGE, CREATE ON SCHEMA dkhost TO …")
    );
    open().unwrap();
    forget_user(&database);
}

#[test]
fn a_table_of_that_name_that_is_not_ours_is_said_to_be_in_the_way() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA dkhost; \
         CREATE TABLE dkhost.schema_version (target oid, schema int, version int, run int); \
         INSERT INTO dkhost.schema_version VALUES ('t'::regclass, 1, 2, 3)",
    );
    let options = serde_json::json!({"url": database.url, "table": "t"});
    let error = refused(stamp_at(&options));
    assert_eq!(error.code(), "state::corrupt");
    assert!(error.help_text().unwrap().starts_with("rename it"));
}

#[test]
fn a_store_of_documents_is_stamped_and_keeps_its_columns() {
    let database = database("");
    let options = serde_json::json!({"url": database.url, "layout": "dataknobs"});
    let schema = schema(&["!id utf8", "age int32"]);
    let with_rule = dkhost_core::Reshape {
        constraints: vec![crate::versions::rule(
            "user_age_range",
            "age",
            "int32",
            crate::versions::range("0", "9"),
        )],
        removed: vec!["data".to_owned()],
        ..reshape()
    };
    for number in 1..=2 {
        let sink =
            crate::support::sink_at(options.clone(), &schema, Conflict::ReplaceAll, |open| {
                open.reshape = Some(with_rule.clone());
            })
            .unwrap();
        let notes = sink.plan().notes.join("\n");
        assert!(
            notes.contains("the table does not check the schema's rules itself"),
            "{notes}"
        );
        let effects = sink.plan().effects.join("\n");
        assert!(!effects.contains("ALTER TABLE"), "{effects}");
        assert!(
            effects.contains("the records of table records are user@2.0.0"),
            "{effects}"
        );
        let mut run = Run::start(sink, number);
        run.write(&rows(&schema, &[&[Some("a"), Some("10")]]));
        run.commit();
        run.finish();
        let said = stamp_at(&options).unwrap().unwrap();
        assert_eq!(
            (said.version, said.run),
            ("2.0.0".to_owned(), format!("run {number}"))
        );
        assert_eq!(
            database.sql("SELECT id, data ->> 'age' IS NOT NULL FROM records"),
            "a|t"
        );
    }
}
