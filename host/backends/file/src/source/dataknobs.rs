//! Stores of dataknobs-data that are tables: CSV and Parquet with a column `__id__`.
//!
//! A cell is a bare value, or in version 0.11 the whole field as JSON. Each row becomes the record
//! a JSON store would have, and goes the way of those: bare texts stay texts, as dataknobs itself
//! reads them, unless the job declares a type. An empty cell is a field that is not there.
//!
//! *Source* – `dataknobs-data` 0.4.13 and 0.11.0, `backends/file.py`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use dkhost_core::json::{Encoder, RowError, Scanner, escape};
use dkhost_core::{
    Batch, BatchReader, Error, Field, LogicalType, Nulls, Reject, Result, Role, Schema, StageKind,
};

use super::csv::{Cell, Lines, unescaped};
use super::decoded::Decoded;
use super::json::Documents;
use crate::options::CsvOptions;

/// The column of the ids.
pub const ID_COLUMN: &str = "__id__";

/// The error for a table without ids.
pub fn no_id(label: &str) -> Error {
    Error::config(
        "dataknobs::no_id",
        format!("`{label}` has no column `{ID_COLUMN}`, so dataknobs-data did not write it"),
    )
    .help("leave `layout` out to read it as an ordinary file")
}

/// Whether a bare cell of a declared type is a JSON token and no text.
pub fn is_token(logical: &LogicalType) -> bool {
    logical.is_numeric() || *logical == LogicalType::Boolean
}

/// Makes records of lines.
#[derive(Debug)]
pub struct LineStore {
    /// Cells of a line.
    pub width: usize,
    options: CsvOptions,
    /// Place, `"name":`, and whether bare cells are tokens.
    columns: Vec<(usize, Vec<u8>, bool)>,
    id: usize,
    version: Version,
    record: Vec<u8>,
}

/// Which dataknobs-data wrote a table, as its cells show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.4.13: lists and objects are bare JSON.
    Bare,
    /// 0.11: what is no plain value is a whole field, so that a bare bracket is text.
    Fields,
}

impl LineStore {
    /// For a file with this header; `declared` are the types the job declares.
    ///
    /// *Errors* – `dataknobs::no_id`.
    pub fn new(
        header: &[String],
        declared: &[(String, LogicalType)],
        version: Version,
        options: &CsvOptions,
        label: &str,
    ) -> Result<Self> {
        let id = header
            .iter()
            .position(|name| name == ID_COLUMN)
            .ok_or_else(|| no_id(label))?;
        let columns = header.iter().enumerate().filter(|(place, _)| *place != id);
        let column = |(place, name): (usize, &String)| {
            let mut key = Vec::new();
            escape(name, &mut key);
            key.push(b':');
            let token = declared
                .iter()
                .any(|(other, logical)| other == name && is_token(logical));
            (place, key, token)
        };
        Ok(LineStore {
            width: header.len(),
            options: options.clone(),
            columns: columns.map(column).collect(),
            id,
            version,
            record: Vec::new(),
        })
    }

    /// The id and the record of a line.
    pub fn record(&mut self, cells: &[Cell], bytes: &[u8]) -> Result<(String, &[u8]), RowError> {
        let text = |cell: Cell| {
            std::str::from_utf8(cell.range().of(bytes))
                .map(|text| unescaped(cell, text, &self.options))
                .map_err(|_| RowError::new("csv::not_utf8", "the line is not UTF-8"))
        };
        let id = text(cells[self.id])?;
        self.record.clear();
        self.record.extend_from_slice(b"{\"fields\":{");
        let empty = self.record.len();
        for (place, key, token) in &self.columns {
            let cell = cells[*place];
            let value = text(cell)?;
            if value.is_empty() && !cell.is_quoted() {
                continue;
            }
            if self.record.len() > empty {
                self.record.push(b',');
            }
            self.record.extend_from_slice(key);
            write_value(&value, *token, self.version, &mut self.record);
        }
        self.record.extend_from_slice(b"}}");
        Ok((id, &self.record))
    }

    /// Whether a line has a cell that only version 0.11 writes.
    pub fn has_field(&self, cells: &[Cell], bytes: &[u8]) -> bool {
        let is_whole_field = |cell: &Cell| {
            let text = std::str::from_utf8(cell.range().of(bytes));
            text.is_ok_and(|text| {
                text.starts_with('{') && is_field(&unescaped(*cell, text, &self.options))
            })
        };
        cells.iter().any(is_whole_field)
    }

    /// The rows of well-formed lines.
    pub fn decode(&mut self, lines: Lines, documents: &mut Documents) -> Result<Decoded> {
        let Lines {
            records,
            cells,
            good,
            bad: mut refused,
        } = lines;
        let bytes = records.piece.bytes();
        let mut origin = Vec::with_capacity(good.len());
        for (row, cells) in good.iter().zip(cells.chunks_exact(self.width)) {
            let taken = self
                .record(cells, bytes)
                .and_then(|(id, record)| documents.push(record, Some(&id)));
            match taken {
                Ok(()) => origin.push(*row),
                Err(error) => refused.push((*row, error)),
            }
        }
        Ok(Decoded {
            records: documents.finish()?,
            origin,
            refused,
        })
    }
}

