//! A dataknobs store as a target.
//!
//! *Source* – `dataknobs-data` 0.11.0, `backends/sql_base.py`: the statements below are its own,
//! and `data` and `metadata` are laid out as its `json.dumps` does.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::dataknobs::{self, Form, RECORD, Reader, Writer};
use dkhost_core::json::{DecodeOptions, Decoder, RowError};
use dkhost_core::{Column, Field, LogicalType, Nulls, Result, Role, Schema};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use super::layout::Encoded;
use crate::catalog::{ColumnDef, Table};
use crate::name::{quote, same};

/// What is selected to read a record back.
pub(crate) const SELECTED: [&str; 3] = ["id", "data", "metadata"];

/// The columns of a store.
pub(crate) fn columns() -> Vec<Field> {
    let text = |name: &str| Field::new(name, LogicalType::Utf8);
    vec![
        Field {
            key: Some(0),
            nullable: false,
            ..text("id")
        },
        text("data"),
        text("metadata"),
        text("created_at"),
        text("updated_at"),
    ]
}

/// The value of a column when a row is inserted: what is bound, or the store's own.
pub(crate) fn inserted(column: &str, parameter: &str) -> String {
    match column {
        "created_at" | "updated_at" => format!("coalesce({parameter}, CURRENT_TIMESTAMP)"),
        _ => parameter.to_owned(),
    }
}

/// The value of a column when a row is replaced.
pub(crate) fn replaced(column: &str, parameter: &str) -> String {
    match column {
        "created_at" => format!("coalesce({parameter}, created_at, CURRENT_TIMESTAMP)"),
        _ => inserted(column, parameter),
    }
}

/// CREATE TABLE.
pub(crate) fn create(table: &str) -> Result<String> {
    Ok(format!(
        "CREATE TABLE {} (
    id VARCHAR(255) PRIMARY KEY,
    data TEXT NOT NULL CHECK (json_valid(data)),
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)",
        quote(table)?
    ))
}

/// The indexes of a new store.
pub(crate) fn indexes(table: &str) -> Result<Vec<String>> {
    let index = |suffix: &str, column: &str| -> Result<String> {
        let name = quote(&format!("idx_{table}_{suffix}"))?;
        Ok(format!(
            "CREATE INDEX IF NOT EXISTS {name} ON {} ({column})",
            quote(table)?
        ))
    };
    Ok(vec![
        index("created", "created_at")?,
        index("updated", "updated_at")?,
    ])
}

/// What the plan says about each column of the job.
pub(crate) fn shown(schema: &Schema) -> Vec<Column> {
    schema.fields.iter().map(dataknobs::column).collect()
}

/// A batch as rows of the store.
pub(crate) fn encode(schema: &Schema, records: &RecordBatch, nulls: Nulls) -> Result<Encoded> {
    let writer = Writer::new(schema, Form::Flat, nulls);
    let mut bound = writer.bind(records)?;
    let metas = schema
        .role(Role::Meta)
        .and_then(|meta| records.column(meta).as_string_opt::<i32>());
    let mut texts: [Vec<Option<String>>; 5] = Default::default();
    let (mut rows, mut rejects) = (Vec::new(), Vec::new());
    let (mut data, mut metadata) = (Vec::new(), Vec::new());
    for row in 0..records.num_rows() {
        data.clear();
        metadata.clear();
        let id = bound
            .id(row)
            .ok_or_else(|| RowError::new("dataknobs::no_id", "the record has no id"));
        match id.and_then(|id| Ok((id, bound.flat(row, &mut data, &mut metadata)?))) {
            Ok((id, has_metadata)) => {
                use arrow::array::Array;
                let (created, updated) = match metas.filter(|metas| metas.is_valid(row)) {
                    Some(metas) => timestamps(metas.value(row)),
                    None => (None, None),
                };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let cells = [
                    Some(id),
                    Some(text(&data)),
                    has_metadata.then(|| text(&metadata)),
                    created,
                    updated,
                ];
                texts
                    .iter_mut()
                    .zip(cells)
                    .for_each(|(column, cell)| column.push(cell));
                rows.push(row as u32);
            }
            Err(refused) => rejects.push(refused.reject(row as u32)),
        }
    }
    let arrays = texts
        .into_iter()
        .map(|column| Arc::new(StringArray::from(column)) as ArrayRef)
        .collect();
    let count = rows.len();
    let records = super::layout::batch(&columns(), arrays, count)?;
    Ok(Encoded {
        records,
        rows: (!rejects.is_empty()).then_some(rows),
        rejects,
    })
}

/// The store's own times of a record, where the source took them along.
fn timestamps(meta: &str) -> (Option<String>, Option<String>) {
    if !meta.contains(RECORD) {
        return (None, None);
    }
    let meta: Map<String, Json> = serde_json::from_str(meta).unwrap_or_default();
    let time = |name: &str| Some(meta.get(RECORD)?.get(name)?.as_str()?.to_owned());
    (time("created_at"), time("updated_at"))
}

/// Rows of a store on their way back into the plan's schema.
pub(crate) struct Rows {
    reader: Reader,
    decoder: Decoder,
}

impl Rows {
    pub(crate) fn new(schema: &Schema) -> Self {
        // What cannot be read becomes a row of nulls, so every column must be able to hold one.
        let fields = schema.fields.iter().map(|field| Field {
            nullable: true,
            ..field.clone()
        });
        let options = DecodeOptions {
            explicit_nulls: true,
            ..DecodeOptions::default()
        };
        Rows {
            reader: Reader::new(schema),
            decoder: Decoder::new(&Schema::new(fields.collect()), options),
        }
    }

    pub(crate) fn push(&mut self, row: &Row<'_>, first: usize) -> bool {
        let text = |column| match row.get_ref(first + column) {
            Ok(ValueRef::Text(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        let read = self
            .reader
            .flat(text(1).unwrap_or("").as_bytes(), text(2))
            .and_then(|plain| {
                self.decoder
                    .push_document(plain.fields, text(0), plain.meta)
            });
        let is_read = read.is_ok();
        if !is_read {
            // Not ours: dataknobs and we write valid JSON. It counts as a row without values.
            let _ = self.decoder.push(b"{}");
        }
        is_read
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        self.decoder.finish()
    }
}
/// Carries over what a store says of its records beside them – when they were created, columns of
/// somebody else – to the table that replaces it. That they get another version is a change of theirs:
/// `updated_at` is the time of writing. Records that brought the time have the old one anyway.
pub(super) fn carry_over(old: &Table, staging: &str) -> Result<Option<String>> {
    let ours = ["id", "data", "metadata", "updated_at"];
    let is_theirs = |column: &&ColumnDef| {
        !column.generated && !ours.iter().any(|ours| same(ours, &column.name))
    };
    let names = old.columns.iter().filter(is_theirs);
    let sets: Vec<String> = names
        .map(|column| Ok(format!("{0} = old.{0}", quote(&column.name)?)))
        .collect::<Result<_>>()?;
    let (staging, old) = (quote(staging)?, quote(&old.name)?);
    Ok((!sets.is_empty()).then(|| {
        let sets = sets.join(", ");
        format!("UPDATE {staging} SET {sets} FROM {old} AS old WHERE old.id = {staging}.id")
    }))
}
