//! Yields the batches of a Parquet or Arrow file, group by group.
//!
//! A group is a row group of Parquet or a record batch of Arrow. How many rows of it a batch takes
//! follows from the group alone, so that a batch read again holds the same rows.

use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{FileReader, StreamReader};
use dkhost_core::{Batch, BatchReader, Error, Position, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::convert::Conversion;
use super::{FileColumns, Label, again, declared, guarded, lengths};
use crate::handle::Handle;
use crate::identity::{self, Identity};
use crate::source::files::SourceFile;
use crate::source::partition::Slice;
use crate::source::position::{FilePosition, Place, bad};
use crate::source::rows::ColumnRows;
use crate::source::split::Bounds;

/// Yields the batches of a slice.
pub struct ColumnReader {
    identity: Identity,
    label: Label,
    handle: Handle,
    groups: Groups,
    conversion: Conversion,
    bounds: Bounds,
    id: Option<usize>,
    /// The group that is read, the rows taken from it, and the rows of the file before it.
    group: u64,
    row: u64,
    before: u64,
    /// First group of the next slice.
    end: u64,
    /// Rows of the current group, once it is open.
    open: Option<Open>,
    was_read: bool,
}

/// A group that is open.
struct Open {
    rows: u64,
    /// Rows a batch takes.
    step: usize,
    /// Bytes of the file a row takes, more or less.
    bytes_per_row: f64,
    from: From,
}

enum From {
    Parquet(Box<ParquetRecordBatchReader>),
    Arrow(RecordBatch),
}

/// Where groups come from.
enum Groups {
    Parquet(ArrowReaderMetadata, Vec<u64>),
    File(Box<FileReader<BufReader<Handle>>>),
    /// The reader, and the group it yields next.
    Stream(Box<StreamReader<BufReader<Handle>>>, u64),
}

/// The schema of an Arrow file or stream.
pub fn arrow_schema(handle: &Handle, label: &str) -> Result<SchemaRef> {
    Ok(match open_arrow(handle, label, None)? {
        Groups::File(reader) => reader.schema(),
        Groups::Stream(reader, _) => reader.schema(),
        Groups::Parquet(metadata, _) => metadata.schema().clone(),
    })
}

/// What the footer of an Arrow file says under a name; a stream has none.
pub fn arrow_says(handle: &Handle, label: &str, name: &str) -> Result<Option<String>> {
    Ok(match open_arrow(handle, label, None)? {
        Groups::File(reader) => reader.custom_metadata().get(name).cloned(),
        Groups::Stream(..) | Groups::Parquet(..) => None,
    })
}

fn open_arrow(handle: &Handle, label: &str, columns: Option<Vec<usize>>) -> Result<Groups> {
    let mut magic = [0; 6];
    let is_file = again(handle, label)?.read_exact(&mut magic).is_ok() && magic == *b"ARROW1";
    lengths::verify(handle, label, is_file)?;
    let reader = BufReader::with_capacity(1 << 20, again(handle, label)?);
    guarded(label, || {
        Ok(match is_file {
            true => Groups::File(Box::new(FileReader::try_new(reader, columns)?)),
            false => Groups::Stream(Box::new(StreamReader::try_new(reader, columns)?), 0),
        })
    })
}

impl ColumnReader {
    /// Opens a slice of a file at a place.
    pub fn open(
        file: &SourceFile,
        columns: FileColumns,
        handle: Handle,
        slice: &Slice,
        from: Option<&Place>,
        conversion: Conversion,
        bounds: Bounds,
    ) -> Result<Self> {
        let (group, row, before) = match from {
            None => (
                slice.from,
                0,
                columns.groups.iter().take(slice.from as usize).sum(),
            ),
            Some(Place::Rows { group, row, before }) => (*group, *row, *before),
            Some(Place::Text { .. }) => return Err(bad()),
        };
        let groups = match columns.metadata {
            Some(metadata) => Groups::Parquet(metadata, columns.groups),
            None => open_arrow(&handle, file.label(), Some(conversion.indices.clone()))?,
        };
        let end = match &groups {
            Groups::Parquet(_, rows) => slice.to.unwrap_or(rows.len() as u64),
            Groups::File(reader) => reader.num_batches() as u64,
            Groups::Stream(..) => u64::MAX,
        };
        Ok(ColumnReader {
            identity: file.identity.clone(),
            label: file.label().into(),
            handle,
            groups,
            id: conversion.id(),
            conversion,
            bounds,
            group,
            row,
            before,
            end,
            open: None,
            was_read: false,
        })
    }

    /// Opens the current group, at the current row; false after the last.
    fn open_group(&mut self) -> Result<bool> {
        if self.group >= self.end {
            return Ok(false);
        }
        let opened = match &mut self.groups {
            Groups::Parquet(metadata, rows) => {
                let rows = rows.get(self.group as usize).copied().ok_or_else(bad)?;
                let handle = again(&self.handle, &self.label)?;
                let (group, row) = (self.group as usize, self.row as usize);
                let indices = self.conversion.indices.iter().copied();
                let mask = ProjectionMask::roots(metadata.parquet_schema(), indices);
                let about = metadata.metadata().row_group(group);
                declared::pages(&handle, &self.label, about, &mask)?;
                let bounds = self.bounds;
                guarded(&self.label, || {
                    Ok(Some(open_row_group(
                        handle, metadata, group, row, rows, bounds, mask,
                    )?))
                })?
            }
            Groups::File(reader) => {
                let group = self.group as usize;
                let batch = guarded(&self.label, || {
                    reader.set_index(group)?;
                    Ok(reader.next().transpose()?)
                })?;
                batch.map(|batch| Open::arrow(batch, self.bounds))
            }
            Groups::Stream(reader, next) => {
                let mut batch = guarded(&self.label, || Ok(reader.next().transpose()?))?;
                while *next < self.group && batch.is_some() {
                    *next += 1;
                    batch = guarded(&self.label, || Ok(reader.next().transpose()?))?;
                }
                *next += 1;
                batch.map(|batch| Open::arrow(batch, self.bounds))
            }
        };
        let is_open = opened.is_some();
        self.open = opened;
        Ok(is_open)
    }

    /// The next rows of the current group; `None` at its end.
    fn next_rows(&mut self) -> Result<Option<RecordBatch>> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        match &mut open.from {
            From::Parquet(reader) => guarded(&self.label, || Ok(reader.next().transpose()?)),
            From::Arrow(batch) => {
                let left = open.rows.saturating_sub(self.row) as usize;
                let rows = left.min(open.step);
                Ok((rows > 0).then(|| batch.slice(self.row as usize, rows)))
            }
        }
    }

    fn position(&self) -> Result<Position> {
        let at = Place::Rows {
            group: self.group,
            row: self.row,
            before: self.before,
        };
        FilePosition {
            identity: self.identity.clone(),
            at,
        }
        .to_position()
    }

    fn close_group(&mut self) {
        if let Some(open) = self.open.take() {
            self.group += 1;
            self.row = 0;
            self.before += open.rows;
        }
    }

    fn at_end(&mut self) -> Result<()> {
        if self.was_read {
            return Ok(());
        }
        self.was_read = true;
        self.handle.verify(&self.identity)?;
        if let Groups::Stream(reader, _) = &mut self.groups {
            let mut rest = [0; 1];
            let follows = reader
                .get_mut()
                .read(&mut rest)
                .map_err(|cause| Error::io("read", &*self.label, cause))?;
            if follows > 0 {
                return Err(Error::data(
                    "file::corrupt",
                    format!(
                        "something follows the end of the Arrow stream `{}`",
                        self.label
                    ),
                )
                .help("several streams in one file are several files: split them"));
            }
        }
        Ok(())
    }
}

