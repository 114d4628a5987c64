//! Dead letters that are tried again: their payloads become rows, or rejects once more.

use std::sync::Arc;

use dkhost_core::json::RowError;
use dkhost_core::{Batch, DeadLetter, Position, Result};

use super::decoded::Decoded;
use super::json::{Documents, no_id};
use super::rows::LetterRows;
use super::split::{Range, Records};
use super::stream::Piece;
use super::text::Lines;

/// Decodes letters that hold documents.
pub fn documents(letters: &[DeadLetter], mut documents: Documents, keyed: bool) -> Result<Batch> {
    let (mut origin, mut refused) = (Vec::new(), Vec::new());
    for (row, letter) in letters.iter().enumerate() {
        let id = letter.source_id.as_deref().filter(|_| keyed);
        let taken = whole(letter).and_then(|payload| match id {
            // It was refused for its id, which a record without one would have lost.
            None if keyed => Err(no_id()),
            id => documents.push(payload, id),
        });
        match taken {
            Ok(()) => origin.push(row as u32),
            Err(error) => refused.push((row as u32, error)),
        }
    }
    let decoded = Decoded {
        records: documents.finish()?,
        origin,
        refused,
    };
    Ok(batch(letters, decoded))
}

/// Decodes letters that hold lines of separated values.
pub fn lines(letters: &[DeadLetter], how: Lines) -> Result<Batch> {
    let Lines {
        scanner,
        mut decoder,
        width,
    } = how;
    let mut bytes = Vec::new();
    let mut rows = Vec::with_capacity(letters.len());
    for letter in letters {
        let start = bytes.len();
        bytes.extend_from_slice(&letter.payload);
        rows.push(Range::new(start, bytes.len()));
    }
    let records = Records {
        piece: Piece::whole(bytes),
        rows,
        keys: Vec::new(),
    };
    let mut lines = scanner.records(records);
    for (row, letter) in letters.iter().enumerate() {
        if let Err(error) = whole(letter) {
            lines.refuse(row as u32, error, width);
        }
    }
    let decoded = decoder.decode(lines, width)?;
    Ok(batch(letters, decoded))
}

fn batch(letters: &[DeadLetter], decoded: Decoded) -> Batch {
    decoded.into_batch(Arc::new(LetterRows(letters.to_vec())), Position::start(), 0)
}

fn whole(letter: &DeadLetter) -> Result<&[u8], RowError> {
    if letter.payload_length == letter.payload.len() as u64 {
        return Ok(&letter.payload);
    }
    let message = format!(
        "only {} of the record's {} bytes were kept; correct it in the source and run the job again",
        letter.payload.len(),
        letter.payload_length
    );
    Err(RowError::new("file::payload_cut", message))
}
