//! "Everything up to here is in the target", and what was counted on the way.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::ContentSum;

/// A place in a partition, in the backend's own words. Only the backend that made it reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub serde_json::Value);

impl Position {
    /// The start of a partition.
    pub fn start() -> Self {
        Position(serde_json::Value::Null)
    }

    /// Whether this is the start of a partition.
    pub fn is_start(&self) -> bool {
        self.0.is_null()
    }
}

/// Counts of source records. They add up:
/// `read = written + unchanged + filtered + deduplicated + skipped + dead_lettered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records read from the source, malformed ones included.
    pub read: u64,
    /// Records with at least one row written.
    pub written: u64,
    /// Records that met a row in the target that stays.
    pub unchanged: u64,
    /// Records a step dropped on purpose.
    pub filtered: u64,
    /// Records folded into a later one with the same key.
    pub deduplicated: u64,
    /// Records refused under `on_error = "skip"`.
    pub skipped: u64,
    /// Records refused and kept as dead letters.
    pub dead_lettered: u64,
    /// Rows written; differs from `written` when a step expands records.
    pub rows_written: u64,
    /// Values dropped under `schema_drift = "discard_value"`.
    pub values_discarded: u64,
    /// Bytes taken from the source.
    pub source_bytes: u64,
}

impl Counts {
    /// Whether every record read is accounted for exactly once (invariant 5).
    pub fn is_conserved(&self) -> bool {
        self.read
            == self.written
                + self.unchanged
                + self.filtered
                + self.deduplicated
                + self.skipped
                + self.dead_lettered
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.filtered += other.filtered;
        self.deduplicated += other.deduplicated;
        self.skipped += other.skipped;
        self.dead_lettered += other.dead_lettered;
        self.rows_written += other.rows_written;
        self.values_discarded += other.values_discarded;
        self.source_bytes += other.source_bytes;
    }
}

/// The format version of [`Checkpoint`]; a newer one is refused, never guessed at.
pub const CHECKPOINT_VERSION: u32 = 1;

/// What a target knows about one partition of a run. The target's copy is the authority; the
/// history's may lag, never lead (invariant 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// [`CHECKPOINT_VERSION`].
    pub version: u32,
    /// The job's name.
    pub job: String,
    /// The run (UUIDv7).
    pub run: String,
    /// Raised whenever a process takes the run over; an older one can no longer commit.
    pub epoch: u64,
    /// SHA-256 over the canonical job, plugin digests and source fingerprint, hexadecimal.
    pub plan_hash: String,
    /// Index of the partition.
    pub partition: u32,
    /// Batches committed in this partition.
    pub seq: u64,
    /// Where the next batch begins.
    pub position: Position,
    /// Counted so far in this partition.
    pub counts: Counts,
    /// Content of all rows written.
    pub sent: ContentSum,
    /// Content of the target's rows that were overwritten.
    pub replaced: ContentSum,
    /// How many target rows were overwritten.
    pub replaced_rows: u64,
    /// Whether the partition is finished. An empty source has a valid final state.
    pub done: bool,
    /// Rows through each stage so far, in plan order.
    #[serde(default)]
    pub stages: Vec<StageCounts>,
    /// Columns added to the target during the run (`schema_drift = "evolve"`): name and type.
    #[serde(default)]
    pub evolved: Vec<(String, String)>,
}

impl Checkpoint {
    /// The start of a partition: nothing read, nothing written.
    pub fn start(job: &str, run: &str, epoch: u64, plan_hash: &str, partition: u32) -> Self {
        Checkpoint {
            version: CHECKPOINT_VERSION,
            job: job.to_owned(),
            run: run.to_owned(),
            epoch,
            plan_hash: plan_hash.to_owned(),
            partition,
            seq: 0,
            position: Position::start(),
            counts: Counts::default(),
            sent: ContentSum::default(),
            replaced: ContentSum::default(),
            replaced_rows: 0,
            done: false,
            stages: Vec::new(),
            evolved: Vec::new(),
        }
    }
}

/// Rows through one stage of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageCounts {
    /// Rows given to it.
    pub rows_in: u64,
    /// Rows it gave on.
    pub rows_out: u64,
    /// Records it refused.
    pub rejected: u64,
    /// Thread CPU time spent in it, in microseconds.
    pub cpu_us: u64,
    /// Rows that were already what it makes of others ([`crate::Stage::kept`]).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AddAssign for StageCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.rejected += other.rejected;
        self.cpu_us += other.cpu_us;
        self.kept += other.kept;
    }
}
