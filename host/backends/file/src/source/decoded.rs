//! What a decoder made of some records, and the batch it becomes.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::json::RowError;
use dkhost_core::{Batch, Position, Reject, SourceRows, StageKind};

/// The rows of a batch, and the records they come from.
#[derive(Debug)]
pub struct Decoded {
    /// The rows.
    pub records: RecordBatch,
    /// For each row its record; ascending.
    pub origin: Vec<u32>,
    /// Records that are no row, and why.
    pub refused: Vec<(u32, RowError)>,
}

impl Decoded {
    /// The batch of these rows.
    pub fn into_batch(
        self,
        source: Arc<dyn SourceRows>,
        until: Position,
        source_bytes: u64,
    ) -> Batch {
        let Decoded {
            records,
            origin,
            mut refused,
        } = self;
        refused.sort_by_key(|(row, _)| *row);
        let all = origin.len() == source.len();
        Batch {
            records,
            origin: (!all).then(|| origin.into()),
            source,
            rejects: refused.into_iter().map(reject).collect(),
            until,
            source_bytes,
        }
    }
}

fn reject((source_row, error): (u32, RowError)) -> Reject {
    Reject {
        source_row,
        // A column is to blame only once the record was taken apart.
        kind: if error.column.is_some() {
            StageKind::Decode
        } else {
            StageKind::Read
        },
        stage: "source".to_owned(),
        column: error.column,
        code: error.code.to_owned(),
        message: error.message,
    }
}
