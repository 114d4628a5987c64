//! Whole files made of batches, as bytes: for targets that put them somewhere else.
//!
//! ```text
//! Parts::of(options)          what every part is
//! parts.begin() → Part        stage, accept, take … seal      the bytes of one file, in order
//! parts.scan(handle, …)       the rows of a file that is complete
//! ```

use std::io::BufReader;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use dkhost_core::{Column, Error, OpenTarget, Result, RowReject, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::encode::{self, Encoder, unreadable, with_schema};
use super::log::PartState;
use super::plan;
use super::scan::{self, ROWS};
use super::shape::Shape;
use crate::compression;
use crate::format::Format;
use crate::handle::Handle;
use crate::options::FileOptions;

/// What the parts of a target are: format, compression, columns.
#[derive(Debug, Clone)]
pub struct Parts {
    shape: Shape,
    schema: Schema,
}

impl Parts {
    /// What a job asks for.
    ///
    /// *Errors* – options that contradict each other; columns the format has no way to write.
    pub fn of(options: &FileOptions, open: &OpenTarget) -> Result<Self> {
        let shape = Shape::of(options, open.nulls)?;
        plan::check_columns(&shape, &open.schema)?;
        Ok(Parts {
            shape,
            schema: open.schema.clone(),
        })
    }

    /// For people: `JSON Lines, gzip`.
    pub fn label(&self) -> String {
        plan::words(&self.shape)
    }

    /// The shape in words, to be compared when a run is resumed.
    pub fn words(&self) -> String {
        self.shape.words(&self.schema)
    }

    /// The extension of a part: `jsonl.gz`.
    pub fn extension(&self) -> String {
        self.shape.extension()
    }

    /// The words of the options `format` and `compression`.
    pub fn format(&self) -> (&'static str, &'static str) {
        let compression = self.shape.text_compression();
        (self.shape.format.word(), compression.word())
    }

    /// The columns as the format holds them.
    pub fn columns(&self) -> Vec<Column> {
        plan::columns(&self.shape, &self.schema)
    }

    /// What the format cannot hold, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        plan::notes(&self.shape, &self.schema)
    }

    /// A part without a row.
    pub fn begin(&self) -> Result<Part> {
        let state = PartState::default();
        Ok(Part {
            encoder: encode::open(&self.shape, &self.schema, &state)?,
            state,
            of: self.clone(),
        })
    }

    /// Shows every row of a complete part, in the plan's schema.
    pub fn scan(
        &self,
        handle: &Handle,
        label: &str,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        handle.first(self.scan_all(handle, label, each))
    }

    fn scan_all(
        &self,
        handle: &Handle,
        label: &str,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let io = |cause: std::io::Error| {
            cause
                .downcast::<Error>()
                .unwrap_or_else(|cause| Error::io("read", label, cause))
        };
        match self.shape.format {
            Format::Parquet => {
                let file = handle.again().map_err(io)?;
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
                let reader = reader.with_batch_size(ROWS).build().map_err(unreadable)?;
                for batch in reader {
                    each(with_schema(batch.map_err(unreadable)?, &self.schema)?)?;
                }
            }
            Format::Arrow => {
                let file = BufReader::with_capacity(1 << 20, handle.again().map_err(io)?);
                for batch in FileReader::try_new(file, None).map_err(unreadable)? {
                    each(with_schema(batch.map_err(unreadable)?, &self.schema)?)?;
                }
            }
            _ => {
                let rows = encode::rows_of(&self.shape, &self.schema);
                let reader = handle.reader(0).map_err(io)?;
                let reader = compression::decode(reader, self.shape.text_compression());
                let reader = reader.map_err(io)?;
                scan::pieces(reader, rows.as_ref(), &io, &mut |rows, text, first| {
                    each(rows.read(text, first)?)
                })?;
            }
        }
        Ok(())
    }
}

/// One file that is being made.
pub struct Part {
    encoder: Box<dyn Encoder>,
    state: PartState,
    of: Parts,
}

impl Part {
    /// Encodes a batch beside what was accepted; rows the format cannot hold come back and leave
    /// no trace.
    pub fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>> {
        self.encoder.stage(records)
    }

    /// The staged rows, decoded from the bytes they became.
    pub fn read_back(&self) -> Result<RecordBatch> {
        self.encoder.read_back()
    }

    /// Drops what is staged.
    pub fn discard(&mut self) {
        self.encoder.discard();
    }

    /// Keeps what is staged.
    pub fn accept(&mut self) -> Result<()> {
        self.encoder.accept()
    }

    /// Whether enough was accepted to be worth taking.
    pub fn is_full(&self) -> bool {
        self.encoder.is_full()
    }

    /// Rows whose bytes were taken.
    pub fn rows(&self) -> u64 {
        self.state.rows
    }

    /// All that was accepted since the last time, as bytes that follow those taken before.
    pub fn take(&mut self) -> Result<Vec<u8>> {
        let sealed = self.encoder.take()?;
        self.state.length += sealed.bytes.len() as u64;
        self.state.rows += sealed.rows;
        self.state.tails.extend(sealed.tails);
        Ok(sealed.bytes)
    }

    /// The last bytes: what follows those taken before, and the end of the format.
    pub fn seal(mut self) -> Result<(Vec<u8>, u64)> {
        let mut bytes = self.take()?;
        bytes.extend(encode::finish(
            &self.of.shape,
            &self.of.schema,
            &self.state,
            None,
        )?);
        Ok((bytes, self.state.rows))
    }
}
