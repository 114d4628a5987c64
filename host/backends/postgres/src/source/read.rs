//! Reads a partition: one COPY in one transaction, cut into batches.
//!
//! Where rows may have been written below the position since it was made, they come first, in a
//! COPY of their own ([`Phase::catches_up`]); until the last of them is read the position stays.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use dkhost_core::{Batch, BatchReader, BatchSize, Error, Position, Reject, Result, StageKind};
use serde_json::json;

use super::knobs::Documents;
use super::rows::{Layout, Refused, Rows};
use super::snapshot::Moment;
use super::stream::{Stream, field};
use crate::copy::{Decoded, Decoder, Refusal};
use crate::session::Session;

/// One COPY of a partition.
#[derive(Debug)]
pub(crate) struct Phase {
    pub select: String,
    /// It reads what lies before the position.
    pub catches_up: bool,
}

/// What a reader is made of.
pub(crate) struct Plan {
    pub phases: VecDeque<Phase>,
    pub layout: Arc<Layout>,
    pub arrow: SchemaRef,
    /// What makes documents of rows, where they are a store's.
    pub documents: Option<Documents>,
    pub limits: BatchSize,
    /// For messages: "read table `movies`".
    pub doing: String,
    pub from: Position,
    /// Whether it is not proven that the key is unique.
    pub checks_key: bool,
    /// Of a table read by its file: which file.
    pub filenode: u32,
    pub moment: Moment,
}

/// Reads the rows of a partition.
pub(crate) struct Reader {
    plan: Plan,
    // Before the session, whose connection it needs to the end.
    stream: Option<Stream>,
    session: Session,
    decoder: Decoder,
    /// The last key or place, as it came.
    last: Vec<u8>,
    /// Records given so far.
    given: u64,
}

impl Reader {
    /// Begins to read in the session's transaction.
    pub(crate) fn open(session: Session, plan: Plan, decoder: Decoder) -> Result<Self> {
        let mut reader = Reader {
            decoder,
            plan,
            stream: None,
            session,
            last: Vec::new(),
            given: 0,
        };
        reader.begin()?;
        Ok(reader)
    }

    /// Begins the next COPY, if there is one.
    fn begin(&mut self) -> Result<()> {
        self.stream = match self.plan.phases.front() {
            Some(phase) => Some(Stream::open(
                &mut self.session,
                &self.plan.doing,
                &phase.select,
            )?),
            None => None,
        };
        self.last.clear();
        Ok(())
    }

    /// Takes rows until the batch is full or the COPY ends; how many bytes they have.
    fn fill(&mut self, taken: &mut Vec<std::ops::Range<usize>>) -> Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let (limits, mut bytes) = (self.plan.limits, 0);
        while taken.len() < limits.rows && bytes < limits.bytes {
            let Some(row) = stream.next(&mut self.session)? else {
                break;
            };
            if !taken.is_empty() && bytes + row.len() > limits.bytes {
                stream.put_back(&row);
                break;
            }
            let tuple = stream.row(&row);
            if self.plan.checks_key || self.plan.layout.is_ctid {
                advance(&self.plan.layout, tuple, &mut self.last)?;
            }
            self.decoder.push(tuple)?;
            bytes += row.len();
            taken.push(row);
        }
        Ok(bytes)
    }

    /// The position after a row.
    fn after(&self, tuple: &[u8]) -> Result<Position> {
        let layout = &self.plan.layout;
        if self
            .plan
            .phases
            .front()
            .is_some_and(|phase| phase.catches_up)
        {
            return Ok(self.plan.from.clone());
        }
        let moment = self.plan.moment.to_json();
        let key: Option<Vec<String>> = layout.key_of(tuple).into_iter().collect();
        let key = key.ok_or_else(bad_key)?;
        Ok(Position(if layout.is_ctid {
            let (block, offset) = key
                .last()
                .and_then(|ctid| place(ctid))
                .ok_or_else(bad_key)?;
            json!({ "ctid": [block, offset], "filenode": self.plan.filenode, "moment": moment })
        } else if key.is_empty() {
            json!({ "row": self.given })
        } else {
            json!({ "key": key, "moment": moment })
        }))
    }

    fn finish(&mut self, taken: &[std::ops::Range<usize>], bytes: usize) -> Result<Batch> {
        let first = self.given;
        self.given += taken.len() as u64;
        let decoded = self.decoder.finish()?;
        let layout = self.plan.layout.clone();
        let Some(stream) = &mut self.stream else {
            return Err(Error::bug("a batch from no copy"));
        };
        let refused = decoded.refused.iter().map(|refused| Refused {
            record: refused.tuple,
            payload: refused.payload.clone(),
            key: layout.key_of(stream.row(&taken[refused.tuple as usize])),
        });
        let refused: Vec<Refused> = refused.collect();
        let last = taken
            .last()
            .map(|row| stream.row(row).to_vec())
            .unwrap_or_default();
        stream.forget();
        let until = self.after(&last)?;
        batch(
            &mut self.plan,
            decoded,
            refused,
            (first, taken.len(), bytes),
            until,
        )
    }
}

