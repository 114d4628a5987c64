//! Stores of a database, opened either way.

use arrow::array::RecordBatch;
use dkhost_core::{Conflict, OpenSource, Result, Schema, Sink, Source};
use dkhost_servers::Database;
use serde_json::{Value, json};

use crate::source::{all, source_with};
use crate::target::{Run, sink_at};

/// The table as dataknobs creates it.
pub fn create(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id TEXT PRIMARY KEY, data JSONB NOT NULL, metadata JSONB, \
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);"
    )
}

/// Opens a store as a source.
pub fn open(database: &Database, options: Value) -> Result<Box<dyn Source>> {
    open_with(database, options, |_| ())
}

pub fn open_with(
    database: &Database,
    mut options: Value,
    set: impl FnOnce(&mut OpenSource),
) -> Result<Box<dyn Source>> {
    options["layout"] = "dataknobs".into();
    source_with(&database.url, options, |open| {
        open.explicit_nulls = true;
        set(open);
    })
}

/// Opens the store in `table` as a target.
pub fn sink(
    database: &Database,
    table: &str,
    schema: &Schema,
    conflict: Conflict,
) -> Result<Box<dyn Sink>> {
    let options = json!({"url": database.url, "table": table, "layout": "dataknobs"});
    sink_at(options, schema, conflict, |_| ())
}

/// All records of a source in one batch.
pub fn one_batch(source: &dyn Source) -> RecordBatch {
    let batches: Vec<RecordBatch> = all(source).into_iter().map(|batch| batch.records).collect();
    arrow::compute::concat_batches(&source.schema().to_arrow(), &batches).unwrap()
}

/// Copies one store to another, to the end of the run; what became of each record.
pub fn copy(
    database: &Database,
    options: Value,
    to: &str,
    conflict: Conflict,
) -> dkhost_core::WriteReport {
    let source = open(database, options).unwrap();
    let mut run = Run::start(sink(database, to, source.schema(), conflict).unwrap(), 1);
    let report = run.write(&one_batch(source.as_ref()));
    run.commit();
    run.finish();
    report
}
