//! The writing end of a partition: one batch, one commit, and what is done where a connection is
//! lost between the two.
//!
//! ```text
//! write → account → dead letters → checkpoint → commit
//! ```

use std::slice::from_ref;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use dkhost_core::sink::STAGED_LOST;
use dkhost_core::{
    Batch, Checkpoint, Class, ContentSum, Durable, Error, Partition, Result, Role, StageCounts,
    StageKind, WriteReport, Writer, fail,
};

use super::account::{self, Fate};
use super::partition::Ready;
use super::progress::PartitionProgress;
use super::report::also;
use super::stages::Staged;
use super::worker::Shared;
use crate::dead_letters::{Place, letter};
use crate::job::{Drift, Verify};
use crate::verify;

/// The history's copy of a checkpoint is brought up to date this often; it may lag.
const COPY_EVERY: Duration = Duration::from_millis(500);

/// The writing end of a partition.
pub(super) struct Writing<'s, 'a> {
    shared: &'s Shared<'a>,
    partition: Partition,
    /// `None` where one was given up, until the next is needed.
    writer: Option<Box<dyn Writer>>,
    checkpoint: Checkpoint,
    /// Durable in the target, not yet copied to the history. Never a checkpoint that is only
    /// committed: the history must not lead.
    durable: Option<Checkpoint>,
    copied_at: Instant,
}

impl<'s, 'a> Writing<'s, 'a> {
    /// Opens the partition's writer, which must stand where `from` does.
    pub fn open(
        shared: &'s Shared<'a>,
        partition: &Partition,
        from: Checkpoint,
        progress: &PartitionProgress,
    ) -> Result<Self> {
        let mut writing = Writing {
            shared,
            partition: partition.clone(),
            writer: None,
            checkpoint: from,
            durable: None,
            copied_at: Instant::now(),
        };
        shared.retrying().run(|| writing.writer().map(drop))?;
        progress.enter("waiting");
        Ok(writing)
    }

