//! Dead letters' payloads to records again.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use dkhost_core::text::Appender;
use dkhost_core::{
    Batch, DeadLetter, Locator, LogicalType, Payload, Position, Reject, Result, Schema, SourceRows,
    StageKind,
};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How the value `null` of a JSON column is told from no value.
pub(crate) const JSON_NULL: &str = "{\"$json\":null}";

/// The records as dead letters remember them.
#[derive(Debug)]
pub(super) struct Letters {
    letters: Vec<(Locator, Vec<u8>)>,
}

impl Letters {
    /// Where the records lie and what they were.
    pub(super) fn of(letters: &[DeadLetter]) -> Self {
        let kept = letters
            .iter()
            .map(|letter| (letter.locator.clone(), letter.payload.clone()));
        Letters {
            letters: kept.collect(),
        }
    }
}

impl SourceRows for Letters {
    fn len(&self) -> usize {
        self.letters.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.letters[row].0.clone()
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.letters[row].1.clone(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        self.letters
            .iter()
            .map(|(_, payload)| payload.len() + 128)
            .sum()
    }
}

/// Reads payloads into the columns of `schema`; what does not fit its column refuses its record.
pub(crate) fn decode(schema: &Schema, letters: &[DeadLetter]) -> Result<Batch> {
    let mut columns: Vec<Appender> = schema
        .fields
        .iter()
        .map(|field| Appender::new(&field.logical))
        .collect();
    let (mut origin, mut rejects) = (Vec::new(), Vec::new());
    for (at, letter) in letters.iter().enumerate() {
        match push(schema, &mut columns, &letter.payload) {
            Ok(()) => origin.push(at as u32),
            Err((column, message)) => {
                columns
                    .iter_mut()
                    .for_each(|column| column.truncate(origin.len()));
                rejects.push(Reject {
                    source_row: at as u32,
                    kind: StageKind::Decode,
                    stage: "source".to_owned(),
                    column,
                    code: "postgres::not_held".to_owned(),
                    message,
                });
            }
        }
    }
    let arrays = columns
        .iter_mut()
        .map(Appender::finish)
        .collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(origin.len()));
    let records = RecordBatch::try_new_with_options(schema.to_arrow(), arrays, &options)?;
    Ok(Batch {
        records,
        origin: (!rejects.is_empty()).then(|| origin.into()),
        source: Arc::new(Letters::of(letters)),
        rejects,
        until: Position::start(),
        source_bytes: letters
            .iter()
            .map(|letter| letter.payload.len() as u64)
            .sum(),
    })
}

/// Appends one record, or says which column refuses it and why.
fn push(
    schema: &Schema,
    columns: &mut [Appender],
    payload: &[u8],
) -> Result<(), (Option<String>, String)> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(payload)
        .map_err(|cause| (None, format!("the payload is no JSON object: {cause}")))?;
    for (field, column) in schema.fields.iter().zip(columns) {
        let raw = fields.get(&field.name).map_or("null", |raw| raw.get());
        let fits = match (&field.logical, raw) {
            (_, "null") => {
                column.append_null();
                true
            }
            (LogicalType::Json, JSON_NULL) => column.append("null"),
            (LogicalType::Json, _) => column.append(raw),
            _ => match serde_json::from_str(raw) {
                Ok(Json::String(text)) => column.append(&text),
                _ => column.append(raw),
            },
        };
        if !fits {
            let message = format!("the value {} is no {}", short(raw), field.logical);
            return Err((Some(field.name.clone()), message));
        }
    }
    Ok(())
}

/// A value for a message.
fn short(raw: &str) -> String {
    match raw.char_indices().nth(80) {
        None => raw.to_owned(),
        Some((end, _)) => format!("{}…", &raw[..end]),
    }
}
