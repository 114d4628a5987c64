//! Columns whose values all have one width: numbers, times, uuids, bits and vectors.

use super::{Bits, Built, Validity};
use crate::view::Native;
use crate::wit::columnar as raw;

/// Builds a column of fixed-width values.
#[derive(Debug, Clone)]
pub struct FixedBuilder<T> {
    data: Vec<u8>,
    validity: Validity,
    native: std::marker::PhantomData<T>,
}

impl<T: Native> FixedBuilder<T> {
    /// Room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Self {
        let data = Vec::with_capacity(rows * T::WIDTH);
        FixedBuilder {
            data,
            validity: Validity::default(),
            native: std::marker::PhantomData,
        }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.data.extend_from_slice(value.bytes().as_ref());
        self.validity.push(true);
    }

    /// Appends a row that is null.
    pub fn push_null(&mut self) {
        self.data.resize(self.data.len() + T::WIDTH, 0);
        self.validity.push(false);
    }

    /// Appends a row, or null.
    #[inline]
    pub fn push_option(&mut self, value: Option<T>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }
}

impl<T: Native> From<FixedBuilder<T>> for Built {
    fn from(fixed: FixedBuilder<T>) -> Built {
        let rows = fixed.validity.rows;
        let validity = fixed.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: fixed.data,
                offsets: Vec::new(),
                validity,
            },
        }
    }
}

/// Builds a column of booleans.
#[derive(Debug, Clone, Default)]
pub struct BoolBuilder {
    data: Bits,
    validity: Validity,
}

impl BoolBuilder {
    /// Appends a row, or null.
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        self.data.push(value.unwrap_or_default());
        self.validity.push(value.is_some());
    }
}

impl From<BoolBuilder> for Built {
    fn from(bools: BoolBuilder) -> Built {
        let rows = bools.validity.rows;
        let validity = bools.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: bools.data.into_bytes(),
                offsets: Vec::new(),
                validity,
            },
        }
    }
}

/// Builds a column of vectors.
#[derive(Debug, Clone)]
pub struct VectorBuilder {
    width: usize,
    data: Vec<u8>,
    validity: Validity,
}

impl VectorBuilder {
    /// Vectors of `n` float32.
    pub fn new(n: u32) -> Self {
        VectorBuilder {
            width: n as usize * 4,
            data: Vec::new(),
            validity: Validity::default(),
        }
    }

    /// Appends a row of float32 in little-endian bytes, or null; `false` (and a null instead) when
    /// it has another length.
    pub fn push(&mut self, bytes: Option<&[u8]>) -> bool {
        match bytes {
            Some(bytes) if bytes.len() == self.width => {
                self.data.extend_from_slice(bytes);
                self.validity.push(true);
                true
            }
            other => {
                self.data.resize(self.data.len() + self.width, 0);
                self.validity.push(false);
                other.is_none()
            }
        }
    }
}

impl From<VectorBuilder> for Built {
    fn from(vectors: VectorBuilder) -> Built {
        let rows = vectors.validity.rows;
        let validity = vectors.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: vectors.data,
                offsets: Vec::new(),
                validity,
            },
        }
    }
}