    /// The writer; another one where the last was given up.
    fn writer(&mut self) -> Result<&mut dyn Writer> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.open_writer()?,
        };
        Ok(self.writer.insert(writer).as_mut())
    }

    fn open_writer(&self) -> Result<Box<dyn Writer>> {
        let writer = self.shared.plan.sink.writer(&self.partition)?;
        let held = writer.checkpoint().map_or(0, |checkpoint| checkpoint.seq);
        let seq = self.checkpoint.seq;
        if held == seq {
            return Ok(writer);
        }
        let index = self.partition.index;
        let message = format!(
            "the target holds {held} batches of partition {index} and the run goes on after {seq}"
        );
        Err(match held == seq + 1 {
            // A commit whose reply was lost with its connection did happen.
            true => Error::infrastructure("run::commit_in_doubt", message)
                .help("nothing is lost; run the same command again and it goes on from there"),
            false => Error::state("state::target_behind", message)
                .help("the target was changed behind our back; `--no-resume` starts a new run"),
        })
    }

    /// Writes every batch that comes, and marks the partition as done behind the last.
    pub fn run(
        mut self,
        from_stages: Receiver<Result<Ready<'a>>>,
        progress: &PartitionProgress,
    ) -> Result<()> {
        let written = self.write_all(from_stages, progress);
        let flushed = match &written {
            Ok(()) if !self.shared.is_stopping() => self.finish().map(|()| true),
            Ok(()) => self.flush().map(|()| true),
            Err(_) => Ok(self.settle()),
        };
        if matches!(flushed, Ok(true)) && self.checkpoint.seq > 0 {
            self.durable = Some(self.checkpoint.clone());
        }
        let copied = self.copy_checkpoint(true);
        progress.enter(if self.checkpoint.done {
            "done"
        } else {
            "waiting"
        });
        written.and(flushed).and(copied)
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.flush(),
            None => Ok(()),
        }
    }

    /// After an error: what was committed before it stays committed. Whether it is durable now.
    fn settle(&mut self) -> bool {
        let Some(writer) = &mut self.writer else {
            return false;
        };
        writer.roll_back().and_then(|()| writer.flush()).is_ok()
    }

    fn write_all(
        &mut self,
        from_stages: Receiver<Result<Ready<'a>>>,
        progress: &PartitionProgress,
    ) -> Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        for ready in from_stages {
            let Ready { staged, permit } = ready?;
            if self.shared.has_failed() {
                return Ok(());
            }
            progress.enter("writing");
            self.commit_batch(staged)?;
            drop(permit);
            let counts = &self.checkpoint.counts;
            progress.read.store(counts.read, Relaxed);
            progress.written.store(counts.rows_written, Relaxed);
            progress
                .refused
                .store(counts.dead_lettered + counts.skipped, Relaxed);
            progress.bytes.store(counts.source_bytes, Relaxed);
            self.copy_checkpoint(false)?;
            if self.shared.is_stopping() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Marks the partition as done, with a commit of its own.
    fn finish(&mut self) -> Result<()> {
        if self.shared.has_failed() {
            return self.flush();
        }
        let done = Checkpoint {
            done: true,
            seq: self.checkpoint.seq + 1,
            ..self.checkpoint.clone()
        };
        // Nothing is staged: what a lost connection could take along.
        self.attempt(|writing| writing.commit(&done))?;
        fail::point("run.partition.done")?;
        self.flush()?;
        fail::point("run.partition.flushed")?;
        self.checkpoint = done;
        Ok(())
    }

    /// Writes one batch and commits it with its checkpoint.
    fn commit_batch(&mut self, staged: Staged) -> Result<()> {
        let Staged {
            batch,
            counts: stages,
            values_discarded,
        } = staged;
        let mut batch = self.attempt(|writing| writing.for_target(batch.clone()))?;
        let (next, durable) =
            self.attempt(|writing| writing.write(&mut batch, &stages, values_discarded))?;
        if durable == Durable::Now {
            self.durable = Some(next.clone());
        }
        self.checkpoint = next;
        Ok(())
    }

    /// Commits what is staged. Where a reply is lost it is the commit that is repeated, not the batch:
    /// a target that has it already changes nothing, and would refuse the rows as its own. Only what
    /// was lost with its connection is for the caller to write again.
    fn commit(&mut self, next: &Checkpoint) -> Result<Durable> {
        let (retrying, lock) = (self.shared.retrying(), self.shared.lock);
        let writer = self.writer()?;
        retrying.run(|| {
            lock.ensure_held()?;
            match writer.commit(next) {
                Err(error) if error.code() == STAGED_LOST => Ok(Err(error)),
                committed => committed.map(Ok),
            }
        })?
    }

    /// Does `work`, again where its trouble may pass; a failure leaves nothing staged.
    fn attempt<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let retrying = self.shared.retrying();
        retrying.run(|| work(self).map_err(|error| self.undone(error)))
    }

    /// Drops what failed work has staged.
    fn undone(&mut self, error: Error) -> Error {
        match self
            .writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.roll_back())
        {
            Ok(()) => error,
            Err(second) if matches!(second.class(), Class::Transient | Class::Throttled) => {
                // It cannot say; another writer will find nothing staged.
                self.writer = None;
                error
            }
            // Not tried again: what is still staged would be written twice.
            Err(second) => also(error, "what was staged could not be undone", &second)
                .with_class(Class::Infrastructure),
        }
    }

    fn write(
        &mut self,
        batch: &mut Batch,
        stages: &[StageCounts],
        values_discarded: u64,
    ) -> Result<(Checkpoint, Durable)> {
        let shared = self.shared;
        let report = self.stage_whole_records(batch)?;
        let sent = verify::sent(batch, &report, &shared.plan.schema)?;
        if shared.plan.job.run.verify == Verify::Full {
            let held = self.writer()?.read_back()?;
            verify::compare(batch, &sent, &held, shared.plan.sink.plan())?;
        }
        let mut counts = account::count(batch, &report, |reject| shared.policies.fate(reject))?;
        counts.values_discarded = values_discarded;
        // Also when a limit is passed below and the batch is not committed: whoever is told that too
        // many were refused can look why.
        self.keep_letters(batch)?;
        shared.policies.admit(&shared.tally(), &counts, batch)?;
        let content = if shared.plan.job.run.verify > Verify::Count {
            ContentSum::of(&sent.records)?
        } else {
            ContentSum::default()
        };
        let next = self.next_checkpoint(batch, &report, counts, content, stages);
        fail::point("run.batch.written")?;
        let durable = self.commit(&next)?;
        fail::point("run.batch.committed")?;
        // Only now: a batch that is tried again must not count twice against the limits.
        shared.tally().add_batch(&counts, batch);
        shared.pace.add(counts.read);
        Ok((next, durable))
    }

    /// Stages a batch; when one row of an expanded record is refused, its siblings go with it.
    fn stage_whole_records(&mut self, batch: &mut Batch) -> Result<WriteReport> {
        loop {
            let mut report = self.writer()?.write(batch)?;
            if report.rejects.is_empty() {
                return Ok(report);
            }
            let expanded = account::is_expanded(batch);
            if expanded {
                self.writer()?.roll_back()?;
            }
            let rejects = std::mem::take(&mut report.rejects);
            *batch = batch.clone().refuse(rejects, StageKind::Write, "target")?;
            self.shared.policies.stop_if_told(batch)?;
            if !expanded {
                if let dkhost_core::Outcomes::Each(each) = &mut report.outcomes {
                    each.retain(|outcome| *outcome != dkhost_core::Outcome::Rejected);
                }
                return Ok(report);
            }
        }
    }

    fn next_checkpoint(
        &self,
        batch: &Batch,
        report: &WriteReport,
        counts: dkhost_core::Counts,
        content: ContentSum,
        stages: &[StageCounts],
    ) -> Checkpoint {
        let mut next = self.checkpoint.clone();
        next.seq += 1;
        next.position = batch.until.clone();
        next.counts += counts;
        next.sent += content;
        next.replaced += report.replaced;
        next.replaced_rows += report.replaced_rows;
        next.stages.resize(stages.len(), StageCounts::default());
        for (sum, stage) in next.stages.iter_mut().zip(stages) {
            *sum += *stage;
        }
        next.evolved = self.shared.evolution.columns();
        next
    }

    /// Without the rest, or with columns made of it, unless the target holds documents.
    fn for_target(&mut self, mut batch: Batch) -> Result<Batch> {
        let plan = self.shared.plan;
        if plan.documents {
            return Ok(batch);
        }
        if plan.job.run.drift == Drift::Evolve {
            return self.shared.evolution.unfold(batch, self.writer()?);
        }
        let schema = dkhost_core::Schema::from_arrow(&batch.records.schema())?;
        if let Some(rest) = schema.role(Role::Rest) {
            let kept: Vec<usize> = (0..schema.fields.len())
                .filter(|index| *index != rest)
                .collect();
            batch.records = batch.records.project(&kept)?;
        }
        Ok(batch)
    }

    fn keep_letters(&self, batch: &Batch) -> Result<()> {
        let shared = self.shared;
        let place = Place {
            job: &shared.plan.job.name,
            run: &shared.run,
            partition: self.checkpoint.partition,
            batch: self.checkpoint.seq,
        };
        let letters: Vec<_> = batch
            .rejects
            .iter()
            .filter(|reject| shared.policies.fate(reject) == Fate::DeadLettered)
            .map(|reject| letter(place, batch, reject, shared.plugin_digest(&reject.stage)))
            .collect();
        shared.history.keep_letters(self.checkpoint.epoch, &letters)
    }

    fn copy_checkpoint(&mut self, now: bool) -> Result<()> {
        if !now && self.copied_at.elapsed() < COPY_EVERY {
            return Ok(());
        }
        if let Some(durable) = &self.durable {
            let copy = || self.shared.history.copy_checkpoints(from_ref(durable));
            self.shared.retrying().run(copy)?;
            self.durable = None;
            self.copied_at = Instant::now();
        }
        Ok(())
    }
}
