//! The schema of a sample of documents: the narrowest type that holds every value exactly.
//!
//! Strings stay strings: nothing is guessed to be a date. What mixes kinds is json, which holds
//! everything; so does a field that was only ever null.

use std::borrow::Cow;
use std::collections::HashSet;

use super::RowError;
use super::names::{Key, Names};
use super::scan::{Kind, Scanner};
use crate::text::Number;
use crate::{Field, LogicalType};

/// Finds the fields of documents and their types.
///
/// ```
/// use dkhost_core::LogicalType;
/// use dkhost_core::json::Inference;
///
/// let mut inference = Inference::new();
/// inference.observe(br#"{"n": 1, "name": "Ada"}"#).unwrap();
/// inference.observe(br#"{"n": 2.5}"#).unwrap();
/// let fields = inference.finish();
/// assert_eq!((fields[0].name.as_str(), &fields[0].logical), ("n", &LogicalType::Float64));
/// assert_eq!((fields[1].name.as_str(), &fields[1].logical), ("name", &LogicalType::Utf8));
/// ```
#[derive(Debug)]
pub struct Inference {
    names: Names,
    order: Vec<String>,
    seen: Vec<Seen>,
    /// Fields of the document that is being read: nothing counts if it turns out malformed.
    current: Vec<(Option<usize>, String, u16)>,
    /// Names that are new in this document.
    fresh: HashSet<String>,
    stamp: u64,
    bare_nan: bool,
}

/// What was seen of one field.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    kinds: u16,
    stamp: u64,
}

const BOOLEAN: u16 = 1;
const TEXT: u16 = 2;
const NESTED: u16 = 4;
/// An integer within int64.
const INTEGER: u16 = 8;
const NEGATIVE: u16 = 16;
/// An integer within uint64 but not int64.
const ABOVE: u16 = 32;
/// An integer beyond both.
const BEYOND: u16 = 64;
/// A number with fraction or exponent, or `-0`.
const FLOAT: u16 = 128;
/// A number of any kind that a float64 does not hold exactly.
const NOT_FLOAT: u16 = 256;
/// A bare NaN or infinity.
const NOT_FINITE: u16 = 512;
const NUMERIC: u16 = INTEGER | NEGATIVE | ABOVE | BEYOND | FLOAT | NOT_FLOAT | NOT_FINITE;

impl Default for Inference {
    fn default() -> Self {
        Inference::new()
    }
}

impl Inference {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Inference {
            names: Names::new(),
            order: Vec::new(),
            seen: Vec::new(),
            current: Vec::new(),
            fresh: HashSet::new(),
            stamp: 0,
            bare_nan: false,
        }
    }

    /// Takes Python's bare `NaN` and `Infinity` for floats.
    #[must_use]
    pub fn bare_nan(mut self, yes: bool) -> Self {
        self.bare_nan = yes;
        self
    }

    /// Takes one document, a JSON object, into account.
    ///
    /// *Errors* – malformed documents are as if they had not been there.
    pub fn observe(&mut self, object: &[u8]) -> Result<(), RowError> {
        self.stamp += 1;
        self.current.clear();
        self.fresh.clear();
        self.scan(object)?;
        for (index, name, kinds) in std::mem::take(&mut self.current) {
            let index = match index.or_else(|| self.position(&name)) {
                Some(index) => index,
                None => {
                    self.seen.push(Seen::default());
                    self.order.push(name.clone());
                    self.names.push(&name)
                }
            };
            self.seen[index].kinds |= kinds;
        }
        Ok(())
    }

    fn position(&mut self, name: &str) -> Option<usize> {
        self.names.restart();
        self.names.find(name)
    }

    fn scan(&mut self, object: &[u8]) -> Result<(), RowError> {
        let mut scanner = Scanner::of(object)?.bare_nan(self.bare_nan);
        self.names.restart();
        let mut more = scanner.enter_object()?;
        while more {
            scanner.skip_space();
            let at = scanner.position();
            let (index, name) = match self.names.scan(&mut scanner)? {
                Key::Known(index) => (Some(index), Cow::Borrowed("")),
                Key::Unknown(name) => (None, name),
            };
            let again = match index {
                Some(index) => {
                    let before = std::mem::replace(&mut self.seen[index].stamp, self.stamp);
                    before == self.stamp
                }
                None => !self.fresh.insert(name.clone().into_owned()),
            };
            if again {
                let name = index.map_or(name.as_ref(), |index| &self.order[index]);
                let message = format!("the key `{name}` comes again at byte {at}");
                return Err(RowError::new("json::duplicate_key", message).in_column(name));
            }
            let kinds = kinds(&scanner.scan_value()?.kind);
            self.current.push((index, name.into_owned(), kinds));
            more = scanner.scan_comma()?;
        }
        scanner.end()
    }

    /// The fields in the order in which they were first seen; null in them means absent.
    pub fn finish(self) -> Vec<Field> {
        let fields = self.order.into_iter().zip(&self.seen);
        fields
            .map(|(name, seen)| Field {
                null_is_absent: true,
                ..Field::new(name, logical(seen.kinds))
            })
            .collect()
    }
}

fn kinds(kind: &Kind<'_>) -> u16 {
    match kind {
        Kind::Null => 0,
        Kind::Boolean(_) => BOOLEAN,
        Kind::Text(..) => TEXT,
        Kind::Array | Kind::Object => NESTED,
        Kind::NotFinite(_) => NOT_FINITE,
        Kind::Number(number) => number_kinds(number),
    }
}

fn number_kinds(number: &Number<'_>) -> u16 {
    let integer = match (number.as_i64(), number.as_u64()) {
        (Some(value), _) if value < 0 => INTEGER | NEGATIVE,
        (Some(_), _) => INTEGER,
        (None, Some(_)) => ABOVE,
        _ if number.is_integer() && number.text != "-0" => BEYOND,
        _ => FLOAT,
    };
    integer
        | if number.as_f64().is_some() {
            0
        } else {
            NOT_FLOAT
        }
}

fn logical(kinds: u16) -> LogicalType {
    match kinds {
        BOOLEAN => LogicalType::Boolean,
        TEXT => LogicalType::Utf8,
        0 => LogicalType::Json,
        _ if kinds & !NUMERIC != 0 => LogicalType::Json,
        // Only a float holds NaN; what a float does not hold is kept beside it.
        _ if kinds & NOT_FINITE != 0 => LogicalType::Float64,
        _ if kinds & FLOAT != 0 && kinds & NOT_FLOAT != 0 => LogicalType::Number,
        _ if kinds & FLOAT != 0 => LogicalType::Float64,
        _ if kinds & BEYOND != 0 => LogicalType::Number,
        _ if kinds & ABOVE != 0 && kinds & NEGATIVE != 0 => LogicalType::Number,
        _ if kinds & ABOVE != 0 => LogicalType::UInt64,
        _ => LogicalType::Int64,
    }
}
