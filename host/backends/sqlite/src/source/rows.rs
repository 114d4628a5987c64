//! The source records of a batch: where each lies and what it was, for those that are refused.

use std::sync::Arc;

use dkhost_core::{Locator, Payload, SourceRows};
use serde_json::Value as Json;

/// Where the records of a batch lie.
#[derive(Debug)]
pub(crate) enum Places {
    /// One rowid for each.
    Rowids(Vec<i64>),
    /// The parts of one key for each, as JSON text, record after record.
    Keys { width: usize, parts: Vec<String> },
    /// Counted from this one.
    Ordinals { first: u64, count: usize },
    /// As dead letters remember them.
    Known(Vec<Locator>),
}

impl Places {
    pub(crate) fn len(&self) -> usize {
        match self {
            Places::Rowids(rowids) => rowids.len(),
            Places::Keys { width, parts } => parts.len() / width,
            Places::Ordinals { count, .. } => *count,
            Places::Known(locators) => locators.len(),
        }
    }

    /// The key of a record as JSON.
    pub(crate) fn key(&self, row: usize) -> Option<Json> {
        let Places::Keys { width, parts } = self else {
            return None;
        };
        let parts = parts.get(row * width..(row + 1) * width)?;
        Some(
            parts
                .iter()
                .map(|part| serde_json::from_str(part).unwrap_or(Json::Null))
                .collect(),
        )
    }

    fn locator(&self, relation: &str, row: usize) -> Locator {
        let table = ("table", Json::from(relation));
        match self {
            Places::Rowids(rowids) => Locator::of([table, ("rowid", rowids[row].into())]),
            Places::Keys { .. } => Locator::of([table, ("key", self.key(row).unwrap_or_default())]),
            Places::Ordinals { first, .. } => {
                Locator::of([table, ("row", (first + row as u64).into())])
            }
            Places::Known(locators) => locators[row].clone(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Places::Rowids(rowids) => rowids.len() * 8,
            Places::Keys { parts, .. } => parts.iter().map(|part| part.len() + 24).sum(),
            Places::Ordinals { .. } => 0,
            Places::Known(locators) => locators.len() * 128,
        }
    }
}

/// The records themselves, as a decoder kept them.
pub(crate) trait Payloads: Send + Sync + std::fmt::Debug {
    /// Record `row` as JSON.
    fn payload(&self, row: usize) -> Vec<u8>;

    /// Its id, in stores that have one.
    fn id(&self, _row: usize) -> Option<String> {
        None
    }

    /// Memory held, in bytes.
    fn memory_bytes(&self) -> usize;
}

/// The source records of one batch.
#[derive(Debug)]
pub(crate) struct Rows {
    pub relation: Arc<str>,
    pub places: Places,
    pub payloads: Box<dyn Payloads>,
}

impl SourceRows for Rows {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.places.locator(&self.relation, row)
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.payloads.payload(row),
            media: "json",
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.payloads.id(row)
    }

    fn memory_bytes(&self) -> usize {
        self.places.memory_bytes() + self.payloads.memory_bytes()
    }
}
