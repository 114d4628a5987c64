//! What the threads of a run share, and the workers that take partition after partition.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dkhost_core::{Checkpoint, Error, Partition, Result};

use super::budget::Budget;
use super::evolve::Evolution;
use super::pace::Pace;
use super::partition;
use super::policy::{Policies, Tally};
use super::progress::{Progress, StopFlag};
use super::retrying::Retrying;
use crate::history::{History, JobLock};
use crate::plan::Plan;

/// What the threads of a run share.
pub(super) struct Shared<'a> {
    pub plan: &'a Plan,
    pub history: &'a History,
    /// Keeps other processes from the job.
    pub lock: &'a JobLock,
    pub run: String,
    pub policies: Policies,
    pub tally: Mutex<Tally>,
    pub budget: &'a Budget,
    pub evolution: Evolution,
    pub progress: Arc<Progress>,
    pub pace: Pace,
    pub stop: &'a StopFlag,
    pub halted: AtomicBool,
    pub failure: Mutex<Option<Error>>,
    /// Every stage's own counters, summed over partitions.
    pub counters: Mutex<Vec<BTreeMap<String, u64>>>,
}

impl<'a> Shared<'a> {
    /// Refused records of the whole run so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The retry policy of the run.
    pub fn retrying(&self) -> Retrying<'_> {
        Retrying {
            retry: self.plan.job.run.retry,
            stop: self.stop,
            halted: &self.halted,
        }
    }

    /// Whether some part of the run has failed: nothing more is committed.
    pub fn has_failed(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// Whether the run is to stop after the batches under way: a failure or a signal.
    pub fn is_stopping(&self) -> bool {
        self.has_failed() || self.stop.load(Ordering::SeqCst) != 0
    }

    /// Runs one thread's work; its error, or its panic, stops the whole run. The first one counts.
    pub fn guarded(&self, work: impl FnOnce() -> Result<()>) {
        let result = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        if let Err(error) = result {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            self.halted.store(true, Ordering::SeqCst);
        }
    }

    /// The digest of the plugin behind a stage.
    pub fn plugin_digest(&self, stage: &str) -> Option<String> {
        let planned = self
            .plan
            .stages
            .iter()
            .find(|planned| planned.name == stage)?;
        planned.step.note().digest
    }

    /// Adds one partition's stage counters.
    pub fn keep_counters(&self, stages: Vec<Vec<(String, u64)>>) {
        let mut sums = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let most = stages.len().max(sums.len());
        sums.resize_with(most, BTreeMap::new);
        for (sum, counters) in sums.iter_mut().zip(stages) {
            for (name, value) in counters {
                // A plugin may count as high as it likes.
                let sum = sum.entry(name).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }

    /// Records the other partitions have read, for `limit`.
    pub fn read_elsewhere(&self, partition: u32) -> u64 {
        let others = self
            .progress
            .partitions
            .iter()
            .enumerate()
            .filter(|(index, _)| *index as u32 != partition);
        others
            .map(|(_, progress)| progress.read.load(Ordering::SeqCst))
            .sum()
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::bug(format!(
        "a thread of the run panicked: {}",
        what.unwrap_or_default()
    ))
}

/// Takes every partition that is not done from its checkpoint on, `parallel` at a time where the
/// target lets several write at once. Partitions that follow each other keep the source's order.
///
/// Where a step remembers, they always follow each other, and what an earlier process read is taken
/// through the stages again.
pub(super) fn run(shared: &Shared<'_>, partitions: &[Partition], checkpoints: &[Checkpoint]) {
    let next = AtomicUsize::new(0);
    let remembers = shared
        .plan
        .stages
        .iter()
        .any(|stage| stage.step.remembers());
    let single =
        remembers || !shared.plan.sink.plan().concurrent || shared.plan.job.source.limit.is_some();
    let workers = if single {
        1
    } else {
        shared.plan.job.run.parallel.min(partitions.len())
    };
    let work = || {
        while !shared.is_stopping() {
            let index = next.fetch_add(1, Ordering::SeqCst);
            let (Some(partition), Some(checkpoint)) =
                (partitions.get(index), checkpoints.get(index))
            else {
                return;
            };
            let is_left = checkpoints[index..].iter().any(|one| !one.done);
            if remembers && is_left && checkpoint.counts.read > 0 {
                shared.guarded(|| partition::recall(shared, partition, checkpoint));
                if shared.is_stopping() {
                    return;
                }
            }
            if checkpoint.done {
                shared.progress.partitions[index].enter("done");
            } else {
                partition::run(shared, partition, checkpoint.clone());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
}
