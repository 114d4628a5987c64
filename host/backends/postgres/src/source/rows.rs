//! The source records of a batch: where each lies and what it was, for those that are refused.
//!
//! Nothing is written down for a record until somebody asks: its values are in the columns. Of one
//! that could not be decoded the decoder kept what it was.

use std::sync::Arc;

use arrow::array::ArrayRef;
use dkhost_core::text::Cells;
use dkhost_core::{Field, Locator, LogicalType, Payload, SourceRows, json};
use serde_json::Value as Json;

use super::stream::field;

/// What the rows of a source have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// Names the place of a record.
    pub relation: Arc<str>,
    /// The schema's columns.
    pub fields: Vec<Field>,
    /// Where the parts of the key are among all that is selected.
    pub key: Vec<KeyAt>,
    /// Whether the key is the row's place in its file.
    pub is_ctid: bool,
    /// Whether rows become documents: then the batch has other columns, and the first is the id.
    pub is_store: bool,
}

/// A part of the key in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyAt {
    /// Its place among the fields of a row.
    pub at: usize,
    pub form: KeyForm,
}

/// How a part of the key comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// 2, 4 or 8 bytes, with a sign.
    Integer,
    Uuid,
    Text,
}

impl KeyForm {
    /// A value as text; `None` if it is none.
    pub(crate) fn text(self, value: &[u8]) -> Option<String> {
        Some(match (self, value.len()) {
            (KeyForm::Integer, 2) => i16::from_be_bytes(*value.first_chunk()?).to_string(),
            (KeyForm::Integer, 4) => i32::from_be_bytes(*value.first_chunk()?).to_string(),
            (KeyForm::Integer, 8) => i64::from_be_bytes(*value.first_chunk()?).to_string(),
            (KeyForm::Uuid, 16) => {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                [
                    &hex[..8],
                    &hex[8..12],
                    &hex[12..16],
                    &hex[16..20],
                    &hex[20..],
                ]
                .join("-")
            }
            (KeyForm::Text, _) => std::str::from_utf8(value).ok()?.to_owned(),
            _ => return None,
        })
    }

    fn to_json(self, text: &str) -> Json {
        match self {
            KeyForm::Integer => text.parse::<i64>().map_or(Json::Null, Json::from),
            _ => text.into(),
        }
    }
}

impl Layout {
    /// The key of a row as it came, part by part; `None` for what is no text.
    pub(crate) fn key_of(&self, row: &[u8]) -> Vec<Option<String>> {
        let part = |key: &KeyAt| field(row, key.at).and_then(|value| key.form.text(value));
        self.key.iter().map(part).collect()
    }
}

/// A record that could not be decoded.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its index in the batch.
    pub record: u32,
    /// As the decoder tells it.
    pub payload: Vec<u8>,
    pub key: Vec<Option<String>>,
}

/// The source records of one batch.
#[derive(Debug)]
pub(crate) struct Rows {
    pub layout: Arc<Layout>,
    /// Everything that was selected, of the records that could be decoded.
    pub columns: Vec<ArrayRef>,
    /// The record of each row of `columns`; `None` when all of them are there.
    pub origin: Option<Vec<u32>>,
    /// Records that could not be decoded, ascending.
    pub refused: Vec<Refused>,
    pub count: usize,
    /// How many records of this read came before.
    pub first: u64,
}

impl Rows {
    fn refused(&self, record: usize) -> Option<&Refused> {
        let record = record as u32;
        let found = self
            .refused
            .binary_search_by_key(&record, |refused| refused.record);
        found.ok().map(|at| &self.refused[at])
    }

    /// The row of a record that could be decoded.
    fn row(&self, record: usize) -> usize {
        match &self.origin {
            None => record,
            Some(origin) => origin.binary_search(&(record as u32)).unwrap_or(0),
        }
    }

    /// The parts of a record's key.
    fn key(&self, record: usize) -> Vec<Json> {
        let texts = match self.refused(record) {
            Some(refused) => refused.key.clone(),
            None => {
                let row = self.row(record);
                let text = |key: &KeyAt| {
                    let own = self.layout.fields.get(key.at).map(|field| &field.logical);
                    cell(
                        &self.columns[key.at],
                        row,
                        own.unwrap_or(&LogicalType::Utf8),
                    )
                };
                self.layout.key.iter().map(text).collect()
            }
        };
        let json = |(key, text): (&KeyAt, Option<String>)| {
            text.map_or(Json::Null, |text| key.form.to_json(&text))
        };
        self.layout.key.iter().zip(texts).map(json).collect()
    }

    fn render(&self, record: usize) -> Vec<u8> {
        let (row, mut out) = (self.row(record), Vec::new());
        for (at, name) in self.layout.fields.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            json::escape(&name.name, &mut out);
            out.push(b':');
            match cell(&self.columns[at], row, &name.logical) {
                Some(text) => write_cell(&name.logical, &text, &mut out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(if out.is_empty() { b"{}" } else { b"}" });
        out
    }
}

/// A cell as text.
fn cell(array: &ArrayRef, row: usize, logical: &LogicalType) -> Option<String> {
    let mut text = Vec::new();
    let there = Cells::bind(array.as_ref(), logical)
        .ok()?
        .write(row, &mut text);
    there.then(|| String::from_utf8_lossy(&text).into_owned())
}

/// Writes a cell as JSON from which it is read again exactly.
fn write_cell(logical: &LogicalType, text: &str, out: &mut Vec<u8>) {
    let bare = match logical {
        LogicalType::Boolean | LogicalType::Int32 | LogicalType::Int64 => true,
        LogicalType::Float32 | LogicalType::Float64 => !matches!(text, "NaN" | "inf" | "-inf"),
        // A null that is a value is not the null that is none.
        LogicalType::Json if text.trim() == "null" => {
            return out.extend_from_slice(super::letters::JSON_NULL.as_bytes());
        }
        LogicalType::Json => true,
        _ => false,
    };
    match bare {
        true => out.extend_from_slice(text.as_bytes()),
        false => json::escape(text, out),
    }
}

impl SourceRows for Rows {
    fn len(&self) -> usize {
        self.count
    }

    fn locator(&self, record: usize) -> Locator {
        let table = ("table", Json::from(&*self.layout.relation));
        let mut key = self.key(record);
        match (self.layout.is_ctid, key.is_empty()) {
            (true, _) => Locator::of([table, ("ctid", key.pop().unwrap_or_default())]),
            (_, true) => Locator::of([table, ("row", (self.first + record as u64).into())]),
            _ => Locator::of([table, ("key", key.into())]),
        }
    }

    fn payload(&self, record: usize) -> Payload {
        Payload {
            bytes: match self.refused(record) {
                Some(refused) => refused.payload.clone(),
                None => self.render(record),
            },
            media: "json",
        }
    }

    fn id(&self, record: usize) -> Option<String> {
        let is_told = self.layout.is_store && self.refused(record).is_none();
        let id = self.columns.first().filter(|_| is_told)?;
        cell(id, self.row(record), &LogicalType::Utf8)
    }

    fn memory_bytes(&self) -> usize {
        // The columns are the batch's own until a step replaces them.
        let shared = match self.layout.is_store {
            true => 0,
            false => self.layout.fields.len(),
        };
        let extras = self.columns.iter().skip(shared);
        let refused = self.refused.iter().map(|refused| refused.payload.len());
        extras
            .map(|array| array.get_array_memory_size())
            .sum::<usize>()
            + refused.sum::<usize>()
    }
}
