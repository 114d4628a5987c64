//! Tuples of a COPY stream to columns.

use arrow::array::ArrayRef;
use dkhost_core::{Field, Result};

use super::Wire;

/// A tuple that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which tuple since the last [`Decoder::finish`], from 0.
    pub tuple: u32,
    /// The column to blame.
    pub column: usize,
    /// Stable: `postgres::infinity`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The whole row as a JSON object, also the value that is refused.
    pub payload: Vec<u8>,
}

/// What became of some tuples.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The rows, in the fields' layouts.
    pub columns: Vec<ArrayRef>,
    /// Rows in the columns.
    pub rows: usize,
    /// For each row the tuple it is; `None` when row *i* is tuple *i*.
    pub origin: Option<Vec<u32>>,
    /// The tuples that are no row, ascending.
    pub refused: Vec<Refusal>,
}

/// Decodes tuples into the columns of `fields`.
pub(crate) struct Decoder {}

impl Decoder {
    /// For tuples whose fields have these forms.
    ///
    /// *Errors* – a bug if a field's type is not read from its form.
    pub(crate) fn new(_fields: &[Field], _wires: &[Wire]) -> Result<Self> {
        unimplemented!()
    }

    /// Takes a tuple, as [`super::Splitter::next`] gives it. A value that its column cannot hold
    /// refuses the row, which is told by [`Decoder::finish`].
    ///
    /// *Errors* – `postgres::bad_copy` if it is no tuple of these forms; `postgres::full` when
    /// the columns hold so much already that it does not fit: finish first, then push it again.
    pub(crate) fn push(&mut self, _tuple: &[u8]) -> Result<()> {
        unimplemented!()
    }

    /// Tuples taken since the last [`Decoder::finish`], refused ones included.
    pub(crate) fn tuples(&self) -> usize {
        unimplemented!()
    }

    /// Rows in the columns.
    pub(crate) fn rows(&self) -> usize {
        unimplemented!()
    }

    /// Bytes taken since the last [`Decoder::finish`].
    pub(crate) fn bytes(&self) -> usize {
        unimplemented!()
    }

    /// What became of the tuples since the last time; empty again afterwards.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        unimplemented!()
    }
}
