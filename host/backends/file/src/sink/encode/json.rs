//! JSON Lines and JSON arrays: one object per line either way.
//!
//! An array is `[`, a line per record with commas between them, `]`. It can be cut after any record
//! and gone on with, and `grep` and `head` work on it.

use ::arrow::array::RecordBatch;
use dkhost_core::json::{DecodeOptions, Decoder, Encoder, RowError};
use dkhost_core::{Error, Field, Nulls, Result, Role, RowReject, Schema};

use super::text::Rows;

/// Rows as objects.
pub struct JsonRows {
    encoder: Encoder,
    schema: Schema,
    is_array: bool,
}

impl JsonRows {
    /// Rows of `schema`, as lines or as an array.
    pub fn new(schema: &Schema, nulls: Nulls, is_array: bool) -> Self {
        JsonRows {
            encoder: Encoder::new(schema, nulls),
            schema: schema.clone(),
            is_array,
        }
    }
}

impl Rows for JsonRows {
    fn begin(&self, out: &mut Vec<u8>) {
        if self.is_array {
            out.push(b'[');
        }
    }

    fn rows(
        &mut self,
        records: &RecordBatch,
        mut any: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        let bound = self.encoder.bind(records)?;
        let mut rejects = Vec::new();
        for row in 0..records.num_rows() {
            let start = out.len();
            if self.is_array {
                out.extend_from_slice(if any { b",\n" } else { b"\n" });
            }
            match bound.row(row, out) {
                Ok(()) => any = true,
                Err(refused) => {
                    out.truncate(start);
                    rejects.push(not_representable(refused, row));
                    continue;
                }
            }
            if !self.is_array {
                out.push(b'\n');
            }
        }
        Ok(rejects)
    }

    fn end(&self, any: bool, out: &mut Vec<u8>) {
        if self.is_array {
            out.extend_from_slice(if any { b"\n]\n" } else { b"]\n" });
        }
    }

    fn boundary(&self, text: &[u8]) -> usize {
        memchr::memrchr(b'\n', text).map_or(0, |end| end + 1)
    }

    fn read(&self, text: &[u8], _first: bool) -> Result<RecordBatch> {
        let mut decoder = Decoder::new(
            &plain(&self.schema),
            DecodeOptions {
                explicit_nulls: true,
                ..DecodeOptions::default()
            },
        );
        for line in lines(text) {
            let line = line
                .strip_suffix(b",")
                .filter(|_| self.is_array)
                .unwrap_or(line);
            decoder.push(line).map_err(unreadable)?;
        }
        with_schema(decoder.finish()?, &self.schema)
    }

    fn count(&self, text: &[u8], _first: bool) -> u64 {
        lines(text).count() as u64
    }
}

/// The lines that hold a record: each begins with its brace.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| line.first() == Some(&b'{'))
}

/// The schema under which every column but the rest is an ordinary field, as it is written.
pub fn plain(schema: &Schema) -> Schema {
    let field = |field: &Field| match field.role {
        Some(Role::Rest) => field.clone(),
        // Metadata that is not there is never written as null.
        role => Field {
            role: None,
            null_is_absent: field.null_is_absent || role == Some(Role::Meta),
            ..field.clone()
        },
    };
    Schema::new(schema.fields.iter().map(field).collect())
}

/// The same columns under the plan's schema.
pub fn with_schema(records: RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    let options =
        ::arrow::array::RecordBatchOptions::new().with_row_count(Some(records.num_rows()));
    let columns = records.columns().to_vec();
    RecordBatch::try_new_with_options(schema.to_arrow(), columns, &options).map_err(unreadable)
}

/// The error for something we wrote and cannot read.
pub fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("file::unreadable", "what was written cannot be read back").caused_by(cause)
}

/// The reject of a row that the format has no way to say.
pub fn not_representable(refused: RowError, row: usize) -> RowReject {
    RowReject {
        code: "file::not_representable".to_owned(),
        ..refused.reject(row as u32)
    }
}
