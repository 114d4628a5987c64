//! The two layouts of a target: a table with a column per field, or a dataknobs store.
//!
//! Either way a batch becomes a batch of the table's own columns, and rows read back from the
//! table become a batch of the plan's.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use dkhost_core::text::Appender;
use dkhost_core::{Field, LogicalType, Nulls, Result, RowReject, Schema};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::knobs;
use crate::column::{Fit, Reading, append};

/// How records lie in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A column per field.
    Table,
    /// `id`, `data` and `metadata`.
    Dataknobs(Nulls),
}

/// A batch in the table's own columns.
pub(crate) struct Encoded {
    pub records: RecordBatch,
    /// The rows of the batch that are in `records`; `None` when all of them are.
    pub rows: Option<Vec<u32>>,
    pub rejects: Vec<RowReject>,
}

impl Layout {
    /// The table's columns that hold records of `schema`.
    pub(crate) fn columns(&self, schema: &Schema) -> Vec<Field> {
        match self {
            Layout::Table => schema.fields.clone(),
            Layout::Dataknobs(_) => knobs::columns(),
        }
    }

    /// A batch of `schema` in those columns.
    pub(crate) fn encode(&self, schema: &Schema, records: &RecordBatch) -> Result<Encoded> {
        match self {
            Layout::Table => Ok(Encoded {
                records: records.clone(),
                rows: None,
                rejects: Vec::new(),
            }),
            Layout::Dataknobs(nulls) => knobs::encode(schema, records, *nulls),
        }
    }

    /// The columns to select so that [`ReadBack`] gets what it needs.
    pub(crate) fn selected(&self, schema: &Schema) -> Vec<String> {
        match self {
            Layout::Table => schema
                .fields
                .iter()
                .map(|field| field.name.clone())
                .collect(),
            Layout::Dataknobs(_) => knobs::SELECTED
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        }
    }

    /// Reads rows back into `schema`.
    pub(crate) fn read_back(&self, schema: &Schema) -> ReadBack {
        match self {
            Layout::Table => ReadBack::Table(TableRows::new(schema)),
            Layout::Dataknobs(_) => ReadBack::Dataknobs(Box::new(knobs::Rows::new(schema))),
        }
    }
}

/// Rows of the target on their way back into the plan's schema.
pub(crate) enum ReadBack {
    Table(TableRows),
    Dataknobs(Box<knobs::Rows>),
}

impl ReadBack {
    /// Takes a row whose selected columns begin at `first`; whether all of it could be read. What
    /// could not is null.
    pub(crate) fn push(&mut self, row: &Row<'_>, first: usize) -> bool {
        match self {
            ReadBack::Table(rows) => rows.push(row, first),
            ReadBack::Dataknobs(rows) => rows.push(row, first),
        }
    }

    /// The rows since the last time.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        match self {
            ReadBack::Table(rows) => rows.finish(),
            ReadBack::Dataknobs(rows) => rows.finish(),
        }
    }
}

/// Rows of a table with a column per field.
pub(crate) struct TableRows {
    fields: Vec<Field>,
    columns: Vec<(LogicalType, Appender)>,
    rows: usize,
}

impl TableRows {
    fn new(schema: &Schema) -> Self {
        let columns = schema
            .fields
            .iter()
            .map(|field| (field.logical.clone(), Appender::new(&field.logical)));
        TableRows {
            fields: schema.fields.clone(),
            columns: columns.collect(),
            rows: 0,
        }
    }

    fn push(&mut self, row: &Row<'_>, first: usize) -> bool {
        let mut is_read = true;
        for (i, (logical, column)) in self.columns.iter_mut().enumerate() {
            let value = row.get_ref(first + i).unwrap_or(ValueRef::Null);
            if append(column, logical, Reading::Lenient, value) != Fit::Exact {
                // Not ours: what we write can be read back. It counts as a row without this value.
                column.append_null();
                is_read = false;
            }
        }
        self.rows += 1;
        is_read
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|(_, column)| column.finish())
            .collect::<Result<_>>()?;
        let rows = std::mem::take(&mut self.rows);
        batch(&self.fields, arrays, rows)
    }
}

/// A batch of these fields; one that holds nulls it should not is nullable here.
pub(crate) fn batch(fields: &[Field], arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    use arrow::array::Array;
    let fields = fields.iter().zip(&arrays).map(|(field, array)| Field {
        nullable: field.nullable || array.null_count() > 0,
        ..field.clone()
    });
    let schema = Schema::new(fields.collect()).to_arrow();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}
