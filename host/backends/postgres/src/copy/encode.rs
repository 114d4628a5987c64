//! Columns to a COPY stream.

use arrow::array::RecordBatch;
use dkhost_core::{Result, RowReject};

use super::Wire;

/// Encodes the rows of batches.
#[derive(Debug)]
pub(crate) struct Encoder {
    wires: Vec<Wire>,
}

impl Encoder {
    /// For columns that are sent in these forms.
    pub(crate) fn new(wires: &[Wire]) -> Self {
        Encoder {
            wires: wires.to_vec(),
        }
    }

    /// Appends the rows of `records` to `out` as one stream, header and trailer included; rows
    /// with `skip` are left out (none where it is shorter). The rows that cannot be said in this
    /// form come back and are left out too.
    ///
    /// *Errors* – a bug if a column's type is not sent in its form.
    pub(crate) fn encode(
        &self,
        _records: &RecordBatch,
        _skip: &[bool],
        _out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        let _ = &self.wires;
        unimplemented!()
    }
}
