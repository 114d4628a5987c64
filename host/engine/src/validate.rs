//! Phase one alone: every record is read and taken through every step, nothing is written.

use std::sync::atomic::{AtomicBool, Ordering};

use dkhost_core::{Batch, Counts, Error, Locator, Reject, Result};
use serde::Serialize;

use crate::job::OnError;
use crate::plan::Plan;
use crate::run::{Retrying, Stages, StopFlag};

/// Refused records shown one by one.
const SHOWN_MAX: usize = 100;

/// What is wrong with the records of a job.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// Records read.
    pub read: u64,
    /// Records that would reach the target.
    pub valid: u64,
    /// Records a step drops on purpose.
    pub filtered: u64,
    /// Records that would be refused.
    pub refused: u64,
    /// Values that would be dropped under `schema_drift = "discard_value"`.
    pub values_discarded: u64,
    /// Refused records by stage and code, most first.
    pub by_reason: Vec<(String, String, u64)>,
    /// The first refused records.
    pub shown: Vec<Finding>,
}

/// One refused record.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Where it lies.
    pub locator: Locator,
    /// Who refused it.
    pub stage: String,
    /// Which column is to blame.
    pub column: Option<String>,
    /// Stable reason.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Checks every record of a plan made for looking.
pub fn validate(plan: &mut Plan, stop: &StopFlag) -> Result<Findings> {
    // Every refused record is wanted, whatever the job would do about the first.
    for stage in &mut plan.stages {
        stage.on_error = OnError::DeadLetter {
            max: None,
            max_ratio: None,
        };
    }
    let halted = AtomicBool::new(false);
    let retrying = Retrying {
        retry: plan.job.run.retry,
        stop,
        halted: &halted,
    };
    let mut findings = Findings::default();
    for partition in &plan.partitions {
        let mut reader = plan
            .source
            .read(partition, &dkhost_core::Position::start())?;
        let mut stages = Stages::open(plan, partition.index)?;
        while let Some(batch) = reader.next()? {
            if stop.load(Ordering::SeqCst) != 0 {
                return Err(Error::new(
                    dkhost_core::Class::Stopped,
                    "run::stopped",
                    "stopped by a signal",
                ));
            }
            let staged = stages.apply(batch, &retrying)?;
            findings.add(&staged.batch, staged.values_discarded);
        }
    }
    findings
        .by_reason
        .sort_by_key(|reason| std::cmp::Reverse(reason.2));
    Ok(findings)
}

impl Findings {
    fn add(&mut self, batch: &Batch, values_discarded: u64) {
        let mut reached: Vec<u32> = (0..batch.records.num_rows())
            .map(|row| batch.source_row(row))
            .collect();
        reached.dedup();
        let read = batch.source.len() as u64;
        self.read += read;
        self.valid += reached.len() as u64;
        self.refused += batch.rejects.len() as u64;
        self.filtered += read - reached.len() as u64 - batch.rejects.len() as u64;
        self.values_discarded += values_discarded;
        for reject in &batch.rejects {
            self.count(reject);
            if self.shown.len() < SHOWN_MAX {
                self.shown.push(finding(batch, reject));
            }
        }
    }

    fn count(&mut self, reject: &Reject) {
        match self
            .by_reason
            .iter_mut()
            .find(|(stage, code, _)| *stage == reject.stage && *code == reject.code)
        {
            Some((_, _, count)) => *count += 1,
            None => self
                .by_reason
                .push((reject.stage.clone(), reject.code.clone(), 1)),
        }
    }

    /// As the counts of a run that wrote all valid records.
    pub fn counts(&self) -> Counts {
        Counts {
            read: self.read,
            written: self.valid,
            filtered: self.filtered,
            dead_lettered: self.refused,
            ..Counts::default()
        }
    }
}

fn finding(batch: &Batch, reject: &Reject) -> Finding {
    Finding {
        locator: batch.source.locator(reject.source_row as usize),
        stage: reject.stage.clone(),
        column: reject.column.clone(),
        code: reject.code.clone(),
        message: reject.message.clone(),
    }
}
