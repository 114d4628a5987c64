//! Columns as they go out: builders that append into the buffers the host takes.
//!
//! One file for each layout: text and bytes with offsets, values of fixed width, and a builder for
//! code that learns a column's type only when it is opened. All share [`Bits`] and the validity here.

mod any;
mod fixed;
mod text;

pub use any::AnyBuilder;
pub use fixed::{BoolBuilder, FixedBuilder, VectorBuilder};
pub use text::{BytesBuilder, TextBuilder};

use crate::wit::columnar as raw;

/// A finished column.
#[derive(Debug, Clone)]
pub struct Built {
    pub(crate) rows: usize,
    pub(crate) column: raw::Column,
}

/// Bits, one for each row; the least significant bit comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bits {
    /// No rows yet, room for `rows`.
    pub fn with_capacity(rows: usize) -> Self {
        Bits {
            bytes: Vec::with_capacity(rows.div_ceil(8)),
            rows: 0,
        }
    }

    /// `rows` bits that are all `value`.
    pub fn filled(rows: usize, value: bool) -> Self {
        Bits {
            bytes: vec![if value { 0xff } else { 0 }; rows.div_ceil(8)],
            rows,
        }
    }

    /// Appends a bit.
    #[inline]
    pub fn push(&mut self, value: bool) {
        if self.rows.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if value && let Some(last) = self.bytes.last_mut() {
            *last |= 1 << (self.rows % 8);
        }
        self.rows += 1;
    }

    /// Changes the bit of `row`.
    pub fn set(&mut self, row: usize, value: bool) {
        if let Some(byte) = self.bytes.get_mut(row / 8) {
            *byte = *byte & !(1 << (row % 8)) | (u8::from(value) << (row % 8));
        }
    }

    /// How many bits.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Bits::default();
        bits.into_iter().for_each(|bit| all.push(bit));
        all
    }
}

/// Which rows are there; nothing is kept until the first null.
#[derive(Debug, Clone, Default)]
struct Validity {
    rows: usize,
    bits: Option<Bits>,
}

impl Validity {
    #[inline]
    fn push(&mut self, present: bool) {
        match &mut self.bits {
            Some(bits) => bits.push(present),
            None if present => {}
            None => {
                let mut bits = Bits::filled(self.rows, true);
                // The last byte is filled to its end; the bits to come are not there yet.
                if !self.rows.is_multiple_of(8)
                    && let Some(last) = bits.bytes.last_mut()
                {
                    *last &= (1 << (self.rows % 8)) - 1;
                }
                bits.push(false);
                self.bits = Some(bits);
            }
        }
        self.rows += 1;
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bits.map(Bits::into_bytes).unwrap_or_default()
    }
}
