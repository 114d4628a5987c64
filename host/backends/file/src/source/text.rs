//! Reads the batches of a text file: cut, decode, say how far it goes.

use std::sync::Arc;

use dkhost_core::{Batch, BatchReader, Position, Result};

use super::csv::{self, CsvDecoder, CsvScanner};
use super::dataknobs::LineStore;
use super::decoded::Decoded;
use super::json::{Documents, JsonSplitter, Nesting};
use super::position::{FilePosition, Place};
use super::rows::TextRows;
use super::split::{Bounds, Records, lines};
use super::stream::Stream;
use crate::identity::Identity;

/// How documents are cut out of a stream.
#[derive(Debug)]
pub enum Splitter {
    /// One per line.
    Lines,
    /// Inside one JSON text.
    Json(JsonSplitter),
}

impl Splitter {
    /// Cuts the next batch off the stream; `None` after the last record.
    pub fn next(&mut self, stream: &mut Stream, bounds: Bounds) -> Result<Option<Records>> {
        match self {
            Splitter::Lines => lines(stream, bounds),
            Splitter::Json(splitter) => splitter.next(stream, bounds),
        }
    }

    fn nesting(&self) -> Nesting {
        match self {
            Splitter::Lines => Nesting::new(),
            Splitter::Json(splitter) => splitter.nesting().clone(),
        }
    }
}

/// How lines of separated values become rows.
#[derive(Debug)]
pub struct Lines {
    /// Cuts them into cells.
    pub scanner: CsvScanner,
    /// Makes rows of those.
    pub decoder: LineDecoder,
    /// Cells of a line.
    pub width: usize,
}

/// What cells mean.
#[derive(Debug)]
pub enum LineDecoder {
    /// Columns.
    Plain(CsvDecoder),
    /// Records of dataknobs.
    Store(Box<(LineStore, Documents)>),
}

impl LineDecoder {
    /// The rows of well-formed lines of `width` cells each.
    pub fn decode(&mut self, lines: csv::Lines, width: usize) -> Result<Decoded> {
        match self {
            LineDecoder::Plain(decoder) => decoder.decode(lines, width),
            LineDecoder::Store(store) => {
                let (store, documents) = store.as_mut();
                store.decode(lines, documents)
            }
        }
    }
}

/// How records are cut out of a stream and become rows.
#[derive(Debug)]
pub enum Cutter {
    /// Documents.
    Documents(Splitter, Box<Documents>),
    /// Separated values.
    Lines(Lines),
}

impl Cutter {
    fn next(&mut self, stream: &mut Stream, bounds: Bounds) -> Result<Option<(Records, Decoded)>> {
        match self {
            Cutter::Documents(splitter, documents) => {
                let Some(records) = splitter.next(stream, bounds)? else {
                    return Ok(None);
                };
                let decoded = documents.decode(&records)?;
                Ok(Some((records, decoded)))
            }
            Cutter::Lines(Lines {
                scanner,
                decoder,
                width,
            }) => {
                let Some(lines) = scanner.next(stream, bounds)? else {
                    return Ok(None);
                };
                let records = lines.records.clone();
                Ok(Some((records, decoder.decode(lines, *width)?)))
            }
        }
    }
}

/// Yields the batches of a text file.
pub struct TextReader {
    /// The bytes.
    pub stream: Stream,
    /// How they become rows.
    pub cutter: Cutter,
    /// The bounds of a batch.
    pub bounds: Bounds,
    /// The file.
    pub identity: Identity,
    /// The field that is the id.
    pub id: Option<Arc<str>>,
}

impl BatchReader for TextReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        let Some((records, decoded)) = self.cutter.next(&mut self.stream, self.bounds)? else {
            return Ok(None);
        };
        let source = TextRows {
            file: self.identity.file.as_str().into(),
            records,
            media: if matches!(self.cutter, Cutter::Lines(_)) {
                "csv"
            } else {
                "json"
            },
            id: self.id.clone(),
        };
        Ok(Some(decoded.into_batch(
            Arc::new(source),
            self.position()?,
            self.stream.taken(),
        )))
    }
}

impl TextReader {
    fn position(&self) -> Result<Position> {
        let inside = match &self.cutter {
            Cutter::Documents(splitter, _) => splitter.nesting(),
            Cutter::Lines(_) => Nesting::new(),
        };
        let at = Place::Text {
            offset: self.stream.offset(),
            line: self.stream.line(),
            before: self.stream.before(),
            inside,
        };
        FilePosition {
            identity: self.identity.clone(),
            at,
        }
        .to_position()
    }
}
