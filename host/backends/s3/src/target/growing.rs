//! Writes one partition: parts that grow, and count once they are there and the state says so.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Durable, Error, Outcome, Outcomes, Result, RowReject, WriteReport, Writer,
    fail,
};
use dkhost_file::parts::Part;

use super::names::{Names, Piece};
use super::{Target, lock};
use crate::upload::Upload;

/// A part is ended from this size on: large enough for readers to like, small enough to be written
/// again after a crash.
const PART_BYTES: u64 = 64 << 20;

/// Commits after which a part is ended even if it holds next to nothing.
const PART_COMMITS: u32 = 1000;

/// One partition of a target, shared by its writer and whoever reads the target meanwhile.
pub(crate) struct Growing {
    target: Arc<Target>,
    partition: u32,
    epoch: u64,
    /// As the target holds it.
    durable: Option<Checkpoint>,
    /// Committed, and not durable yet.
    pending: Option<Checkpoint>,
    commits: u32,
    part: Option<Part>,
    upload: Option<Upload>,
    /// The part is encoded to its end, and has so many rows.
    sealed: Option<u64>,
    /// The part is there, and does not count yet.
    there: Option<Piece>,
}

impl Growing {
    /// Goes on after the partition's checkpoint.
    pub(crate) fn open(target: Arc<Target>, partition: u32) -> Result<Self> {
        let (epoch, durable) = {
            let held = target.held();
            let held = held.as_ref().ok_or_else(not_claimed)?;
            (
                held.state.epoch,
                held.state.checkpoints.get(&partition).cloned(),
            )
        };
        Ok(Growing {
            target,
            partition,
            epoch,
            durable,
            pending: None,
            commits: 0,
            part: None,
            upload: None,
            sealed: None,
            there: None,
        })
    }

    fn part(&mut self) -> Result<&mut Part> {
        let part = match self.part.take() {
            Some(part) => part,
            None => self.target.parts.begin()?,
        };
        Ok(self.part.insert(part))
    }

    fn stage(&mut self, records: &RecordBatch) -> Result<Vec<RowReject>> {
        if self.sealed.is_some() {
            // An ended part that could not be made to count takes nothing more.
            self.make_durable()?;
        }
        self.part()?.stage(records)
    }

    fn discard(&mut self) {
        if let Some(part) = &mut self.part {
            part.discard();
        }
    }

    /// Keeps what is staged, and the checkpoint that goes with it.
    fn accept(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let seq = checkpoint.seq.saturating_sub(1);
        let part = self.part()?;
        part.accept()?;
        let full = match part.is_full() {
            true => part.take()?,
            false => Vec::new(),
        };
        self.upload(seq).push(full);
        self.pending = Some(checkpoint.clone());
        self.commits += 1;
        Ok(())
    }

    /// The part that is sent; `seq` batches lie before one that begins.
    fn upload(&mut self, seq: u64) -> &mut Upload {
        let (target, partition) = (&self.target, self.partition);
        self.upload.get_or_insert_with(|| {
            let name = Names::part(&target.run(), partition, seq, &target.parts.extension());
            let key = format!("{}{name}", target.names.prefix);
            Upload::begin(&target.client, key, target.content_type(), target.absent())
        })
    }

    fn is_full(&self) -> bool {
        self.commits >= PART_COMMITS
            || self
                .upload
                .as_ref()
                .is_some_and(|upload| upload.length() >= PART_BYTES)
    }

    /// Ends the part and makes it count. Each step that succeeded is not repeated.
    pub(crate) fn make_durable(&mut self) -> Result<()> {
        let Some(pending) = self.pending.clone() else {
            return Ok(());
        };
        self.seal()?;
        self.send_all()?;
        fail::point("s3.commit.sent")?;
        self.target
            .commit(self.epoch, &pending, self.there.as_ref())?;
        fail::point("s3.commit.counted")?;
        self.durable = Some(pending);
        (self.pending, self.there, self.sealed) = (None, None, None);
        (self.upload, self.commits) = (None, 0);
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        if self.sealed.is_some() {
            return Ok(());
        }
        let Some(mut part) = self.part.take() else {
            self.sealed = Some(0);
            return Ok(());
        };
        part.discard();
        let (bytes, rows) = part.seal()?;
        if let Some(upload) = self.upload.as_mut().filter(|_| rows > 0) {
            upload.push(bytes);
        }
        self.sealed = Some(rows);
        Ok(())
    }

    fn send_all(&mut self) -> Result<()> {
        let rows = self.sealed.unwrap_or(0);
        let Some(upload) = self.upload.as_mut().filter(|_| rows > 0) else {
            return Ok(());
        };
        if self.there.is_some() {
            return Ok(());
        }
        let sent = upload.finish()?;
        let name = upload.key().strip_prefix(&self.target.names.prefix);
        self.there = Some(Piece {
            name: name.unwrap_or_default().to_owned(),
            rows,
            bytes: sent.bytes,
            etag: sent.etag,
        });
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if let Some(upload) = &mut self.upload {
            upload.abort();
        }
    }
}

/// Writes one partition.
pub(crate) struct PartWriter {
    growing: Arc<std::sync::Mutex<Growing>>,
    checkpoint: Option<Checkpoint>,
    /// Epoch and seq of the last commit.
    last: Option<(u64, u64)>,
}

impl PartWriter {
    /// Goes on with a partition.
    pub(crate) fn new(growing: Arc<std::sync::Mutex<Growing>>) -> Self {
        let checkpoint = lock(&growing).durable.clone();
        PartWriter {
            growing,
            checkpoint,
            last: None,
        }
    }
}

impl Writer for PartWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        let rejects = lock(&self.growing).stage(&batch.records)?;
        Ok(WriteReport {
            outcomes: outcomes(&rejects, batch.records.num_rows()),
            rejects,
            ..WriteReport::all_written()
        })
    }

    fn read_back(&mut self) -> Result<RecordBatch> {
        let mut growing = lock(&self.growing);
        growing.part()?.read_back()
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        let mut growing = lock(&self.growing);
        growing.target.ensure_current(growing.epoch)?;
        let this = Some((checkpoint.epoch, checkpoint.seq));
        let is_durable = |durable: &Checkpoint| Some((durable.epoch, durable.seq)) == this;
        if this == self.last || growing.durable.as_ref().is_some_and(is_durable) {
            growing.discard();
        } else {
            growing.accept(checkpoint)?;
            self.last = this;
        }
        if let Some(upload) = &mut growing.upload {
            upload.send()?;
        }
        if growing.is_full() {
            growing.make_durable()?;
        }
        self.checkpoint = growing.durable.clone();
        Ok(match growing.pending {
            None => Durable::Now,
            Some(_) => Durable::Later,
        })
    }

    fn roll_back(&mut self) -> Result<()> {
        lock(&self.growing).discard();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut growing = lock(&self.growing);
        growing.make_durable()?;
        self.checkpoint = growing.durable.clone();
        Ok(())
    }
}

/// What became of rows of which these were refused.
pub(crate) fn outcomes(rejects: &[RowReject], rows: usize) -> Outcomes {
    if rejects.is_empty() {
        return Outcomes::AllWritten;
    }
    let mut outcomes = vec![Outcome::Written; rows];
    for reject in rejects {
        outcomes[reject.row as usize] = Outcome::Rejected;
    }
    Outcomes::Each(outcomes)
}

/// Nobody asks for parts before the target is claimed.
pub(crate) fn not_claimed() -> Error {
    Error::bug("the target is written to before it is claimed")
}
