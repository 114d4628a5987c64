//! The records a batch was read from, for the moment one of its rows is refused.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{DeadLetter, Locator, Payload, SourceRows};

use super::json::{id_of, unescape};
use super::split::Records;

/// Records that are ranges of bytes: JSON, JSON Lines, CSV, TSV.
#[derive(Debug)]
pub struct TextRows {
    /// How the job names the file.
    pub file: Arc<str>,
    /// The records.
    pub records: Records,
    /// `json` or `csv`.
    pub media: &'static str,
    /// The field that is the id.
    pub id: Option<Arc<str>>,
}

impl SourceRows for TextRows {
    fn len(&self) -> usize {
        self.records.rows.len()
    }

    fn locator(&self, row: usize) -> Locator {
        let bytes = self.records.piece.bytes();
        let start = self.records.rows[row].start as usize;
        let file = ("file", self.file.as_ref().into());
        let offset = ("offset", (self.records.piece.offset + start as u64).into());
        match self.records.piece.line {
            Some(line) => {
                let lines = memchr::memchr_iter(b'\n', &bytes[..start]).count();
                Locator::of([file, ("line", (line + lines as u64).into()), offset])
            }
            None => Locator::of([file, offset]),
        }
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.records.rows[row]
                .of(self.records.piece.bytes())
                .to_vec(),
            media: self.media,
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        let bytes = self.records.piece.bytes();
        if let Some(key) = self.records.keys.get(row) {
            return unescape(key.of(bytes)).map(|id| id.into_owned());
        }
        match &self.id {
            Some(field) if self.media == "json" => id_of(self.records.rows[row].of(bytes), field),
            _ => None,
        }
    }

    fn memory_bytes(&self) -> usize {
        self.records.piece.bytes().len() + (self.records.rows.len() + self.records.keys.len()) * 8
    }
}

/// Records that were columns before: Parquet, Arrow. Their bytes are the JSON of the row.
#[derive(Debug)]
pub struct ColumnRows {
    /// How the job names the file.
    pub file: Arc<str>,
    /// Index of the first row in the file, from 0.
    pub first: u64,
    /// The rows, those that were refused included.
    pub records: RecordBatch,
    /// Index of the id column.
    pub id: Option<usize>,
}

impl SourceRows for ColumnRows {
    fn len(&self) -> usize {
        self.records.num_rows()
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([
            ("file", self.file.as_ref().into()),
            ("row", (self.first + row as u64).into()),
        ])
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: dkhost_core::json::row(&self.records, row).into_bytes(),
            media: "json",
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        let column = self.records.column(self.id?);
        let schema = dkhost_core::Field::from_arrow(self.records.schema().field(self.id?)).ok()?;
        let mut text = Vec::new();
        dkhost_core::text::write(column, row, &schema.logical, &mut text)
            .ok()?
            .then(|| String::from_utf8(text).ok())?
    }

    fn memory_bytes(&self) -> usize {
        // The columns are counted with the batch that shares them.
        0
    }
}

/// Dead letters that are tried again.
#[derive(Debug)]
pub struct LetterRows(pub Vec<DeadLetter>);

impl SourceRows for LetterRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.0[row].locator.clone()
    }

    fn payload(&self, row: usize) -> Payload {
        let media = match self.0[row].media.as_str() {
            "json" => "json",
            "csv" => "csv",
            _ => "text",
        };
        Payload {
            bytes: self.0[row].payload.clone(),
            media,
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.0[row].source_id.clone()
    }

    fn memory_bytes(&self) -> usize {
        self.0.iter().map(|letter| letter.payload.len()).sum()
    }
}
