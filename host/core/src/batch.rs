//! A batch: columns, where each row came from, what was refused on the way, and how far it goes.
//!
//! Rows are columns from the source's decoder to the sink's encoder; a row object exists only in
//! error paths. Every row knows its source record through [`Batch::origin`], so that steps may
//! drop and expand rows and still every record read is accounted for exactly once (invariant 5).

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use serde::{Deserialize, Serialize};

use crate::dead_letter::StageKind;
use crate::{Position, Result};

/// Where a source record lies, in the source's own words: `{"file": …, "line": …, "offset": …}`
/// or `{"table": …, "key": …}`. Equal for the same record in every run over an unchanged source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Locator(pub serde_json::Map<String, serde_json::Value>);

impl Locator {
    /// A locator of these parts, in the order given.
    pub fn of<const N: usize>(parts: [(&str, serde_json::Value); N]) -> Self {
        Locator(
            parts
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match value.as_str() {
                Some(text) => write!(f, "{comma}{name} {text}")?,
                None => write!(f, "{comma}{name} {value}")?,
            }
        }
        Ok(())
    }
}

/// A source record as it was read: the exact bytes where the source has bytes, else a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The record.
    pub bytes: Vec<u8>,
    /// What the bytes are: `json`, `csv`, `text`; decides how `errors retry` reads them.
    pub media: &'static str,
}

/// The source records a batch was decoded from; alive as long as a row of theirs may be refused.
pub trait SourceRows: Send + Sync + fmt::Debug {
    /// How many source records the batch covers, malformed ones included.
    fn len(&self) -> usize;

    /// Whether it covers none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where record `row` lies.
    fn locator(&self, row: usize) -> Locator;

    /// Record `row` as it was read.
    fn payload(&self, row: usize) -> Payload;

    /// The id of record `row` in stores that have one, also when the record itself is malformed.
    fn id(&self, _row: usize) -> Option<String> {
        None
    }

    /// The dead letter record `row` was read from, in a retry: its number and its attempts.
    fn retried(&self, _row: usize) -> Option<(i64, u32)> {
        None
    }

    /// Memory held, in bytes, for the run's budget.
    fn memory_bytes(&self) -> usize;
}

/// A refused row of a step's or sink's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowReject {
    /// Index into the batch the step or sink was given.
    pub row: u32,
    /// The column to blame, if it is one.
    pub column: Option<String>,
    /// Stable and machine-readable: `invalid-email`.
    pub code: String,
    /// For people; at most 1 KiB is kept.
    pub message: String,
}

/// A refused source record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Index into [`Batch::source`].
    pub source_row: u32,
    /// What kind of stage refused it.
    pub kind: StageKind,
    /// The stage's name in the plan: `3:clean`; `source` and `target` for the ends.
    pub stage: String,
    /// The column to blame, if it is one.
    pub column: Option<String>,
    /// Stable and machine-readable.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Some consecutive records of one partition on their way from source to sink.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows that are still under way.
    pub records: RecordBatch,
    /// For each row the index of its source record, ascending; `None` when row *i* is record *i*.
    pub origin: Option<Arc<[u32]>>,
    /// The source records, malformed ones included.
    pub source: Arc<dyn SourceRows>,
    /// Records refused so far. None of their rows is in `records`.
    pub rejects: Vec<Reject>,
    /// The position after the last source record.
    pub until: Position,
    /// Bytes taken from the source for this batch, before decompression where it is compressed.
    pub source_bytes: u64,
}

impl Batch {
    /// Index of the source record of `row`.
    pub fn source_row(&self, row: usize) -> u32 {
        match &self.origin {
            Some(origin) => origin[row],
            None => row as u32,
        }
    }

    /// Memory held, in bytes: columns and source records.
    pub fn memory_bytes(&self) -> usize {
        self.records.get_array_memory_size() + self.source.memory_bytes()
    }