impl Open {
    fn arrow(batch: RecordBatch, bounds: Bounds) -> Self {
        let rows = batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size() as u64;
        Open {
            rows,
            step: bounds.rows_of(rows, bytes),
            bytes_per_row: per_row(bytes, rows),
            from: From::Arrow(batch),
        }
    }
}

fn per_row(bytes: u64, rows: u64) -> f64 {
    bytes as f64 / rows.max(1) as f64
}

fn open_row_group(
    handle: Handle,
    metadata: &ArrowReaderMetadata,
    group: usize,
    row: usize,
    rows: u64,
    bounds: Bounds,
    mask: ProjectionMask,
) -> Result<Open, parquet::errors::ParquetError> {
    let about = metadata.metadata().row_group(group);
    // Dictionaries make bytes in the file much fewer than in memory, where the file says it.
    let bytes: i64 = about
        .columns()
        .iter()
        .map(|column| {
            column
                .uncompressed_size()
                .max(column.unencoded_byte_array_data_bytes().unwrap_or(0))
        })
        .sum();
    let step = bounds.rows_of(rows, u64::try_from(bytes).unwrap_or(0));
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata.clone())
        .with_row_groups(vec![group])
        .with_offset(row)
        .with_batch_size(step)
        .with_projection(mask)
        .build()?;
    let stored = u64::try_from(about.compressed_size()).unwrap_or(0);
    Ok(Open {
        rows,
        step,
        bytes_per_row: per_row(stored, rows),
        from: From::Parquet(Box::new(reader)),
    })
}

impl BatchReader for ColumnReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        let next = self.next_batch();
        self.handle.first(next)
    }
}

impl ColumnReader {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        loop {
            if self.open.is_none() && !self.open_group()? {
                self.at_end()?;
                return Ok(None);
            }
            let Some(rows) = self.next_rows()? else {
                self.close_group();
                continue;
            };
            let (decoded, shown) = self.conversion.apply(&rows)?;
            let first = self.before + self.row;
            let count = rows.num_rows() as u64;
            self.row += count;
            let open = self.open.as_ref();
            let source_bytes = open.map_or(0.0, |open| open.bytes_per_row * count as f64) as u64;
            if open.is_some_and(|open| self.row > open.rows) {
                return Err(identity::changed(
                    &self.label,
                    "a row group has more rows than it says",
                ));
            }
            if open.is_some_and(|open| self.row == open.rows) {
                self.close_group();
            }
            let source = ColumnRows {
                file: self.label.clone(),
                first,
                records: shown,
                id: self.id,
            };
            return Ok(Some(decoded.into_batch(
                Arc::new(source),
                self.position()?,
                source_bytes,
            )));
        }
    }
}
