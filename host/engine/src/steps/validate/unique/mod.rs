//! `unique`: no two records of a run have the same value.
//!
//! Of each value a hash of 128 bits is kept, not the value: two different ones among ten billion
//! share it with a probability of 10^-19. What does not fit in memory lies sorted in unnamed files
//! ([`spilled`]), which are gone with the process; a run that is taken up again reads again what it
//! had read ([`dkhost_core::Step::remembers`]).
//!
//! The record that comes first has the value, and the others are refused. A record that is refused
//! by this step for something else has none; one that a later step or the target refuses does.

mod filter;
mod spilled;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use dkhost_core::content::row_hashes;
use dkhost_core::{Field, LogicalType, Result, Schema};

use self::spilled::Spilled;
use super::number::canonical;

/// Memory for the hashes of all fields of a step, in bytes; they are beside the run's budget.
const MEMORY_MAX_BYTES: usize = 64 << 20;

/// The values of a run so far, of every field whose values are unique. Shared by all partitions.
pub(super) struct Unique {
    /// Their indices, wherever the caller has them.
    pub(super) fields: Vec<usize>,
    seen: Mutex<Vec<Seen>>,
}

impl Unique {
    /// No values yet; `None` where no field is unique.
    pub(super) fn of(fields: Vec<usize>) -> Option<Self> {
        let each = MEMORY_MAX_BYTES.checked_div(fields.len())?;
        let seen = fields.iter().map(|_| Seen::new(each)).collect();
        Some(Unique {
            fields,
            seen: Mutex::new(seen),
        })
    }

    /// Marks the rows whose value an earlier record has, for each of the columns, which are those of
    /// [`Unique::fields`] in that order. Values of rows that are neither marked nor `wrong` are kept.
    pub(super) fn repeated(
        &self,
        columns: &[(Option<&ArrayRef>, &LogicalType)],
        wrong: Option<&BooleanBuffer>,
        rows: usize,
    ) -> Result<Vec<Option<BooleanBuffer>>> {
        let mut hashes = Vec::with_capacity(columns.len());
        for (column, logical) in columns {
            hashes.push(
                column
                    .map(|column| Hashes::of(column, logical))
                    .transpose()?,
            );
        }
        let mut marks = vec![Vec::new(); columns.len()];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for row in 0..rows {
            let mut goes_on = wrong.is_none_or(|wrong| !wrong.value(row));
            let all = || hashes.iter().map(|hashes| hashes.as_ref()?.get(row));
            for ((hash, seen), marks) in all().zip(seen.iter_mut()).zip(&mut marks) {
                if let Some(hash) = hash
                    && seen.contains(hash)?
                {
                    marks.push(row);
                    goes_on = false;
                }
            }
            if goes_on {
                for (hash, seen) in all().zip(seen.iter_mut()) {
                    hash.map(|hash| seen.add(hash)).transpose()?;
                }
            }
        }
        let marked = |marks: Vec<usize>| super::work::marked(marks.into_iter(), rows);
        Ok(marks.into_iter().map(marked).collect())
    }
}

/// What the plan says of unique fields: they cost the run its parallel partitions.
pub(super) fn turns<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!("; unique {}: partitions take turns", names.join(", ")),
    }
}

/// The hashes of a column's values.
struct Hashes<'a> {
    column: &'a ArrayRef,
    hashes: Vec<u128>,
}

impl<'a> Hashes<'a> {
    fn of(column: &'a ArrayRef, logical: &LogicalType) -> Result<Self> {
        let schema = Schema::new(vec![Field::new("value", logical.clone())]);
        let values = canonical(column, logical);
        let records = RecordBatch::try_new(schema.to_arrow(), vec![values])?;
        let hashes = row_hashes(&records)?;
        Ok(Hashes { column, hashes })
    }

    fn get(&self, row: usize) -> Option<u128> {
        self.column.is_valid(row).then(|| self.hashes[row])
    }
}

/// A set of hashes in bounded memory.
pub(super) struct Seen {
    recent: HashSet<u128, BuildHasherDefault<AsItIs>>,
    recent_max: usize,
    spilled: Spilled,
}

impl Seen {
    /// An empty set that takes at most `memory_max` bytes, 64 KiB at the least.
    pub(super) fn new(memory_max: usize) -> Self {
        // A full table and the same sorted, on the way to a file: 17 and 14 bytes a bucket. The
        // other half is for what is in files.
        let buckets = (memory_max / 2 / 32).max(1_024);
        let buckets = match buckets.is_power_of_two() {
            true => buckets,
            false => buckets.next_power_of_two() / 2,
        };
        Seen {
            recent: HashSet::default(),
            recent_max: buckets / 8 * 7,
            spilled: Spilled::new(memory_max / 2),
        }
    }

    /// Adds a hash and says whether it was not there.
    ///
    /// *Errors* – `io::…` if what does not fit in memory cannot be written or read.
    #[cfg(test)]
    pub(super) fn insert(&mut self, hash: u128) -> Result<bool> {
        let is_new = !self.contains(hash)?;
        if is_new {
            self.add(hash)?;
        }
        Ok(is_new)
    }

    /// Whether a hash is there.
    ///
    /// *Errors* – `io::…` if a file cannot be read.
    pub(super) fn contains(&mut self, hash: u128) -> Result<bool> {
        Ok(self.recent.contains(&hash) || self.spilled.contains(hash)?)
    }

    /// Adds a hash that is not there.
    fn add(&mut self, hash: u128) -> Result<()> {
        if self.recent.len() >= self.recent_max {
            let mut hashes: Vec<u128> = self.recent.drain().collect();
            hashes.sort_unstable();
            self.spilled.push(&hashes)?;
        }
        self.recent.insert(hash);
        Ok(())
    }

    /// Memory held, in bytes.
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        // A bucket is a hash and a byte; seven of eight are filled at the most.
        self.recent.capacity() / 7 * 8 * 17 + self.spilled.memory_bytes()
    }
}

/// Hashes are hashed already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests;
