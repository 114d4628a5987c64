//! Finds the type of every column in a sample of separated values.
//!
//! A type is taken only if every value of the sample comes back from it as it was written: `007`,
//! `+49` and digits beyond what a float holds stay text.

use dkhost_core::LogicalType;
use dkhost_core::text::{self, Number};

use super::{Cell, Lines};
use crate::options::CsvOptions;

/// What the values of one column have been so far.
#[derive(Debug, Clone, Copy)]
struct Seen {
    any: bool,
    boolean: bool,
    integer: bool,
    float: bool,
}

/// The types of the columns of a sample.
#[derive(Debug)]
pub struct CsvInference {
    columns: Vec<Seen>,
}

impl CsvInference {
    /// Nothing seen yet of this many columns.
    pub fn new(columns: usize) -> Self {
        CsvInference {
            columns: vec![
                Seen {
                    any: false,
                    boolean: true,
                    integer: true,
                    float: true
                };
                columns
            ],
        }
    }

    /// Looks at the well-formed records of a batch, `places[i]` being column *i* in the file.
    pub fn observe(&mut self, lines: &Lines, places: &[usize], options: &CsvOptions) {
        let bytes = lines.records.piece.bytes();
        let width = places.len();
        for cells in lines.cells.chunks_exact(width.max(1)) {
            for (seen, place) in self.columns.iter_mut().zip(places) {
                let cell = cells[*place];
                match std::str::from_utf8(cell.range().of(bytes)) {
                    Ok(text) if is_null(cell, text, options) => (),
                    Ok(text) => seen.take(text),
                    // The record is refused when it is read; it says nothing about types.
                    Err(_) => (),
                }
            }
        }
    }

    /// The type of every column; text where nothing was seen.
    pub fn finish(&self) -> Vec<LogicalType> {
        self.columns.iter().map(|seen| seen.logical()).collect()
    }
}

impl Seen {
    fn take(&mut self, value: &str) {
        self.any = true;
        self.boolean = self.boolean && text::fits(&LogicalType::Boolean, value);
        if self.integer || self.float {
            let number = Number::parse(value).filter(|_| !value.starts_with('+'));
            let integer = number.is_some_and(|n| n.as_i64().is_some());
            // Digits without a point that no integer holds are a name for something, not a measure.
            let float =
                number.is_some_and(|n| (integer || !n.is_integer()) && n.as_f64().is_some());
            self.integer &= integer;
            self.float &= float;
        }
    }

    fn logical(self) -> LogicalType {
        match self {
            Seen { any: false, .. } => LogicalType::Utf8,
            Seen { boolean: true, .. } => LogicalType::Boolean,
            Seen { integer: true, .. } => LogicalType::Int64,
            Seen { float: true, .. } => LogicalType::Float64,
            _ => LogicalType::Utf8,
        }
    }
}

/// Whether a cell is null: a quoted one never is.
#[inline]
pub fn is_null(cell: Cell, text: &str, options: &CsvOptions) -> bool {
    !cell.is_quoted() && options.null.iter().any(|null| null == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], logical: LogicalType) {
        let mut seen = Seen {
            any: false,
            boolean: true,
            integer: true,
            float: true,
        };
        values.iter().for_each(|value| seen.take(value));
        assert_eq!(seen.logical(), logical, "{values:?}");
    }

    #[test]
    fn a_type_is_taken_only_if_every_value_comes_back_as_it_was() {
        check(&["1", "-20"], LogicalType::Int64);
        check(&["1", "2.5", "1e3"], LogicalType::Float64);
        check(&["true", "False"], LogicalType::Boolean);
        check(&["007", "1"], LogicalType::Utf8);
        check(&["+49"], LogicalType::Utf8);
        check(&["-0"], LogicalType::Utf8);
        check(&["12345678901234567890"], LogicalType::Utf8);
        check(&["100000000000000000000"], LogicalType::Utf8);
        check(&["9007199254740993", "0.5"], LogicalType::Utf8);
        check(&["0.12345678901234567890"], LogicalType::Utf8);
        check(&["1e400"], LogicalType::Utf8);
        check(&["nan"], LogicalType::Utf8);
        check(&["1", "true"], LogicalType::Utf8);
        check(&["1", ""], LogicalType::Utf8);
        check(&[" 1"], LogicalType::Utf8);
        check(&[], LogicalType::Utf8);
    }
}
