//! The first records of a batch, for `limit`.

use std::sync::Arc;

use dkhost_core::{Locator, Payload, SourceRows};

/// The first `records` of some source rows.
#[derive(Debug)]
pub struct Limited {
    rows: Arc<dyn SourceRows>,
    records: usize,
}

impl Limited {
    /// The first `records` of `rows`.
    pub fn new(rows: Arc<dyn SourceRows>, records: usize) -> Self {
        Limited {
            records: records.min(rows.len()),
            rows,
        }
    }
}

impl SourceRows for Limited {
    fn len(&self) -> usize {
        self.records
    }

    fn locator(&self, row: usize) -> Locator {
        self.rows.locator(row)
    }

    fn payload(&self, row: usize) -> Payload {
        self.rows.payload(row)
    }

    fn id(&self, row: usize) -> Option<String> {
        self.rows.id(row)
    }

    fn retried(&self, row: usize) -> Option<(i64, u32)> {
        self.rows.retried(row)
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}