    /// The batch after a step: rows replaced, origins composed, refused records taken out.
    ///
    /// When one row of an expanded record is refused its siblings go with it: a record is written
    /// whole or not at all.
    pub fn advance(self, changed: Changed, kind: StageKind, stage: &str) -> Result<Batch> {
        let Changed {
            records,
            origin,
            rejects,
        } = changed;
        let rejected: Vec<(u32, RowReject)> = rejects
            .into_iter()
            .map(|r| (self.source_row(r.row as usize), r))
            .collect();
        let origin = match origin {
            None => self.origin.clone(),
            Some(rows) => Some(
                rows.iter()
                    .map(|row| self.source_row(*row as usize))
                    .collect(),
            ),
        };
        let batch = Batch {
            records,
            origin,
            ..self
        };
        batch.without(rejected, kind, stage)
    }

    /// The batch without some of its rows and their siblings, each refused with a reason.
    pub fn refuse(self, rejects: Vec<RowReject>, kind: StageKind, stage: &str) -> Result<Batch> {
        let rejected = rejects
            .into_iter()
            .map(|r| (self.source_row(r.row as usize), r))
            .collect();
        self.without(rejected, kind, stage)
    }

    fn without(
        mut self,
        mut rejected: Vec<(u32, RowReject)>,
        kind: StageKind,
        stage: &str,
    ) -> Result<Batch> {
        if rejected.is_empty() {
            return Ok(self);
        }
        // The first reason given for a record is the one that is kept.
        rejected.sort_by_key(|(source_row, _)| *source_row);
        rejected.dedup_by_key(|(source_row, _)| *source_row);
        let is_rejected =
            |source_row: u32| rejected.binary_search_by_key(&source_row, |r| r.0).is_ok();
        let rows = self.records.num_rows();
        let keep: BooleanArray = (0..rows)
            .map(|row| Some(!is_rejected(self.source_row(row))))
            .collect();
        if keep.true_count() < rows {
            self.origin = Some(
                (0..rows)
                    .map(|row| self.source_row(row))
                    .filter(|s| !is_rejected(*s))
                    .collect(),
            );
            self.records = filter_record_batch(&self.records, &keep)?;
        }
        self.rejects
            .extend(rejected.into_iter().map(|(source_row, r)| Reject {
                source_row,
                kind,
                stage: stage.to_owned(),
                column: r.column,
                code: r.code,
                message: r.message,
            }));
        Ok(self)
    }
}

/// What a step made of a batch.
#[derive(Debug)]
pub struct Changed {
    /// The rows that go on. Rejected rows may still be in here; the engine takes them out.
    pub records: RecordBatch,
    /// For each row of `records` its row in the step's input, ascending; `None` when they are the
    /// same rows.
    pub origin: Option<Vec<u32>>,
    /// Rows of the step's input that are refused.
    pub rejects: Vec<RowReject>,
}

impl Changed {
    /// The same rows with other columns.
    pub fn columns(records: RecordBatch) -> Self {
        Changed {
            records,
            origin: None,
            rejects: Vec::new(),
        }
    }

    /// The rows of `input` where `keep` is true (null counts as false).
    pub fn filtered(input: &RecordBatch, keep: &BooleanArray) -> Result<Self> {
        let origin: Vec<u32> = (0..keep.len())
            .filter(|row| keep.is_valid_and_true(*row))
            .map(|row| row as u32)
            .collect();
        let records = take_record_batch(input, &UInt32Array::from(origin.clone()))?;
        Ok(Changed {
            records,
            origin: Some(origin),
            rejects: Vec::new(),
        })
    }
}

trait ValidAndTrue {
    fn is_valid_and_true(&self, row: usize) -> bool;
}

impl ValidAndTrue for BooleanArray {
    fn is_valid_and_true(&self, row: usize) -> bool {
        use arrow::array::Array;
        self.is_valid(row) && self.value(row)
    }
}
