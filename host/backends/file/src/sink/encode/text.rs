//! What JSON, JSON Lines, CSV and TSV have in common: rows are text, and the text is compressed
//! batch by batch.

use ::arrow::array::RecordBatch;
use dkhost_core::{Result, RowReject, Schema};

use super::csv::CsvRows;
use super::dataknobs::{DataknobsCsv, DataknobsJson};
use super::json::JsonRows;
use super::{DURABLE_BYTES, Encoder, Sealed};
use crate::compression::Compression;
use crate::format::Format;
use crate::sink::compress;
use crate::sink::log::PartState;
use crate::sink::shape::Shape;

/// Rows as text.
pub trait Rows: Send {
    /// What stands before the first row.
    fn begin(&self, out: &mut Vec<u8>);

    /// Appends the rows that can be written and says why the others cannot.
    ///
    /// *Shape* – `any`: whether a row stands before these.
    fn rows(
        &mut self,
        records: &RecordBatch,
        any: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>>;

    /// Whether rows depend on those before them, which then have to be recalled on resume.
    fn remembers(&self) -> bool {
        false
    }

    /// Takes note of rows that were written before, as [`Rows::read`] takes them.
    fn recall(&mut self, _text: &[u8], _first: bool) -> Result<()> {
        Ok(())
    }

    /// Says whether the rows since the last time are kept.
    fn settle(&mut self, _kept: bool) {}

    /// What stands after the last row, if there was `any`.
    fn end(&self, any: bool, out: &mut Vec<u8>);

    /// Where the last row that is whole ends in `text`; 0 if none is.
    fn boundary(&self, text: &[u8]) -> usize;

    /// Reads text that this wrote, from some row's beginning to some row's end.
    ///
    /// *Shape* – `first`: whether it is the beginning of the file.
    fn read(&self, text: &[u8], first: bool) -> Result<RecordBatch>;

    /// How many rows such text holds, without a look into them.
    fn count(&self, text: &[u8], first: bool) -> u64;
}

/// The rows of a text format.
pub fn rows_of(shape: &Shape, schema: &Schema) -> Box<dyn Rows> {
    match (shape.format, shape.is_dataknobs()) {
        (Format::Json, true) => Box::new(DataknobsJson::new(schema, shape.nulls)),
        (_, true) => Box::new(DataknobsCsv::new(schema, shape.nulls)),
        (Format::Csv | Format::Tsv, _) => Box::new(CsvRows::new(&shape.csv, schema)),
        (format, _) => Box::new(JsonRows::new(schema, shape.nulls, format == Format::Json)),
    }
}

/// Encodes rows as text.
pub struct TextEncoder {
    rows: Box<dyn Rows>,
    compression: Compression,
    /// Whether the part holds anything yet, and whether it holds a row, accepted ones included.
    begun: bool,
    any: bool,
    staged: Vec<u8>,
    staged_rows: u64,
    sealed: Sealed,
    /// Bytes accepted since the last take, before compression.
    accepted: usize,
}

impl TextEncoder {
    /// Goes on after what a part holds.
    pub fn new(shape: &Shape, schema: &Schema, state: &PartState) -> Self {
        TextEncoder {
            rows: rows_of(shape, schema),
            compression: shape.text_compression(),
            begun: state.length > 0,
            any: state.rows > 0,
            staged: Vec::new(),
            staged_rows: 0,
            sealed: Sealed::default(),
            accepted: 0,
        }
    }
}

impl Encoder for TextEncoder {
    fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>> {
        let any = self.any || self.staged_rows > 0;
        let before = self.staged.len();
        if !self.begun && before == 0 {
            self.rows.begin(&mut self.staged);
        }
        let rejects = self.rows.rows(records, any, &mut self.staged)?;
        let rows = records.num_rows() - rejects.len();
        if rows == 0 {
            self.staged.truncate(before);
        }
        self.staged_rows += rows as u64;
        Ok(rejects)
    }

    fn read_back(&self) -> Result<RecordBatch> {
        self.rows.read(&self.staged, !self.begun)
    }

    fn discard(&mut self) {
        self.rows.settle(false);
        self.staged.clear();
        self.staged_rows = 0;
    }

    fn accept(&mut self) -> Result<()> {
        if self.staged_rows == 0 {
            return Ok(());
        }
        self.accepted += self.staged.len();
        compress::append(&self.staged, self.compression, &mut self.sealed.bytes)?;
        self.sealed.rows += self.staged_rows;
        (self.begun, self.any) = (true, true);
        self.rows.settle(true);
        self.discard();
        Ok(())
    }

    fn remembers(&self) -> bool {
        self.rows.remembers()
    }

    fn recall(&mut self, text: &[u8], first: bool) -> Result<()> {
        self.rows.recall(text, first)
    }

    fn is_full(&self) -> bool {
        self.accepted >= DURABLE_BYTES
    }

    fn take(&mut self) -> Result<Sealed> {
        self.accepted = 0;
        Ok(std::mem::take(&mut self.sealed))
    }
}

/// The end of a text, and its beginning if it has no row.
pub fn finish(shape: &Shape, schema: &Schema, state: &PartState) -> Result<Vec<u8>> {
    let rows = rows_of(shape, schema);
    let mut text = Vec::new();
    // Nothing is ever written before the first row.
    if state.length == 0 {
        rows.begin(&mut text);
    }
    rows.end(state.rows > 0, &mut text);
    let mut bytes = Vec::new();
    // A compressed file without a single member would be none.
    if !text.is_empty() || state.length == 0 {
        compress::append(&text, shape.text_compression(), &mut bytes)?;
    }
    Ok(bytes)
}
