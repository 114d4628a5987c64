//! A source read to its end.

use arrow::array::RecordBatch;
use dkhost_core::{Batch, BatchSize, Error, Partition, Position, Result, Schema, Source, json};

/// Batches of so many rows, small enough for bytes not to matter.
pub fn small(rows: usize) -> BatchSize {
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

/// All records of a source as JSON lines.
pub fn read(source: &dyn Source) -> Vec<String> {
    said(&all(source))
}

/// Records of some batches as JSON lines.
pub fn said(batches: &[Batch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| lines(&batch.records))
        .collect()
}

/// Records as JSON lines.
pub fn lines(records: &RecordBatch) -> Vec<String> {
    (0..records.num_rows())
        .map(|row| json::row(records, row))
        .collect()
}

/// Names and types, in order: `price float64`.
pub fn types(schema: &Schema) -> Vec<String> {
    schema
        .fields
        .iter()
        .map(|field| format!("{} {}", field.name, field.logical))
        .collect()
}

/// The error of what must not work.
///
/// # Panics
/// If it worked.
pub fn refused<T>(outcome: Result<T>) -> Error {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}
