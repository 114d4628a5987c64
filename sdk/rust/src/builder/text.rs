//! Columns whose values have lengths of their own: all rows' bytes together, and where each row ends.

use super::{Built, Validity};
use crate::wit::columnar as raw;

/// Builds a column of text or bytes.
///
/// ```
/// # use dkhost_sdk::TextBuilder;
/// let mut names = TextBuilder::with_capacity(2, 16);
/// names.push("Ada");
/// names.push_null();
/// names.write(|text| text.push_str("Grace"));    // straight into the buffer
/// ```
#[derive(Debug, Clone)]
pub struct TextBuilder {
    data: String,
    offsets: Vec<u8>,
    validity: Validity,
}

impl TextBuilder {
    /// Room for `rows` rows and `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity((rows + 1) * 4);
        offsets.extend_from_slice(&0i32.to_le_bytes());
        TextBuilder {
            data: String::with_capacity(bytes),
            offsets,
            validity: Validity::default(),
        }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.data.push_str(text);
        self.end(true);
    }

    /// Appends a row that is null.
    pub fn push_null(&mut self) {
        self.end(false);
    }

    /// Appends a row, or null.
    pub fn push_option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push(text),
            None => self.push_null(),
        }
    }

    /// Appends a row that `write` appends to the text of all rows before. It must only append.
    pub fn write(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.data.len();
        write(&mut self.data);
        assert!(
            self.data.len() >= start,
            "a row's text was removed instead of appended"
        );
        self.end(true);
    }

    /// Appends a row as [`TextBuilder::write`] does, or null when `write` returns `false`; what it
    /// appended for a null is taken back.
    #[inline]
    pub fn write_option(&mut self, write: impl FnOnce(&mut String) -> bool) {
        let start = self.data.len();
        let present = write(&mut self.data);
        assert!(
            self.data.len() >= start,
            "a row's text was removed instead of appended"
        );
        if !present {
            self.data.truncate(start);
        }
        self.end(present);
    }

    #[inline]
    fn end(&mut self, present: bool) {
        // The host refuses more than 2 GiB of text in one column before this can overflow.
        self.offsets
            .extend_from_slice(&(self.data.len() as i32).to_le_bytes());
        self.validity.push(present);
    }

    /// How many rows so far.
    pub fn rows(&self) -> usize {
        self.validity.rows
    }
}

impl From<TextBuilder> for Built {
    fn from(text: TextBuilder) -> Built {
        let rows = text.validity.rows;
        let validity = text.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: text.data.into_bytes(),
                offsets: text.offsets,
                validity,
            },
        }
    }
}

/// Builds a column of bytes.
#[derive(Debug, Clone)]
pub struct BytesBuilder {
    data: Vec<u8>,
    offsets: Vec<u8>,
    validity: Validity,
}

impl BytesBuilder {
    /// Room for `rows` rows and `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity((rows + 1) * 4);
        offsets.extend_from_slice(&0i32.to_le_bytes());
        BytesBuilder {
            data: Vec::with_capacity(bytes),
            offsets,
            validity: Validity::default(),
        }
    }

    /// Appends a row, or null.
    pub fn push(&mut self, bytes: Option<&[u8]>) {
        self.data.extend_from_slice(bytes.unwrap_or_default());
        self.offsets
            .extend_from_slice(&(self.data.len() as i32).to_le_bytes());
        self.validity.push(bytes.is_some());
    }
}

impl From<BytesBuilder> for Built {
    fn from(bytes: BytesBuilder) -> Built {
        let rows = bytes.validity.rows;
        let validity = bytes.validity.into_bytes();
        Built {
            rows,
            column: raw::Column {
                data: bytes.data,
                offsets: bytes.offsets,
                validity,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_for_a_null_is_taken_back() {
        let mut names = TextBuilder::with_capacity(3, 16);
        names.push("Ada");
        names.write_option(|text| {
            text.push_str("nobody");
            false
        });
        names.write_option(|text| {
            text.push_str("Grace");
            true
        });
        let Built { rows, column } = names.into();
        assert_eq!((rows, column.data), (3, b"AdaGrace".to_vec()));
        let ends = [0i32, 3, 3, 8].map(i32::to_le_bytes).concat();
        assert_eq!((column.offsets, column.validity), (ends, vec![0b101]));
    }
}
