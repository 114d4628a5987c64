//! Reads many small files as if they were one: records of several fill a batch together.
//!
//! A batch costs a checkpoint and a commit, whatever is in it. Each file is read by the reader it
//! would have alone; what comes is put together up to the bounds of a batch. A position is one in the
//! file it ends in, and where a batch ends depends on the position it began at and on the files
//! alone: a batch that is kept for the next time begins where that one ended.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::compute::concat_batches;
use dkhost_core::{Batch, BatchReader, Error, Locator, Payload, Result, SourceRows};

use super::Files;
use super::files::expect_after;
use super::partition::Slice;
use super::position::{FilePosition, Place, bad};
use crate::handle::first_bytes;

/// Yields the records of some files, in their order.
pub struct Several {
    files: Arc<Files>,
    /// The files that were not opened yet.
    next: usize,
    end: usize,
    reader: Option<Box<dyn BatchReader>>,
    /// Where reading begins in the next file, of the first one only.
    from: Option<Place>,
    /// Did not fit into the batch before.
    kept: Option<Batch>,
    /// Follows the batch before it.
    failed: Option<Error>,
}

impl Several {
    /// Files of a source from a position on, or all of them.
    ///
    /// *Errors* – `file::bad_position` for a position in another file, `source::changed`.
    pub fn open(
        files: &Arc<Files>,
        range: RangeInclusive<usize>,
        from: Option<FilePosition>,
    ) -> Result<Self> {
        let mut next = *range.start();
        if let Some(from) = &from {
            let index = files.by_label.get(&from.identity.file);
            next = *index
                .filter(|index| range.contains(index))
                .ok_or_else(bad)?;
            from.identity.verify(&files.files[next].identity)?;
        }
        Ok(Several {
            files: files.clone(),
            next,
            end: range.end() + 1,
            reader: None,
            from: from.map(|from| from.at),
            kept: None,
            failed: None,
        })
    }

    /// The next batch of a file.
    fn following(&mut self) -> Result<Option<Batch>> {
        if let Some(kept) = self.kept.take() {
            return Ok(Some(kept));
        }
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next()? {
                    return Ok(Some(batch));
                }
                self.reader = None;
            }
            if self.next >= self.end {
                return Ok(None);
            }
            expect_after(&self.files.files[..self.end], self.next, first_bytes);
            let slice = Slice::whole(self.files.files[self.next].label());
            let file = self.files.file_of(&slice)?;
            let reader = self.files.open_slice(&slice, &file, self.from.as_ref())?;
            (self.reader, self.from) = (Some(reader), None);
            self.next += 1;
        }
    }
}

impl BatchReader for Several {
    fn next(&mut self) -> Result<Option<Batch>> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let bounds = self.files.bounds;
        let mut taken: Vec<Batch> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        loop {
            match self.following() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    rows += batch.source.len();
                    bytes += batch.memory_bytes();
                    if !taken.is_empty() && !bounds.hold(rows, bytes) {
                        self.kept = Some(batch);
                        break;
                    }
                    taken.push(batch);
                }
                Err(error) if taken.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        joined(taken)
    }
}

/// One batch of all of these.
fn joined(mut batches: Vec<Batch>) -> Result<Option<Batch>> {
    if batches.len() < 2 {
        return Ok(batches.pop());
    }
    let schema = batches[0].records.schema();
    let records = concat_batches(&schema, batches.iter().map(|batch| &batch.records))?;
    let is_whole = batches.iter().all(|batch| batch.origin.is_none());
    let mut origin = Vec::new();
    let (mut parts, mut rejects) = (Vec::with_capacity(batches.len()), Vec::new());
    let (mut start, mut source_bytes) = (0, 0);
    let mut until = batches[0].until.clone();
    for batch in batches {
        if !is_whole {
            let rows = 0..batch.records.num_rows();
            origin.extend(rows.map(|row| start + batch.source_row(row)));
        }
        rejects.extend(batch.rejects.into_iter().map(|mut reject| {
            reject.source_row += start;
            reject
        }));
        start += batch.source.len() as u32;
        source_bytes += batch.source_bytes;
        until = batch.until;
        parts.push((start as usize, batch.source));
    }
    Ok(Some(Batch {
        records,
        origin: (!is_whole).then(|| origin.into()),
        source: Arc::new(Joined(parts)),
        rejects,
        until,
        source_bytes,
    }))
}

/// The records of several files: how many there are up to the end of each, and its own.
#[derive(Debug)]
struct Joined(Vec<(usize, Arc<dyn SourceRows>)>);

impl Joined {
    /// Whose record `row` is, and which one there.
    fn of(&self, row: usize) -> (&dyn SourceRows, usize) {
        let part = self.0.partition_point(|(end, _)| *end <= row);
        let before = part.checked_sub(1).map_or(0, |before| self.0[before].0);
        (self.0[part].1.as_ref(), row - before)
    }
}

impl SourceRows for Joined {
    fn len(&self) -> usize {
        self.0.last().map_or(0, |(end, _)| *end)
    }

    fn locator(&self, row: usize) -> Locator {
        let (rows, row) = self.of(row);
        rows.locator(row)
    }

    fn payload(&self, row: usize) -> Payload {
        let (rows, row) = self.of(row);
        rows.payload(row)
    }

    fn id(&self, row: usize) -> Option<String> {
        let (rows, row) = self.of(row);
        rows.id(row)
    }

    fn retried(&self, row: usize) -> Option<(i64, u32)> {
        let (rows, row) = self.of(row);
        rows.retried(row)
    }

    fn memory_bytes(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows.memory_bytes()).sum()
    }
}