/// Writes a cell as JSON: a whole field, a token, bare JSON where the version has that, or text.
fn write_value(cell: &str, token: bool, version: Version, out: &mut Vec<u8>) {
    let is_bare = version == Version::Bare && cell.starts_with(['{', '[']);
    let json = match cell {
        "True" if token => Some("true"),
        "False" if token => Some("false"),
        _ if (token || is_bare) && is_json(cell) => Some(cell),
        _ if is_field(cell) => Some(cell),
        _ => None,
    };
    match json {
        Some(json) => out.extend_from_slice(json.as_bytes()),
        None => escape(cell, out),
    }
}

fn is_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text).bare_nan(true);
    scanner.value().is_ok() && scanner.end().is_ok()
}

/// Whether a cell is a field as version 0.11 writes it.
pub fn is_field(cell: &str) -> bool {
    cell.starts_with('{') && members_of_a_field(cell).unwrap_or(0) == 4
}

/// How many of the four members that every field has are there.
fn members_of_a_field(cell: &str) -> Result<usize, RowError> {
    let mut scanner = Scanner::new(cell).bare_nan(true);
    let mut found = 0;
    let mut more = scanner.enter_object()?;
    while more {
        let (name, _) = scanner.key()?;
        found += usize::from(matches!(name, "name" | "value" | "type" | "metadata"));
        scanner.value()?;
        more = scanner.next_member()?;
    }
    scanner.end()?;
    Ok(found)
}

/// Makes records of rows that are columns.
#[derive(Debug)]
pub struct RowStore {
    encoder: Encoder,
    schema: Schema,
    id: usize,
    /// Columns whose texts may be JSON.
    texts: Vec<usize>,
}

impl RowStore {
    /// For rows with these columns, of which `id` is the one with that role.
    ///
    /// *Errors* – `dataknobs::no_id`.
    pub fn new(columns: &Schema, label: &str) -> Result<Self> {
        let id = columns.role(Role::Id).ok_or_else(|| no_id(label))?;
        let mut schema = columns.clone();
        let is_text = |field: &Field| field.role.is_none() && field.logical == LogicalType::Utf8;
        let texts: Vec<usize> = columns
            .fields
            .iter()
            .enumerate()
            .filter(|(_, f)| is_text(f))
            .map(|(i, _)| i)
            .collect();
        texts
            .iter()
            .for_each(|column| schema.fields[*column].logical = LogicalType::Json);
        // Nulls are fields that are not there, as dataknobs reads them.
        let encoder = Encoder::new(&schema, Nulls::Omit)
            .id_as(None)
            .bare_nan(true);
        Ok(RowStore {
            encoder,
            schema,
            id,
            texts,
        })
    }

    /// Gives the id and the record of every row to `each`.
    pub fn records(
        &self,
        rows: &RecordBatch,
        mut each: impl FnMut(usize, Option<&str>, Result<&[u8], RowError>),
    ) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        for column in &self.texts {
            columns[*column] = as_json(&columns[*column]);
        }
        let rows = RecordBatch::try_new(self.schema.to_arrow(), columns)?;
        let bound = self.encoder.bind(&rows)?;
        let ids = dkhost_core::text::Cells::bind(
            rows.column(self.id).as_ref(),
            &self.schema.fields[self.id].logical,
        )?;
        let (mut record, mut id) = (Vec::new(), Vec::new());
        for row in 0..rows.num_rows() {
            record.clear();
            record.extend_from_slice(b"{\"fields\":");
            let written = bound.row(row, &mut record);
            record.push(b'}');
            id.clear();
            let has_id = ids.write(row, &mut id);
            let id = std::str::from_utf8(&id).ok().filter(|_| has_id);
            each(row, id, written.map(|()| record.as_slice()));
        }
        Ok(())
    }
}

fn as_json(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else {
        return column.clone();
    };
    let mut values = StringBuilder::with_capacity(texts.len(), texts.value_data().len() * 2);
    let mut value = Vec::new();
    for row in 0..texts.len() {
        value.clear();
        if texts.is_valid(row) {
            // Lists and objects of version 0.4.13 are columns of their own.
            write_value(texts.value(row), false, Version::Fields, &mut value);
        }
        values.append_option(
            std::str::from_utf8(&value)
                .ok()
                .filter(|_| texts.is_valid(row)),
        );
    }
    Arc::new(values.finish())
}

/// Yields the batches of a Parquet store.
pub struct StoreReader {
    /// The rows as they are in the file.
    pub rows: Box<dyn BatchReader>,
    /// How they become records.
    pub store: RowStore,
    /// How those become columns.
    pub documents: Documents,
}

impl BatchReader for StoreReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        let Some(batch) = self.rows.next()? else {
            return Ok(None);
        };
        let (mut origin, mut rejects) = (Vec::new(), batch.rejects.clone());
        let documents = &mut self.documents;
        self.store.records(&batch.records, |row, id, record| {
            let source_row = batch.source_row(row);
            match record.and_then(|record| documents.push(record, id)) {
                Ok(()) => origin.push(source_row),
                Err(error) => rejects.push(Reject {
                    source_row,
                    kind: StageKind::Decode,
                    stage: "source".to_owned(),
                    column: error.column,
                    code: error.code.to_owned(),
                    message: error.message,
                }),
            }
        })?;
        rejects.sort_by_key(|reject| reject.source_row);
        let all = origin.len() == batch.source.len();
        let origin = (!all).then(|| origin.into());
        Ok(Some(Batch {
            records: self.documents.finish()?,
            origin,
            rejects,
            ..batch
        }))
    }
}
