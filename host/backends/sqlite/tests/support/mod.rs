//! What the tests of this crate share: a folder with a database, jobs' sections.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::Path;

use dkhost_core::{
    Backend, Conflict, Nulls, OpenSource, OpenTarget, Options, Reshape, Result, Schema, Sink,
    Source,
};
#[allow(unused_imports, reason = "no test uses all of it")]
pub use dkhost_drive::{
    Run, all, batch, batches, fates, lines, partition, read, rows, schema, small, types,
};
use dkhost_sqlite::SqliteBackend;
use rusqlite::Connection;
use serde_json::Value;

/// A folder with a database `a.db`.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn with(sql: &str) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.db().execute_batch(sql).unwrap();
        folder
    }

    pub fn empty() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn db(&self) -> Connection {
        Connection::open(self.path().join("a.db")).unwrap()
    }

    /// Everything a query gives, a line per row, values as SQL literals with their class.
    pub fn dump(&self, sql: &str) -> Vec<String> {
        let db = self.db();
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|i| match row.get_ref(i).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                rusqlite::types::ValueRef::Real(value) => format!("{value:?}"),
                rusqlite::types::ValueRef::Text(text) => {
                    format!("'{}'", String::from_utf8_lossy(text))
                }
                rusqlite::types::ValueRef::Blob(bytes) => format!("x{bytes:02x?}"),
            });
            Ok(cells.collect::<Vec<_>>().join(" | "))
        });
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    pub fn source(&self, options: Value) -> Result<Box<dyn Source>> {
        self.source_with(options, |_| ())
    }

    pub fn source_with(
        &self,
        options: Value,
        set: impl FnOnce(&mut OpenSource),
    ) -> Result<Box<dyn Source>> {
        let mut open = OpenSource {
            base: self.path().into(),
            partitions: 1,
            ..OpenSource::default()
        };
        set(&mut open);
        SqliteBackend.open_source(with_path(options, "[source]"), &open)
    }

    pub fn sink(
        &self,
        options: Value,
        schema: &Schema,
        conflict: Conflict,
    ) -> Result<Box<dyn Sink>> {
        self.sink_with(options, schema, conflict, None)
    }

    /// A target that takes the shape of another version.
    pub fn reshaping(
        &self,
        options: Value,
        schema: &Schema,
        reshape: Reshape,
    ) -> Result<Box<dyn Sink>> {
        self.sink_with(options, schema, Conflict::ReplaceAll, Some(reshape))
    }

    fn sink_with(
        &self,
        options: Value,
        schema: &Schema,
        conflict: Conflict,
        reshape: Option<Reshape>,
    ) -> Result<Box<dyn Sink>> {
        let open = OpenTarget {
            base: self.path().into(),
            job: "job".into(),
            schema: schema.clone(),
            conflict,
            create: true,
            nulls: Nulls::Keep,
            content: true,
            reshape,
        };
        SqliteBackend.open_target(with_path(options, "[target]"), &open)
    }
}

fn with_path(mut options: Value, section: &str) -> Options {
    options
        .as_object_mut()
        .unwrap()
        .entry("path")
        .or_insert("a.db".into());
    Options::from_json(section, &options).unwrap()
}
