//! Documents to columns: what the core's decoder makes of each record, plain or of dataknobs.

use arrow::array::RecordBatch;
use dkhost_core::json::{DecodeOptions, Decoder, RowError, Scanner};
use dkhost_core::{Result, Schema, dataknobs};

use super::unescape;
use crate::options::Layout;
use crate::source::decoded::Decoded;
use crate::source::split::Records;

/// Decodes documents into columns.
#[derive(Debug)]
pub struct Documents {
    decoder: Decoder,
    /// Set when the documents are records of dataknobs.
    dataknobs: Option<dataknobs::Reader>,
}

impl Documents {
    /// A decoder into the columns of `schema`, which are all there are or, `projected`, some.
    pub fn new(schema: &Schema, projected: bool, layout: Layout, explicit_nulls: bool) -> Self {
        let is_dataknobs = layout == Layout::Dataknobs;
        let options = DecodeOptions {
            explicit_nulls,
            bare_nan: is_dataknobs,
            skip_unknown: projected,
        };
        let dataknobs = is_dataknobs.then(|| dataknobs::Reader::new(schema));
        Documents {
            decoder: Decoder::new(schema, options),
            dataknobs,
        }
    }

    /// The rows of some records, each one JSON object, keyed by id or not.
    pub fn decode(&mut self, records: &Records) -> Result<Decoded> {
        let bytes = records.piece.bytes();
        let keyed = !records.keys.is_empty();
        let (mut origin, mut refused) = (Vec::with_capacity(records.rows.len()), Vec::new());
        for (row, range) in records.rows.iter().enumerate() {
            let object = range.of(bytes);
            let taken = match keyed {
                false => self.push(object, None),
                true => match unescape(records.keys[row].of(bytes)) {
                    Some(id) => self.push(object, Some(&id)),
                    None => Err(no_id()),
                },
            };
            match taken {
                Ok(()) => origin.push(row as u32),
                Err(error) => refused.push((row as u32, error)),
            }
        }
        Ok(Decoded {
            records: self.finish()?,
            origin,
            refused,
        })
    }

    /// Takes one document, with its id if it is keyed by one.
    ///
    /// *Errors* – nothing was appended.
    #[inline]
    pub fn push(&mut self, object: &[u8], id: Option<&str>) -> Result<(), RowError> {
        if let Some(reader) = &mut self.dataknobs {
            let plain = reader.record(id, object)?;
            return self
                .decoder
                .push_document(plain.fields, plain.id, plain.meta);
        }
        match id {
            Some(id) => self.decoder.push_document(object, Some(id), None),
            None => self.decoder.push(object),
        }
    }

    /// What was pushed, as columns.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        self.decoder.finish()
    }
}

/// The error for a record whose key in the object of records is no text.
pub fn no_id() -> RowError {
    RowError::new(
        "json::not_utf8",
        "the id is no text: not UTF-8, or half a surrogate pair",
    )
}

/// The value of a field of a document as text, for locators and dead letters.
pub fn id_of(object: &[u8], field: &str) -> Option<String> {
    let mut scanner = Scanner::of(object).ok()?;
    let mut more = scanner.enter_object().ok()?;
    while more {
        let (raw, escaped) = scanner.key().ok()?;
        let name = dkhost_core::json::unescape(raw, escaped);
        let value = scanner.value().ok()?;
        if *name == *field {
            let text = serde_json::from_str::<String>(value.raw);
            return Some(text.unwrap_or_else(|_| value.raw.to_owned()));
        }
        more = scanner.next_member().ok()?;
    }
    None
}
