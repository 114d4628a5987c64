//! Rules of text: its length, its pattern, whether it says anything.

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use regex::Regex;

use super::{Test, marks};

/// Characters, from and to.
pub(super) struct Length {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Length {
    fn admits(&self, characters: usize) -> bool {
        (self.min..=self.max).contains(&(characters as u64))
    }
}

impl Test for Length {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        let offsets = texts.value_offsets();
        let bytes = |row: usize| (offsets[row + 1] - offsets[row]) as usize;
        if texts.is_ascii() {
            return marks(texts, |row| !self.admits(bytes(row)));
        }
        marks(texts, |row| !self.admits(texts.value(row).chars().count()))
    }
}

/// Matches somewhere.
pub(super) struct Matches(pub(super) Regex);

impl Test for Matches {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        marks(texts, |row| !self.0.is_match(texts.value(row)))
    }
}

/// More than white space.
pub(super) struct NotEmpty;

impl Test for NotEmpty {
    fn broken(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        let texts = column.as_string::<i32>();
        let is_empty = |text: &str| match text.as_bytes().first() {
            // Most text begins with what it says.
            Some(b'!'..=b'~') => false,
            _ => text.trim().is_empty(),
        };
        marks(texts, |row| is_empty(texts.value(row)))
    }
}
