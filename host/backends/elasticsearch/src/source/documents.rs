//! Documents to columns: as they are, or as those of a dataknobs store.

use arrow::array::RecordBatch;
use dkhost_core::json::{Decoder, RowError};
use dkhost_core::{Batch, DeadLetter, Position, Reject, Result, StageKind};
use std::sync::Arc;

use super::knobs::Knobs;
use super::rows::Letters;
use super::schema::Columns;

/// Reads documents of an index.
pub(super) struct Documents {
    decoder: Decoder,
    knobs: Option<Knobs>,
}

impl Documents {
    /// Reads documents into these columns.
    pub fn new(columns: &Columns, dataknobs: bool) -> Self {
        Documents {
            decoder: Decoder::new(&columns.schema, columns.options),
            knobs: dataknobs.then(|| Knobs::new(&columns.schema)),
        }
    }

    /// Appends a document.
    ///
    /// *Errors* – nothing was appended.
    pub fn push(&mut self, id: &str, document: &[u8]) -> Result<(), RowError> {
        match &mut self.knobs {
            None => self.decoder.push_document(document, Some(id), None),
            Some(knobs) => {
                let plain = knobs.read(id, document)?;
                self.decoder
                    .push_document(plain.fields, Some(id), plain.meta)
            }
        }
    }

    /// What was appended.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        self.decoder.finish()
    }

    /// Reads dead letters' payloads again.
    pub fn decode(mut self, letters: &[DeadLetter]) -> Result<Batch> {
        let (mut origin, mut rejects) = (Vec::new(), Vec::new());
        for (at, letter) in (0..).zip(letters) {
            let id = letter.source_id.as_deref().unwrap_or_default();
            match self.push(id, &letter.payload) {
                Ok(()) => origin.push(at),
                Err(refused) => rejects.push(reject(at, refused)),
            }
        }
        Ok(Batch {
            records: self.finish()?,
            origin: (!rejects.is_empty()).then(|| Arc::from(origin)),
            source: Arc::new(Letters::of(letters)),
            rejects,
            until: Position::start(),
            source_bytes: letters
                .iter()
                .map(|letter| letter.payload.len() as u64)
                .sum(),
        })
    }
}

/// A document that could not be read.
pub(super) fn reject(source_row: u32, refused: RowError) -> Reject {
    Reject {
        source_row,
        kind: StageKind::Decode,
        stage: "source".to_owned(),
        column: refused.column,
        code: refused.code.to_owned(),
        message: refused.message,
    }
}
