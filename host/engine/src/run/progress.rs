//! How far a run has come, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

/// Counted by the run, read by the cli; never decides anything.
#[derive(Debug)]
pub struct Progress {
    /// The job's name.
    pub job: String,
    /// The run's id.
    pub run: String,
    /// Whether an interrupted run goes on.
    pub resumed: bool,
    /// Source records, if known.
    pub total_records: Option<u64>,
    /// Source bytes, if known.
    pub total_bytes: Option<u64>,
    /// One per partition.
    pub partitions: Vec<PartitionProgress>,
    /// When this process began.
    pub began: Instant,
}

/// One partition.
#[derive(Debug)]
pub struct PartitionProgress {
    /// For people.
    pub label: String,
    /// Records accounted for, those of earlier processes included.
    pub read: AtomicU64,
    /// Records accounted for by earlier processes.
    pub read_before: u64,
    /// Rows written.
    pub written: AtomicU64,
    /// Records refused.
    pub refused: AtomicU64,
    /// Source bytes.
    pub bytes: AtomicU64,
    /// What it is doing: an index into [`PHASES`].
    pub phase: AtomicU64,
}

/// What a partition may be doing.
pub const PHASES: [&str; 6] = ["waiting", "reading", "steps", "writing", "retrying", "done"];

impl PartitionProgress {
    /// What it is doing.
    pub fn phase(&self) -> &'static str {
        PHASES
            .get(self.phase.load(Ordering::Relaxed) as usize)
            .copied()
            .unwrap_or("")
    }

    pub(super) fn enter(&self, phase: &str) {
        if let Some(index) = PHASES.iter().position(|name| *name == phase) {
            self.phase.store(index as u64, Ordering::Relaxed);
        }
    }
}

impl Progress {
    /// Sums over the partitions: records, rows written, refused, bytes, records of earlier processes.
    pub fn totals(&self) -> (u64, u64, u64, u64, u64) {
        let sum = |of: &dyn Fn(&PartitionProgress) -> u64| self.partitions.iter().map(of).sum();
        (
            sum(&|p| p.read.load(Ordering::Relaxed)),
            sum(&|p| p.written.load(Ordering::Relaxed)),
            sum(&|p| p.refused.load(Ordering::Relaxed)),
            sum(&|p| p.bytes.load(Ordering::Relaxed)),
            sum(&|p| p.read_before),
        )
    }
}

/// Set by a signal handler: the number of the signal, 0 for none. The run then finishes its
/// batches and stops, resumable.
pub type StopFlag = Arc<AtomicI32>;
