//! Reading: a source is a frozen schema and some partitions, each read from a position.

use serde::{Deserialize, Serialize};

use crate::{Batch, DeadLetter, Field, Position, Result, Schema};

/// An independent slice of a source: a file, a key range, an index slice. Frozen when the run
/// starts and kept in the history, so that a resumed run reads the same slices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Index among the source's partitions, from 0.
    pub index: u32,
    /// For people: `movies.json`, `rowid 1 to 5000`.
    pub label: String,
    /// The slice, in the backend's own words.
    pub slice: serde_json::Value,
}

/// A source that is open: its schema is frozen and its partitions are known; nothing but the
/// sample was read.
pub trait Source: Send + Sync {
    /// The schema of every batch this source will yield.
    fn schema(&self) -> &Schema;

    /// The slices to read, in the order in which their records come in the source.
    fn partitions(&self) -> Result<Vec<Partition>>;

    /// What the source is, so that a resumed run can tell that it still reads the same thing:
    /// path, inode, size, time and hash for a file; path and schema version for a database.
    /// Compared for equality only. Only what `partitions` read counts: a file that joined a folder
    /// since is not part of the run.
    fn fingerprint(&self, partitions: &[Partition]) -> Result<serde_json::Value>;

    /// Lines for the plan: what was inferred and from how many records, what is converted how.
    fn notes(&self) -> Vec<String>;

    /// Which of [`crate::OpenSource::filter`] this source checks itself, by index.
    fn pushed(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The columns that `incremental` may go along where they are not those of the schema: what a
    /// store knows of its records and they do not hold. Empty where they are.
    fn cursors(&self) -> Vec<Field> {
        Vec::new()
    }

    /// With `incremental`: up to where this run reads, in the source's own words; the next run is
    /// given it once this one is done. `None` when there is nothing to read.
    fn cursor(&self) -> Option<String> {
        None
    }

    /// Records and bytes to read, as far as they are known; for progress only.
    fn estimate(&self) -> Estimate {
        Estimate::default()
    }

    /// Reads a partition from a position on. Batches are bounded by source positions, never by
    /// time, so that a batch read again holds the same records.
    ///
    /// *Errors* – `source::changed` if the source is no longer what the position was made for.
    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>>;

    /// Decodes dead letters' payloads again (`dkhost errors retry`), in order: record *i* of the
    /// batch is payload *i*, and what still cannot be decoded is a reject again.
    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch>;

    /// Nothing will be read any more: gives back what others would wait for, such as locks and
    /// snapshots. Called once every partition was read, before the result is published, which may
    /// replace the very table that was read; calling it again changes nothing.
    fn release(&self) {}
}

/// How much there is to read, if that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Source records.
    pub records: Option<u64>,
    /// Bytes in the source, before decompression.
    pub bytes: Option<u64>,
}

/// Yields the batches of one partition in order.
pub trait BatchReader: Send {
    /// The next batch, or `None` after the last. A malformed record is a reject in its batch, not
    /// an error; an error means that reading cannot go on.
    ///
    /// *Shape* – at least one source record; bounded by [`crate::BatchSize`], bytes first.
    fn next(&mut self) -> Result<Option<Batch>>;
}
