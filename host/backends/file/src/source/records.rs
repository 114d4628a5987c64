//! Records that lie alone: one in each file of a store, under a key that is its id.
//!
//! Whoever reads the files gives their bytes; what they mean is found out here, as of the members of
//! a JSON object that is keyed by id.

use std::sync::Arc;

use dkhost_core::json::Inference;
use dkhost_core::{
    Batch, DeadLetter, Locator, OpenSource, Payload, Position, Result, Schema, SourceRows,
    dataknobs,
};

use super::decoded::Decoded;
use super::json::Documents;
use super::open::as_documents;
use super::sample::Sample;
use super::{Kind, letters, schema};
use crate::options::{Layout, SourceOptions};

/// One record, as it lies in its store.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// The key of the file it is in.
    pub key: String,
    /// One JSON object, or what should be one.
    pub body: bytes::Bytes,
}

/// What the records of a source mean.
#[derive(Debug, Clone)]
pub struct Records {
    schema: Schema,
    projected: bool,
    layout: Layout,
    explicit_nulls: bool,
    notes: Vec<String>,
}

impl Records {
    /// What the first records say about all of them; `complete` when there are no others.
    ///
    /// *Errors* – names in the options that the records do not have.
    pub fn of(
        options: &SourceOptions,
        open: &OpenSource,
        first: &[Record],
        complete: bool,
    ) -> Result<Self> {
        let layout = options.file.layout;
        let sample = sample(first, layout, complete);
        let kind = Kind::Documents {
            pointer: Vec::new(),
            keyed: true,
        };
        let found = as_documents(options, kind, sample)?;
        let all = Schema::new(found.fields);
        let mut schema = schema::project(&all, open.columns.as_deref())?;
        schema::mark(&mut schema, options, open)?;
        Ok(Records {
            schema,
            projected: open.columns.is_some(),
            layout,
            explicit_nulls: open.explicit_nulls,
            notes: found.notes,
        })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Lines for the plan.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn documents(&self) -> Documents {
        Documents::new(
            &self.schema,
            self.projected,
            self.layout,
            self.explicit_nulls,
        )
    }

    /// The batch of some records.
    pub fn decode(&self, records: Vec<Record>, until: Position) -> Result<Batch> {
        let mut documents = self.documents();
        let (mut origin, mut refused) = (Vec::with_capacity(records.len()), Vec::new());
        for (row, record) in records.iter().enumerate() {
            match documents.push(&record.body, Some(&record.id)) {
                Ok(()) => origin.push(row as u32),
                Err(error) => refused.push((row as u32, error)),
            }
        }
        let decoded = Decoded {
            records: documents.finish()?,
            origin,
            refused,
        };
        let bytes = records.iter().map(|record| record.body.len() as u64).sum();
        Ok(decoded.into_batch(Arc::new(Bodies(records)), until, bytes))
    }

    /// Decodes dead letters again.
    pub fn letters(&self, letters: &[DeadLetter]) -> Result<Batch> {
        letters::documents(letters, self.documents(), true)
    }
}

fn sample(first: &[Record], layout: Layout, complete: bool) -> Sample {
    let mut sample = Sample {
        records: first.len() as u64,
        complete,
        keyed: true,
        ..Sample::default()
    };
    let bodies = first.iter().map(|record| &record.body);
    match layout {
        Layout::Plain => {
            let mut found = Inference::new();
            sample.malformed = bodies.filter(|body| found.observe(body).is_err()).count() as u64;
            sample.fields = found.finish();
        }
        Layout::Dataknobs => {
            let mut found = dataknobs::Inference::new(dataknobs::Form::Object);
            sample.malformed = bodies.filter(|body| found.record(body).is_err()).count() as u64;
            sample.fields = found.finish();
        }
    }
    sample
}

/// Records, each from a file of its own.
#[derive(Debug)]
struct Bodies(Vec<Record>);

impl SourceRows for Bodies {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([("key", self.0[row].key.as_str().into())])
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.0[row].body.to_vec(),
            media: "json",
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        Some(self.0[row].id.clone())
    }

    fn memory_bytes(&self) -> usize {
        let one = |record: &Record| record.body.len() + record.key.len() + record.id.len();
        self.0.iter().map(one).sum()
    }
}
