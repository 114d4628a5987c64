//! What happens to refused records: the policy of their stage, and the limits of the run.

use std::collections::BTreeMap;

use dkhost_core::{Batch, Counts, Error, Reject, Result};

use super::account::Fate;
use crate::job::OnError;

/// After so many records without a single good one the job is wrong, not the data.
const ALL_BAD_RECORDS: u64 = 100;

/// A ratio means nothing before so many records were read.
const RATIO_FROM_RECORDS: u64 = 100;

/// The policies of a plan.
#[derive(Debug, Clone)]
pub struct Policies {
    run: OnError,
    by_stage: BTreeMap<String, OnError>,
}

/// Refused records of the whole run so far, over all partitions.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    read: u64,
    refused: u64,
    dead_lettered: u64,
    by_stage: BTreeMap<String, u64>,
}

impl Policies {
    /// The policy of the run and those of single stages.
    pub fn new(run: OnError, stages: impl Iterator<Item = (String, OnError)>) -> Self {
        Policies {
            run,
            by_stage: stages.collect(),
        }
    }

    /// The policy for records refused by `stage`; the run's for source and target.
    pub fn of(&self, stage: &str) -> OnError {
        self.by_stage.get(stage).copied().unwrap_or(self.run)
    }

    /// What becomes of a reject that did not stop the run.
    pub fn fate(&self, reject: &Reject) -> Fate {
        match self.of(&reject.stage) {
            OnError::Skip => Fate::Skipped,
            _ => Fate::DeadLettered,
        }
    }

    /// *Errors* – `run::refused_record` if a reject's policy is to stop.
    pub fn stop_if_told(&self, batch: &Batch) -> Result<()> {
        match batch
            .rejects
            .iter()
            .find(|reject| self.of(&reject.stage) == OnError::Stop)
        {
            Some(reject) => Err(stopped_by(batch, reject)),
            None => Ok(()),
        }
    }

    /// Whether a batch may be added to the tally of the run.
    ///
    /// *Errors* – `run::too_many_refused` when a limit is passed; the batch is then not committed.
    pub fn admit(&self, before: &Tally, counts: &Counts, batch: &Batch) -> Result<()> {
        let all_refused = before.refused == before.read && begins_badly(before.read, batch);
        let mut tally = before.clone();
        tally.add_batch(counts, batch);
        let Some(reject) = batch.rejects.first() else {
            return Ok(());
        };
        if all_refused {
            return Err(Error::data(
                "run::all_refused",
                format!("all of the first {ALL_BAD_RECORDS} records were refused"),
            )
            .help(format!(
                "the job is probably wrong, not the data. The first one: {}: {}",
                reject.code, reject.message
            )));
        }
        self.within(self.run, tally.dead_lettered, tally.read, "the run")?;
        for (stage, policy) in &self.by_stage {
            if *policy != self.run {
                let refused = tally.by_stage.get(stage).copied().unwrap_or(0);
                self.within(*policy, refused, tally.read, &format!("stage `{stage}`"))?;
            }
        }
        Ok(())
    }

    fn within(&self, policy: OnError, refused: u64, read: u64, whose: &str) -> Result<()> {
        let OnError::DeadLetter { max, max_ratio } = policy else {
            return Ok(());
        };
        let limit = match (max, max_ratio) {
            (Some(max), _) if refused > max => format!("max = {max}"),
            (_, Some(ratio))
                if read >= RATIO_FROM_RECORDS && refused as f64 > ratio * read as f64 =>
            {
                format!("max_ratio = {ratio}")
            }
            _ => return Ok(()),
        };
        Err(Error::data("run::too_many_refused", format!("{refused} of {read} records were refused, more than {whose} allows ({limit})"))
            .help("`dkhost errors list` shows why; raise the limit, or mend the job and run again with --accept-plan-change"))
    }
}

impl Tally {
    /// Adds a batch that was committed.
    pub fn add_batch(&mut self, counts: &Counts, batch: &Batch) {
        let mut by_stage: BTreeMap<String, u64> = BTreeMap::new();
        for reject in &batch.rejects {
            *by_stage.entry(reject.stage.clone()).or_default() += 1;
        }
        self.add(counts, by_stage.into_iter());
    }

    /// Goes on from what earlier processes counted.
    pub fn add(&mut self, counts: &Counts, stages: impl Iterator<Item = (String, u64)>) {
        self.read += counts.read;
        self.refused += counts.dead_lettered + counts.skipped;
        self.dead_lettered += counts.dead_lettered;
        for (stage, refused) in stages {
            *self.by_stage.entry(stage).or_default() += refused;
        }
    }
}

/// Whether this batch completes the first records of the run, all of them refused.
fn begins_badly(read_before: u64, batch: &Batch) -> bool {
    let missing = ALL_BAD_RECORDS.saturating_sub(read_before);
    let refused = batch
        .rejects
        .iter()
        .filter(|reject| u64::from(reject.source_row) < missing);
    missing > 0 && batch.source.len() as u64 >= missing && refused.count() as u64 == missing
}

fn stopped_by(batch: &Batch, reject: &Reject) -> Error {
    let place = batch.source.locator(reject.source_row as usize);
    let column = reject
        .column
        .as_ref()
        .map(|column| format!(", column `{}`", column.escape_debug()))
        .unwrap_or_default();
    Error::data("run::refused_record", format!("{} refused a record ({place}{column}): {}", reject.stage, reject.message)).help(
        "batches before this one are safe. Keep such records aside with run.on_error = \"dead-letter\" (or \"skip\" them) and run again: it goes on where it stopped",
    )
}
