//! Encoders: batches in, bytes to append out.
//!
//! An encoder never touches a file. It stages a batch, accepts or discards it, and hands over bytes
//! that follow those already committed, with what the end of the format will need to know of them.
//! [`finish`] writes that end from the committed state alone, so that it does not matter which
//! process wrote which part of the file: the bytes are the same as of one undisturbed run.

mod arrow;
mod csv;
mod dataknobs;
mod json;
mod parquet;
mod text;

use ::arrow::array::RecordBatch;
use dkhost_core::{Result, RowReject, Schema, Stamp};

use super::log::PartState;
use super::shape::Shape;
use crate::format::Format;

pub use self::arrow::{HEADER_BYTES as ARROW_HEADER_BYTES, end_of_stream};
pub use self::json::{unreadable, with_schema};
pub use self::parquet::metadata as parquet_metadata;
pub use self::text::{Rows, rows_of};

/// Turns batches into bytes.
pub trait Encoder: Send {
    /// Encodes a batch beside what was accepted; rows the format cannot hold come back and leave
    /// no trace.
    fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>>;

    /// The staged rows, decoded from the bytes they became.
    fn read_back(&self) -> Result<RecordBatch>;

    /// Drops what is staged.
    fn discard(&mut self);

    /// Keeps what is staged.
    fn accept(&mut self) -> Result<()>;

    /// Whether rows depend on those before them: a part that is resumed is then read first.
    fn remembers(&self) -> bool {
        false
    }

    /// Takes note of text the part holds.
    fn recall(&mut self, _text: &[u8], _first: bool) -> Result<()> {
        Ok(())
    }

    /// Whether enough was accepted to be worth making it durable.
    fn is_full(&self) -> bool;

    /// All that was accepted since the last time, as bytes that follow the committed ones.
    fn take(&mut self) -> Result<Sealed>;
}

/// Bytes that are ready to be appended.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Rows in them.
    pub rows: u64,
    /// What the end of the format needs to know of them.
    pub tails: Vec<String>,
}

/// An encoder that goes on after what a part holds.
pub fn open(shape: &Shape, schema: &Schema, state: &PartState) -> Result<Box<dyn Encoder>> {
    Ok(match shape.format {
        Format::Parquet => Box::new(parquet::ParquetEncoder::new(shape, schema, state)?),
        Format::Arrow => Box::new(arrow::ArrowEncoder::new(shape, schema, state)?),
        _ => Box::new(text::TextEncoder::new(shape, schema, state)),
    })
}

/// Whether what is known of a part is enough to write its end.
pub fn is_intact(shape: &Shape, state: &PartState) -> bool {
    match shape.format {
        Format::Parquet => parquet::is_intact(state),
        Format::Arrow => arrow::is_intact(state),
        _ => true,
    }
}

/// The bytes that make a file out of what a part holds; `stamp` is what a format with a place for it
/// says inside.
pub fn finish(
    shape: &Shape,
    schema: &Schema,
    state: &PartState,
    stamp: Option<&Stamp>,
) -> Result<Vec<u8>> {
    match shape.format {
        Format::Parquet => parquet::finish(shape, schema, state, stamp),
        Format::Arrow => arrow::finish(shape, schema, state, stamp),
        _ => text::finish(shape, schema, state),
    }
}

/// Bytes of text or encoded columns after which a commit is made durable: beyond this a sync costs
/// nothing beside the writing itself.
const DURABLE_BYTES: usize = 8 << 20;