/// Puts a batch together.
fn batch(
    plan: &mut Plan,
    decoded: Decoded,
    refused: Vec<Refused>,
    (first, count, bytes): (u64, usize, usize),
    until: Position,
) -> Result<Batch> {
    let layout = &plan.layout;
    let rejects = decoded
        .refused
        .iter()
        .map(|refused| reject(layout, refused));
    let mut rejects: Vec<Reject> = rejects.collect();
    let (records, origin) = match &mut plan.documents {
        None => (
            columns(&plan.arrow, layout, &decoded, count)?,
            decoded.origin.clone(),
        ),
        Some(documents) => {
            let read = documents.read(&decoded.columns, decoded.origin.as_deref(), count)?;
            rejects.extend(read.rejects);
            rejects.sort_by_key(|reject| reject.source_row);
            (read.records, read.origin)
        }
    };
    Ok(Batch {
        records,
        rejects,
        origin: origin.map(Arc::from),
        source: Arc::new(Rows {
            layout: layout.clone(),
            columns: decoded.columns,
            origin: decoded.origin,
            refused,
            count,
            first,
        }),
        until,
        source_bytes: bytes as u64,
    })
}

/// The rows as they are.
fn columns(
    arrow: &SchemaRef,
    layout: &Layout,
    decoded: &Decoded,
    count: usize,
) -> Result<RecordBatch> {
    let rows = decoded.origin.as_ref().map_or(count, Vec::len);
    Ok(RecordBatch::try_new_with_options(
        arrow.clone(),
        decoded.columns[..layout.fields.len()].to_vec(),
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )?)
}

fn reject(layout: &Layout, refused: &Refusal) -> Reject {
    Reject {
        source_row: refused.tuple,
        kind: StageKind::Decode,
        stage: "source".to_owned(),
        column: layout
            .fields
            .get(refused.column)
            .map(|field| field.name.clone()),
        code: refused.code.to_owned(),
        message: refused.message.clone(),
    }
}

/// Sees that keys are there and differ, and that places ascend.
fn advance(layout: &Layout, tuple: &[u8], last: &mut Vec<u8>) -> Result<()> {
    let mut key = Vec::with_capacity(16);
    for part in &layout.key {
        let value = field(tuple, part.at).ok_or_else(bad_key)?;
        key.extend_from_slice(&(value.len() as u32).to_be_bytes());
        key.extend_from_slice(value);
    }
    if layout.is_ctid {
        let place_of = |key: &[u8]| std::str::from_utf8(key.get(4..)?).ok().and_then(place);
        if !last.is_empty() && place_of(&key) <= place_of(last) {
            return Err(Error::bug(
                "the rows of a table did not come in the order of its file",
            ));
        }
    } else if *last == key {
        return Err(not_unique(layout, tuple));
    }
    *last = key;
    Ok(())
}

/// `(12,3)` as block and offset.
pub(crate) fn place(ctid: &str) -> Option<(u32, u16)> {
    let (block, offset) = ctid.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((block.parse().ok()?, offset.parse().ok()?))
}

/// A part of a key by which nothing is found.
pub(crate) fn bad_key() -> Error {
    Error::data(
        "postgres::bad_key",
        "a column of `key` holds NULL or text that is not UTF-8, so the record could not be found again",
    )
    .help("choose a key that is never null, or leave `key` out")
}

fn not_unique(layout: &Layout, tuple: &[u8]) -> Error {
    let key: Vec<String> = layout
        .key_of(tuple)
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect();
    key_not_unique(&key.join(", "))
}

/// Two rows have the same key.
pub(crate) fn key_not_unique(key: &str) -> Error {
    Error::data(
        "postgres::key_not_unique",
        format!("two records have the same key ({key})"),
    )
    .help("add columns to `key` until no two records have the same, or leave `key` out")
}

impl BatchReader for Reader {
    fn next(&mut self) -> Result<Option<Batch>> {
        while self.stream.is_some() {
            let mut taken = Vec::new();
            let bytes = self.fill(&mut taken)?;
            if !taken.is_empty() {
                return self.finish(&taken, bytes).map(Some);
            }
            self.plan.phases.pop_front();
            self.begin()?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_block_and_an_offset() {
        assert_eq!(place("(12,3)"), Some((12, 3)));
        assert_eq!(place("12,3"), None);
    }
}
