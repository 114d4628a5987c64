//! What these tests share: a database, jobs' sections, rows as text, a run step by step.

use dkhost_core::{Backend, Conflict, Nulls, OpenTarget, Options, Result, Schema, Sink};
#[allow(unused_imports, reason = "the tests of dataknobs stores use fewer")]
pub use dkhost_drive::{Cells, Run, batch, fates, partition, refused, rows, scan, schema, whys};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;

/// A database with what `sql` makes in it.
pub fn database(sql: &str) -> Database {
    let database = dkhost_servers::postgres();
    database.sql(sql);
    database
}

/// Opens `table` of a database as a target.
pub fn sink(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
) -> Result<Box<dyn Sink>> {
    sink_with(database, table, schema, conflict, |_| ())
}

pub fn sink_with(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
    set: impl FnOnce(&mut OpenTarget),
) -> Result<Box<dyn Sink>> {
    let options = serde_json::json!({"url": database.url, "table": table});
    sink_at(options, schema, conflict, set)
}

/// Opens a target with these options.
pub fn sink_at(
    options: serde_json::Value,
    schema: &Schema,
    conflict: Conflict,
    set: impl FnOnce(&mut OpenTarget),
) -> Result<Box<dyn Sink>> {
    let mut open = OpenTarget {
        base: "".into(),
        job: "job".into(),
        schema: schema.clone(),
        conflict,
        create: true,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    set(&mut open);
    PostgresBackend.open_target(Options::from_json("[target]", &options).unwrap(), &open)
}

/// Writes rows in one batch, to the end of the run; what became of each, and why.
pub fn load(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
    cells: Cells<'_>,
) -> (String, Vec<String>) {
    let mut run = Run::start(sink(database, table, schema, conflict).unwrap(), 1);
    let report = run.write(&rows(schema, cells));
    run.commit();
    run.finish();
    assert_no_leftovers(database);
    (fates(&report, cells.len()), whys(&report))
}

/// Neither state nor staging tables are left.
pub fn assert_no_leftovers(database: &Database) {
    let left = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = 'dkhost' OR c.relname LIKE 'dkhost%' \
                UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'dkhost'";
    assert_eq!(database.sql(left), "");
}
