//! Stores of the Python package dataknobs-data, as it writes them itself.
//!
//! The JSON store is one object keyed by id, indented by two; it keeps everything. The CSV store is
//! in [`csv`].
//!
//! *Source* – `dataknobs-data` 0.11.0, `backends/file.py`; Python's `json` module.

mod csv;

use std::collections::HashSet;

use ::arrow::array::RecordBatch;
use dkhost_core::dataknobs::{BoundWriter, Form, Reader, Writer};
use dkhost_core::json::{DecodeOptions, Decoder, RowError, Scanner, escape, unescape};
use dkhost_core::{Nulls, Result, RowReject, Schema};
use xxhash_rust::xxh3::xxh3_128;

pub use self::csv::DataknobsCsv;
use super::json::{not_representable, unreadable, with_schema};
use super::text::Rows;

/// The members of a JSON store.
pub struct DataknobsJson {
    writer: Writer,
    schema: Schema,
    ids: Ids,
}

impl DataknobsJson {
    /// Members from the columns of `schema`.
    pub fn new(schema: &Schema, nulls: Nulls) -> Self {
        DataknobsJson {
            writer: Writer::new(schema, Form::File, nulls),
            schema: schema.clone(),
            ids: Ids::default(),
        }
    }
}

impl Rows for DataknobsJson {
    fn begin(&self, out: &mut Vec<u8>) {
        out.push(b'{');
    }

    fn rows(
        &mut self,
        records: &RecordBatch,
        mut any: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        let mut bound = self.writer.bind(records)?;
        let mut rejects = Vec::new();
        for row in 0..records.num_rows() {
            let start = out.len();
            let written = self.ids.of(&bound, row).and_then(|id| {
                out.extend_from_slice(if any { b",\n  " } else { b"\n  " });
                escape(&id, out);
                out.extend_from_slice(b": ");
                bound
                    .record(row, &id, out)
                    .map_err(|refused| self.ids.give_back(&id, refused))
            });
            match written {
                Ok(()) => any = true,
                Err(refused) => {
                    out.truncate(start);
                    rejects.push(not_representable(refused, row));
                }
            }
        }
        Ok(rejects)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn recall(&mut self, text: &[u8], _first: bool) -> Result<()> {
        members(text, &mut |id, _| {
            self.ids.kept.insert(xxh3_128(id.as_bytes()));
            Ok(())
        })
    }

    fn settle(&mut self, kept: bool) {
        self.ids.settle(kept);
    }

    fn end(&self, any: bool, out: &mut Vec<u8>) {
        // As Python's json.dump: no newline at the end.
        out.extend_from_slice(if any { b"\n}" } else { b"}" });
    }

    fn boundary(&self, text: &[u8]) -> usize {
        memchr::memmem::rfind(text, b"\n  },").map_or(0, |at| at + 5)
    }

    fn read(&self, text: &[u8], _first: bool) -> Result<RecordBatch> {
        let mut reader = Reader::new(&self.schema);
        let options = DecodeOptions {
            explicit_nulls: true,
            bare_nan: true,
            ..DecodeOptions::default()
        };
        let mut decoder = Decoder::new(&self.schema, options);
        members(text, &mut |id, record| {
            let record = reader
                .record(Some(id), record.as_bytes())
                .map_err(unreadable)?;
            decoder
                .push_document(record.fields, record.id, record.meta)
                .map_err(unreadable)
        })?;
        with_schema(decoder.finish()?, &self.schema)
    }

    fn count(&self, text: &[u8], _first: bool) -> u64 {
        // A member ends on the only kind of line that begins with exactly two spaces and a brace.
        memchr::memmem::find_iter(text, b"\n  }").count() as u64
    }
}

/// Calls `each` with the id and the JSON of every member in a text, which may begin after any
/// member and end after any other.
fn members(text: &[u8], each: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()> {
    let end = memchr::memmem::rfind(text, b"\n  }").map_or(0, |at| at + 4);
    let members = std::str::from_utf8(&text[..end]).map_err(unreadable)?;
    let object = format!("{{{}}}", members.trim_start_matches(['{', ',', '\n', ' ']));
    let mut scanner = Scanner::new(&object).bare_nan(true);
    let mut more = scanner.enter_object().map_err(unreadable)?;
    while more {
        let (id, escaped) = scanner.key().map_err(unreadable)?;
        let record = scanner.outline().map_err(unreadable)?;
        each(&unescape(id, escaped), record)?;
        more = scanner.next_member().map_err(unreadable)?;
    }
    Ok(())
}

/// The ids of a store: a second record under one would take the place of the first as soon as
/// dataknobs reads it.
#[derive(Debug, Default)]
struct Ids {
    kept: HashSet<u128>,
    staged: HashSet<u128>,
}

impl Ids {
    /// The id of a row, if it has one that no other record has.
    fn of(&mut self, bound: &BoundWriter<'_>, row: usize) -> Result<String, RowError> {
        let missing = || {
            RowError::new(
                "dataknobs::no_id",
                "the record has no id, and dataknobs keeps records by id",
            )
        };
        let id = bound.id(row).ok_or_else(missing)?;
        let hash = xxh3_128(id.as_bytes());
        if self.kept.contains(&hash) || !self.staged.insert(hash) {
            let message = format!(
                "the id `{id}` is in the store already, and dataknobs keeps one record per id"
            );
            return Err(RowError::new("dataknobs::same_id", message));
        }
        Ok(id)
    }

    /// Frees the id of a row that was refused for another reason.
    fn give_back(&mut self, id: &str, refused: RowError) -> RowError {
        self.staged.remove(&xxh3_128(id.as_bytes()));
        refused
    }

    fn settle(&mut self, kept: bool) {
        if kept {
            self.kept.extend(self.staged.drain());
        }
        self.staged.clear();
    }
}
