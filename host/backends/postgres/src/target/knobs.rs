//! A dataknobs store as a target: what its table is, and records to rows of it and back.
//!
//! *Source* – `dataknobs-data` 0.11.0, `backends/postgres_mixins.py` (the table and its indexes),
//! `backends/sql_base.py` (what an update changes); PostgreSQL, "JSON Types" (what jsonb keeps).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::dataknobs::{self, BoundWriter, Form, Reader, Writer};
use dkhost_core::json::{DecodeOptions, Decoder, RowError};
use dkhost_core::text::Appender;
use dkhost_core::{
    Error, Field, LogicalType, Nulls, OpenTarget, Result, Role, RowReject, Schema, TargetPlan,
};

use super::kept::check;
use super::sql;
use super::times::{TIMES, Taken, timestamps};
use crate::catalog::{Name, Table};
use crate::name::{NAME_BYTES, quote};

/// How many columns are the record; [`TIMES`] are the store's own.
const RECORDS: usize = 3;

/// What stands between the parentheses of CREATE TABLE.
pub(super) const BODY: &str = "id TEXT PRIMARY KEY, data JSONB NOT NULL, metadata JSONB, \
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP";

/// The indexes of a new store. They are called after the table alone, and cut as the server does.
pub(super) fn indexes(table: &Name) -> Result<String> {
    let index = |column: &str| -> Result<String> {
        let mut name = format!("idx_{}_{column}", table.name);
        while name.len() > NAME_BYTES {
            name.pop();
        }
        Ok(format!(
            "CREATE INDEX IF NOT EXISTS {} ON {} USING GIN ({column})",
            quote(&name)?,
            sql(table)?
        ))
    };
    Ok(format!("{}; {}", index("data")?, index("metadata")?))
}

/// The columns of a store that records are written to.
pub(super) fn columns() -> Vec<Field> {
    vec![
        Field {
            key: Some(0),
            nullable: false,
            ..Field::new("id", LogicalType::Utf8)
        },
        Field {
            nullable: false,
            ..Field::new("data", LogicalType::Json)
        },
        Field::new("metadata", LogicalType::Json),
    ]
}

/// Those, and the times that records bring along.
fn timed_columns() -> Vec<Field> {
    let times = TIMES.map(|name| Field::new(name, LogicalType::Timestamp(None)));
    columns().into_iter().chain(times).collect()
}

/// What a table has of the store's own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    /// No columns for them.
    Absent,
    /// They are set by default.
    Default,
    /// They are null unless they are set.
    Bare,
}

/// A store, and the records of the plan that are kept there.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// The plan's schema.
    pub schema: Schema,
    nulls: Nulls,
    times: Times,
    /// Columns that dataknobs' vector search added.
    vectors: Vec<String>,
}

impl Store {
    /// The store for the records of a plan.
    ///
    /// *Errors* – `dataknobs::no_id`.
    pub(super) fn new(open: &OpenTarget) -> Result<Self> {
        let schema = &open.schema;
        let has_id = schema.role(Role::Id).is_some()
            || !schema.key().is_empty()
            || schema.index_of("id").is_some();
        if !has_id {
            return Err(Error::config(
                "dataknobs::no_id",
                "records for a dataknobs store need an id, and none of these has one",
            )
            .help("set `key` in [source] to the column that tells records apart"));
        }
        Ok(Store {
            schema: schema.clone(),
            nulls: open.nulls,
            times: Times::Absent,
            vectors: Vec::new(),
        })
    }

    /// The store in this table.
    pub(super) fn within(mut self, table: &Table) -> Self {
        let times = TIMES.map(|name| table.column(name));
        self.times = match times {
            [Some(created), Some(updated)] if created.has_default && updated.has_default => {
                Times::Default
            }
            [Some(_), Some(_)] => Times::Bare,
            _ => Times::Absent,
        };
        let columns = table.columns.iter().map(|column| column.name.as_str());
        let vectors = columns.filter(|name| name.starts_with("vector_"));
        self.vectors = vectors.map(str::to_owned).collect();
        self
    }

    /// Whether the columns of [`TIMES`] are there.
    pub(super) fn has_times(&self) -> bool {
        self.times != Times::Absent
    }

    /// Puts into the plan what is said about fields instead of columns.
    pub(super) fn shown(&self, plan: &mut TargetPlan) {
        plan.columns = self.schema.fields.iter().map(dataknobs::column).collect();
        plan.notes.extend(dataknobs::lost_when_flat(&self.schema));
        plan.notes.push(
            "jsonb keeps values, not their spelling: keys of objects are put in its own order and numbers are \
             written out, so that dataknobs reads 1e300 as an integer; a record with the same key twice in an \
             object, with -0 or with U+0000 is refused"
                .to_owned(),
        );
        if self.has_times() {
            plan.notes.push("created_at and updated_at are set to the time of writing, in UTC, unless the records bring them".to_owned());
        }
        if !self.vectors.is_empty() {
            plan.notes.push(format!(
                "{} of dataknobs' vector search are not written; vectors are in data",
                self.vectors.join(", ")
            ));
        }
    }

