//! Hashes in files: sorted runs, each with a filter and every so many of its hashes in memory.
//!
//! As soon as there are eight runs of one size they become one of the next, so that each hash is
//! written a few times and a handful of files is asked for one. All files are unnamed: nothing is
//! left behind, however the process ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;

use dkhost_core::{Class, Error, Result};

use super::filter::Filter;

/// Runs of one size.
const RUNS: usize = 8;
/// Bytes of a hash in a file, big-endian.
const HASH: usize = 16;
/// Hashes between two that are kept in memory, at the least: a page of 4 KiB.
const STRIDE: usize = 256;

/// The runs.
pub(super) struct Spilled {
    runs: Vec<Run>,
    /// Bytes for filters.
    filters_max: usize,
    /// Hashes of one run in memory.
    fences_max: usize,
    /// Bytes read at once when runs are merged.
    buffer: usize,
    page: Vec<u8>,
}

/// A sorted file.
struct Run {
    file: File,
    length: usize,
    level: u32,
    filter: Filter,
    /// The upper half of every `stride`th hash.
    fences: Vec<u64>,
    stride: usize,
}

impl Spilled {
    /// No runs yet; `memory_max` bytes for what is kept of them in memory.
    pub(super) fn new(memory_max: usize) -> Self {
        Spilled {
            runs: Vec::new(),
            filters_max: memory_max / 2,
            fences_max: (memory_max / 32 / 8).max(64),
            buffer: (memory_max / 128).clamp(HASH * 64, 64 << 10) / HASH * HASH,
            page: Vec::new(),
        }
    }

    /// Writes a run of sorted hashes.
    pub(super) fn push(&mut self, hashes: &[u128]) -> Result<()> {
        self.write(hashes.len(), 0, hashes.iter().map(|hash| Ok(*hash)))?;
        let mut level = 0;
        while self.runs.iter().filter(|run| run.level == level).count() >= RUNS {
            self.merge(level)?;
            level += 1;
        }
        let bytes = |runs: &[Run]| {
            runs.iter()
                .map(|run| run.filter.memory_bytes())
                .sum::<usize>()
        };
        while bytes(&self.runs) > self.filters_max {
            let largest = self
                .runs
                .iter_mut()
                .max_by_key(|run| run.filter.memory_bytes());
            match largest {
                Some(run) if run.filter.memory_bytes() > 8 => run.filter.fold(),
                _ => break,
            }
        }
        Ok(())
    }

    /// Whether a hash is in a run.
    pub(super) fn contains(&mut self, hash: u128) -> Result<bool> {
        for run in &self.runs {
            if run.filter.may_hold(hash) && run.contains(hash, &mut self.page)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes one run of those of a level.
    fn merge(&mut self, level: u32) -> Result<()> {
        let (old, kept) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition(|run| run.level == level);
        let mut old: Vec<Run> = old;
        self.runs = kept;
        // Nobody asks them any more.
        old.iter_mut()
            .for_each(|run| run.filter = Filter::for_hashes(0, 0));
        let length = old.iter().map(|run| run.length).sum();
        let mut readers: Vec<Reader<'_>> =
            old.iter().map(|run| Reader::of(run, self.buffer)).collect();
        let mut heads = BinaryHeap::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            heads.extend(reader.next()?.map(|hash| Reverse((hash, index))));
        }
        let merged = std::iter::from_fn(|| {
            let Reverse((hash, index)) = heads.pop()?;
            match readers[index].next() {
                Ok(next) => heads.extend(next.map(|next| Reverse((next, index)))),
                Err(error) => return Some(Err(error)),
            }
            Some(Ok(hash))
        });
        self.write(length, level + 1, merged)
    }

    fn write(
        &mut self,
        length: usize,
        level: u32,
        hashes: impl Iterator<Item = Result<u128>>,
    ) -> Result<()> {
        let stride = STRIDE.max(length.div_ceil(self.fences_max));
        let (mut filter, mut fences) = (Filter::for_hashes(length, self.filters_max), Vec::new());
        fences.reserve_exact(length.div_ceil(stride));
        let file = tempfile::tempfile().map_err(|cause| no_file("create a file in", cause))?;
        let mut out = BufWriter::with_capacity(self.buffer, &file);
        for (index, hash) in hashes.enumerate() {
            let hash = hash?;
            filter.add(hash);
            if index % stride == 0 {
                fences.push((hash >> 64) as u64);
            }
            out.write_all(&hash.to_be_bytes())
                .map_err(|cause| no_file("write to a file in", cause))?;
        }
        out.flush()
            .map_err(|cause| no_file("write to a file in", cause))?;
        drop(out);
        self.runs.push(Run {
            file,
            length,
            level,
            filter,
            fences,
            stride,
        });
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        let of = |run: &Run| run.filter.memory_bytes() + run.fences.capacity() * 8;
        self.page.capacity() + self.runs.iter().map(of).sum::<usize>()
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }
}

impl Run {
    fn contains(&self, hash: u128, page: &mut Vec<u8>) -> Result<bool> {
        let upper = (hash >> 64) as u64;
        // Hashes with the same upper half may stand on both sides of a fence.
        let first = self
            .fences
            .partition_point(|fence| *fence < upper)
            .saturating_sub(1);
        let end = self.fences.partition_point(|fence| *fence <= upper);
        for block in first..end {
            let start = block * self.stride;
            let count = self.stride.min(self.length - start);
            page.resize(count * HASH, 0);
            self.read(page, start)?;
            let (hashes, _) = page.as_chunks::<HASH>();
            if hashes.binary_search(&hash.to_be_bytes()).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fills `bytes` with the hashes from `start` on.
    fn read(&self, bytes: &mut [u8], start: usize) -> Result<()> {
        self.file
            .read_exact_at(bytes, (start * HASH) as u64)
            .map_err(|cause| no_file("read a file in", cause))
    }
}

/// Reads a run in order.
struct Reader<'a> {
    run: &'a Run,
    /// The next hash to read into the buffer.
    next: usize,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn of(run: &'a Run, buffer: usize) -> Self {
        Reader {
            run,
            next: 0,
            at: 0,
            buffer: Vec::with_capacity(buffer),
        }
    }

    fn next(&mut self) -> Result<Option<u128>> {
        if self.at == self.buffer.len() {
            let count = (self.buffer.capacity() / HASH).min(self.run.length - self.next);
            self.buffer.resize(count * HASH, 0);
            self.run.read(&mut self.buffer, self.next)?;
            self.next += count;
            self.at = 0;
        }
        let bytes = self.buffer[self.at..].first_chunk::<HASH>();
        self.at += HASH.min(self.buffer.len() - self.at);
        Ok(bytes.map(|bytes| u128::from_be_bytes(*bytes)))
    }
}

/// Whatever the reason, trying again would find the set half changed.
fn no_file(doing: &str, cause: std::io::Error) -> Error {
    Error::io(doing, tempfile::env::temp_dir(), cause).with_class(Class::Infrastructure)
}
