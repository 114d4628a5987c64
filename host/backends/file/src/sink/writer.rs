//! Writes one partition into its part.

use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Durable, Outcome, Outcomes, Result, RowReject, WriteReport, Writer,
};

use super::part::Part;
use super::target::{Target, lock};

/// Writes one partition.
pub struct PartWriter {
    target: Arc<Target>,
    part: Arc<Mutex<Part>>,
    partition: u32,
    /// The epoch under which this writer was opened; a later one has other writers.
    epoch: u64,
    checkpoint: Option<Checkpoint>,
    /// Epoch and seq of the last commit.
    last: Option<(u64, u64)>,
}

impl PartWriter {
    /// Goes on after the partition's checkpoint.
    pub fn open(target: Arc<Target>, partition: u32) -> Result<Self> {
        let epoch = target.epoch()?;
        let (part, checkpoint) = target.part(partition)?;
        lock(&part).encoder.discard();
        Ok(PartWriter {
            target,
            part,
            partition,
            epoch,
            checkpoint,
            last: None,
        })
    }

    fn make_durable(&mut self) -> Result<()> {
        lock(&self.part).make_durable(&self.target, self.epoch)?;
        let held = self.target.held();
        let state = held.as_ref().map(|held| &held.state);
        self.checkpoint = state.and_then(|state| state.checkpoints.get(&self.partition).cloned());
        Ok(())
    }
}

impl Writer for PartWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        let rejects = lock(&self.part).encoder.stage(&batch.records)?;
        Ok(WriteReport {
            outcomes: outcomes(&rejects, batch.records.num_rows()),
            rejects,
            ..WriteReport::all_written()
        })
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        lock(&self.part).encoder.read_back()
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        self.target.ensure_current(self.epoch)?;
        let this = Some((checkpoint.epoch, checkpoint.seq));
        let durable = self
            .checkpoint
            .as_ref()
            .map(|durable| (durable.epoch, durable.seq));
        if this == self.last || this == durable {
            self.roll_back()?;
            let pending = lock(&self.part).is_pending(self.partition);
            return Ok(if pending {
                Durable::Later
            } else {
                Durable::Now
            });
        }
        let is_full = {
            let mut part = lock(&self.part);
            part.accept(checkpoint)?;
            part.is_full()
        };
        self.last = this;
        if !is_full {
            return Ok(Durable::Later);
        }
        self.make_durable()?;
        Ok(Durable::Now)
    }

    fn roll_back(&mut self) -> Result<()> {
        lock(&self.part).encoder.discard();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.make_durable()
    }
}

fn outcomes(rejects: &[RowReject], rows: usize) -> Outcomes {
    if rejects.is_empty() {
        return Outcomes::AllWritten;
    }
    let mut outcomes = vec![Outcome::Written; rows];
    for reject in rejects {
        outcomes[reject.row as usize] = Outcome::Rejected;
    }
    Outcomes::Each(outcomes)
}
