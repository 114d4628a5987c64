//! What the tests of the source share: a database, a source of it, rows as text.

use arrow::array::RecordBatch;
use dkhost_core::{
    Backend, Batch, BatchSize, OpenSource, Options, Partition, Position, Result, Schema, Source,
    json,
};
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

pub fn rows(rows: usize) -> BatchSize {
    BatchSize {
        rows,
        bytes: 1 << 20,
    }
}

/// Every batch of a partition from a position on.
pub fn batches(source: &dyn Source, partition: &Partition, from: &Position) -> Vec<Batch> {
    let mut reader = source.read(partition, from).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// Every batch of every partition.
pub fn all(source: &dyn Source) -> Vec<Batch> {
    let partitions = source.partitions().unwrap();
    partitions
        .iter()
        .flat_map(|partition| batches(source, partition, &Position::start()))
        .collect()
}

/// Records as JSON lines.
pub fn lines(records: &RecordBatch) -> Vec<String> {
    (0..records.num_rows())
        .map(|row| json::row(records, row))
        .collect()
}

/// All records of a source as JSON lines.
pub fn read(source: &dyn Source) -> Vec<String> {
    all(source)
        .iter()
        .flat_map(|batch| lines(&batch.records))
        .collect()
}

/// Records of some batches as JSON lines.
pub fn said(batches: &[Batch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| lines(&batch.records))
        .collect()
}

/// Names and types, in order.
pub fn types(schema: &Schema) -> Vec<String> {
    schema
        .fields
        .iter()
        .map(|field| format!("{} {}", field.name, field.logical))
        .collect()
}

/// The error of what must not work.
pub fn refused<T>(outcome: Result<T>) -> dkhost_core::Error {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}