    /// A batch as rows of the store.
    pub(super) fn encode(&self, records: &RecordBatch) -> Result<Encoded> {
        let writer = Writer::new(&self.schema, Form::Flat, self.nulls);
        let mut bound = writer.bind(records)?;
        let meta = self.schema.role(Role::Meta);
        let metas = meta.and_then(|meta| records.column(meta).as_string_opt::<i32>());
        let mut out = Rows::default();
        for row in 0..records.num_rows() {
            let times = match metas.filter(|metas| self.has_times() && metas.is_valid(row)) {
                Some(metas) => timestamps(metas.value(row)),
                None => Ok([None, None]),
            };
            match times.and_then(|times| out.push(&mut bound, row, times)) {
                Ok(()) => out.kept.push(row as u32),
                Err(refused) => out.rejects.push(refused.reject(row as u32)),
            }
        }
        let timed = self.times == Times::Bare || out.times.iter().any(|times| *times != [None; 2]);
        out.finish(self.has_times() && timed)
    }

    /// Rows `id`, `data`, `metadata` in the plan's schema. What cannot be read (neither dataknobs
    /// nor we wrote it) is a row of nulls.
    pub(super) fn read(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.schema.fields.iter().map(|field| Field {
            nullable: true,
            ..field.clone()
        });
        let options = DecodeOptions {
            explicit_nulls: true,
            ..DecodeOptions::default()
        };
        let mut reader = Reader::new(&self.schema);
        let mut decoder = Decoder::new(&Schema::new(fields.collect()), options);
        let texts: Vec<Option<&StringArray>> = (0..RECORDS)
            .map(|at| rows.columns().get(at)?.as_string_opt::<i32>())
            .collect();
        let text = |at: usize, row: usize| {
            let texts = texts[at].filter(|texts| texts.is_valid(row));
            texts.map(|texts| texts.value(row))
        };
        for row in 0..rows.num_rows() {
            let data = text(1, row).unwrap_or_default().as_bytes();
            let read = reader
                .flat(data, text(2, row))
                .and_then(|plain| decoder.push_document(plain.fields, text(0, row), plain.meta));
            if read.is_err() {
                let _ = decoder.push(b"{}");
            }
        }
        decoder.finish()
    }
}

/// A batch in the store's columns.
pub(super) struct Encoded {
    pub records: RecordBatch,
    /// The rows of the batch that are in `records`.
    pub rows: Vec<u32>,
    pub rejects: Vec<RowReject>,
}

/// Rows that are put together.
#[derive(Default)]
struct Rows {
    ids: Vec<String>,
    data: Vec<String>,
    metadata: Vec<Option<String>>,
    times: Vec<Taken>,
    kept: Vec<u32>,
    rejects: Vec<RowReject>,
}

impl Rows {
    fn push(
        &mut self,
        bound: &mut BoundWriter<'_>,
        row: usize,
        times: Taken,
    ) -> Result<(), RowError> {
        let id = bound
            .id(row)
            .ok_or_else(|| RowError::new("dataknobs::no_id", "the record has no id"))?;
        let (mut data, mut metadata) = (Vec::new(), Vec::new());
        let has_metadata = bound.flat(row, &mut data, &mut metadata)?;
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .map_err(|_| RowError::new("json::not_utf8", "the record is not UTF-8"))
        };
        let (data, metadata) = (text(data)?, text(metadata)?);
        check(&data)?;
        if has_metadata {
            check(&metadata)?;
        }
        self.ids.push(id);
        self.data.push(data);
        self.metadata.push(has_metadata.then_some(metadata));
        self.times.push(times);
        Ok(())
    }

    fn finish(self, timed: bool) -> Result<Encoded> {
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.ids)),
            Arc::new(StringArray::from(self.data)),
            Arc::new(StringArray::from(self.metadata)),
        ];
        let fields = match timed {
            true => timed_columns(),
            false => columns(),
        };
        for (at, field) in fields.iter().enumerate().skip(RECORDS) {
            let mut column = Appender::new(&field.logical);
            for times in &self.times {
                match times[at - RECORDS] {
                    Some(micros) => {
                        let mut text = Vec::new();
                        dkhost_core::text::write_timestamp(micros, false, &mut text);
                        column.append(&String::from_utf8_lossy(&text));
                    }
                    None => column.append_null(),
                }
            }
            arrays.push(column.finish()?);
        }
        Ok(Encoded {
            records: RecordBatch::try_new(Schema::new(fields).to_arrow(), arrays)?,
            rows: self.kept,
            rejects: self.rejects,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_called_after_the_table() {
        assert_eq!(
            indexes(&Name::of("crm", "notes")).unwrap(),
            "CREATE INDEX IF NOT EXISTS \"idx_notes_data\" ON \"crm\".\"notes\" USING GIN (data); \
             CREATE INDEX IF NOT EXISTS \"idx_notes_metadata\" ON \"crm\".\"notes\" USING GIN (metadata)"
        );
    }
}
