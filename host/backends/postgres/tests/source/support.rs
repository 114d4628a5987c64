//! What the tests of the source share: a database and a source of it.

use dkhost_core::{Backend, OpenSource, Options, Result, Source};
#[allow(unused_imports, reason = "the tests of dataknobs stores use fewer")]
pub use dkhost_drive::{all, batches, lines, read, refused, said, small, types};
use dkhost_postgres::PostgresBackend;
use dkhost_servers::Database;
use serde_json::Value;

/// A database that was made by some SQL.
pub fn with(sql: &str) -> Database {
    let database = dkhost_servers::postgres();
    database.sql(sql);
    database
}

/// A source of the database.
pub fn source(database: &Database, options: Value) -> Result<Box<dyn Source>> {
    source_with(&database.url, options, |_| ())
}

/// A source, opened as `set` says.
pub fn source_with(
    url: &str,
    mut options: Value,
    set: impl FnOnce(&mut OpenSource),
) -> Result<Box<dyn Source>> {
    options["url"] = url.into();
    let mut open = OpenSource {
        partitions: 1,
        ..OpenSource::default()
    };
    set(&mut open);
    let options = Options::from_json("[source]", &options).unwrap();
    options.check(&[PostgresBackend.source_options()]).unwrap();
    PostgresBackend.open_source(options, &open)
}

/// A key of one column.
pub fn key(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}
