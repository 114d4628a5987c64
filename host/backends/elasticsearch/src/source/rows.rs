//! The source records of a batch: where each lies and what it was.

use std::sync::Arc;

use dkhost_core::{DeadLetter, Locator, Payload, SourceRows};

use super::page::Hit;

/// Documents of one index.
#[derive(Debug)]
pub(super) struct Rows {
    pub index: Arc<str>,
    pub hits: Vec<Hit>,
}

impl SourceRows for Rows {
    fn len(&self) -> usize {
        self.hits.len()
    }

    fn locator(&self, row: usize) -> Locator {
        let id = self.hits[row].id.as_str();
        Locator::of([("index", (*self.index).into()), ("id", id.into())])
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.hits[row].source().to_vec(),
            media: "json",
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        Some(self.hits[row].id.clone())
    }

    fn memory_bytes(&self) -> usize {
        let kept = |hit: &Hit| hit.source().len() + hit.id.len() + size_of::<Hit>();
        self.hits.iter().map(kept).sum()
    }
}

/// Documents as dead letters remember them.
#[derive(Debug)]
pub(super) struct Letters(Vec<(Locator, Option<String>, Vec<u8>)>);

impl Letters {
    pub fn of(letters: &[DeadLetter]) -> Self {
        let kept = letters.iter().map(|letter| {
            (
                letter.locator.clone(),
                letter.source_id.clone(),
                letter.payload.clone(),
            )
        });
        Letters(kept.collect())
    }
}

impl SourceRows for Letters {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.0[row].0.clone()
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.0[row].2.clone(),
            media: "json",
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.0[row].1.clone()
    }

    fn memory_bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(_, _, payload)| payload.len() + 128)
            .sum()
    }
}
