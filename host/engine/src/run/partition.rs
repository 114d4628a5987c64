//! One partition from source to sink: three threads, batches in order, one commit after another.
//!
//! ```text
//! reader ──► stages ──► writer: write → account → dead letters → checkpoint → commit
//! ```
//!
//! Dead letters are in the history before the checkpoint moves past their records, and a batch
//! that stops the run is rolled back whole, so a crash at any point resumes to the same result.

use std::slice::from_ref;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use dkhost_core::{
    Batch, Checkpoint, Class, ContentSum, Durable, Error, Partition, Position, Result, Role,
    StageCounts, StageKind, WriteReport, Writer, fail,
};

use super::account::{self, Fate};
use super::budget::Permit;
use super::progress::PartitionProgress;
use super::report::also;
use super::stages::{Staged, Stages};
use super::worker::Shared;
use crate::dead_letters::{Place, letter};
use crate::job::{Drift, Verify};
use crate::verify;

/// Batches that wait between two threads of a partition.
const WAITING_BATCHES: usize = 2;

/// The history's copy of a checkpoint is brought up to date this often; it may lag.
const COPY_EVERY: Duration = Duration::from_millis(500);

struct Read<'a> {
    batch: Batch,
    permit: Permit<'a>,
}

struct Ready<'a> {
    staged: Staged,
    permit: Permit<'a>,
}

/// Takes a partition from its checkpoint to its end, or until the run stops.
pub(super) fn run(shared: &Shared<'_>, partition: &Partition, from: Checkpoint) {
    let progress = &shared.progress.partitions[partition.index as usize];
    let (to_stages, from_reader) = sync_channel::<Result<Read<'_>>>(WAITING_BATCHES);
    let (to_writer, from_stages) = sync_channel::<Result<Ready<'_>>>(WAITING_BATCHES);
    let position = from.position.clone();
    let already_read = from.counts.read;
    // An error travels behind the batches before it, so that these are committed first.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            shared.guarded(|| {
                let end = read(shared, partition, position, already_read, &to_stages);
                end.or_else(|error| to_stages.send(Err(error)).or(Ok(())))
            })
        });
        scope.spawn(move || {
            shared.guarded(|| {
                let end = stage(shared, partition, from_reader, &to_writer);
                end.or_else(|error| to_writer.send(Err(error)).or(Ok(())))
            })
        });
        shared.guarded(|| {
            Writing::open(shared, partition, from, progress)?.run(from_stages, progress)
        });
    });
}

fn read<'a>(
    shared: &Shared<'a>,
    partition: &Partition,
    mut position: Position,
    already_read: u64,
    to_stages: &SyncSender<Result<Read<'a>>>,
) -> Result<()> {
    let progress = &shared.progress.partitions[partition.index as usize];
    let retrying = shared.retrying();
    let mut reader = retrying.run(|| shared.plan.source.read(partition, &position))?;
    let mut left =
        shared.plan.job.source.limit.map(|limit| {
            limit.saturating_sub(already_read + shared.read_elsewhere(partition.index))
        });
    // What the next batch will take is not known before it is there; the last one is a good guess.
    let mut guess = shared.plan.job.run.batch.bytes;
    while !shared.is_stopping() && left != Some(0) {
        let permit = shared.budget.take(guess);
        progress.enter("reading");
        let mut failed = false;
        let next = retrying.run(|| {
            if failed {
                // A reader that failed is opened again where it stood.
                progress.enter("retrying");
                reader = shared.plan.source.read(partition, &position)?;
            }
            let next = reader.next();
            failed = next.is_err();
            next
        })?;
        let Some(mut batch) = next else { return Ok(()) };
        position = batch.until.clone();
        guess = batch
            .memory_bytes()
            .clamp(1 << 16, 4 * shared.plan.job.run.batch.bytes);
        if let Some(left) = &mut left {
            batch = first_records(batch, *left)?;
            *left -= batch.source.len() as u64;
        }
        if to_stages.send(Ok(Read { batch, permit })).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The first `records` source records of a batch.
pub(crate) fn first_records(batch: Batch, records: u64) -> Result<Batch> {
    if batch.source.len() as u64 <= records {
        return Ok(batch);
    }
    let records = records as usize;
    let rows = (0..batch.records.num_rows())
        .take_while(|row| (batch.source_row(*row) as usize) < records)
        .count();
    Ok(Batch {
        records: batch.records.slice(0, rows),
        origin: Some((0..rows).map(|row| batch.source_row(row)).collect()),
        rejects: batch
            .rejects
            .into_iter()
            .filter(|reject| (reject.source_row as usize) < records)
            .collect(),
        source: std::sync::Arc::new(super::limited::Limited::new(batch.source, records)),
        until: batch.until,
        source_bytes: batch.source_bytes,
    })
}

fn stage<'a>(
    shared: &Shared<'a>,
    partition: &Partition,
    from_reader: Receiver<Result<Read<'a>>>,
    to_writer: &SyncSender<Result<Ready<'a>>>,
) -> Result<()> {
    let progress = &shared.progress.partitions[partition.index as usize];
    let retrying = shared.retrying();
    let mut stages = Stages::open(shared.plan, partition.index)?;
    for read in from_reader {
        let Read { batch, permit } = read?;
        if shared.has_failed() {
            break;
        }
        progress.enter("steps");
        shared.policies.stop_if_told(&batch)?;
        let staged = stages.apply(batch, &retrying)?;
        shared.policies.stop_if_told(&staged.batch)?;
        if to_writer.send(Ok(Ready { staged, permit })).is_err() {
            break;
        }
    }
    shared.keep_counters(stages.counters());
    Ok(())
}

/// The writing end of a partition.
struct Writing<'s, 'a> {
    shared: &'s Shared<'a>,
    writer: Box<dyn Writer>,
    checkpoint: Checkpoint,
    /// Durable in the target, not yet copied to the history. Never a checkpoint that is only
    /// committed: the history must not lead.
    durable: Option<Checkpoint>,
    copied_at: Instant,
}

impl<'s, 'a> Writing<'s, 'a> {
    fn open(
        shared: &'s Shared<'a>,
        partition: &Partition,
        from: Checkpoint,
        progress: &PartitionProgress,
    ) -> Result<Self> {
        let writer = shared
            .retrying()
            .run(|| shared.plan.sink.writer(partition))?;
        let held = writer.checkpoint().map_or(0, |checkpoint| checkpoint.seq);
        if held != from.seq {
            return Err(Error::state(
                "state::target_behind",
                format!(
                    "the target holds {held} batches of partition {} and the run goes on after {}",
                    partition.index, from.seq
                ),
            )
            .help("the target was changed behind our back; `--no-resume` starts a new run"));
        }
        progress.enter("waiting");
        Ok(Writing {
            shared,
            writer,
            checkpoint: from,
            durable: None,
            copied_at: Instant::now(),
        })
    }

    fn run(
        mut self,
        from_stages: Receiver<Result<Ready<'a>>>,
        progress: &PartitionProgress,
    ) -> Result<()> {
        let written = self.write_all(from_stages, progress);
        let flushed = match &written {
            Ok(()) if !self.shared.is_stopping() => self.finish(),
            Ok(()) => self.writer.flush(),
            // What was committed before the error stays committed; made durable if that still works.
            Err(_) => self.writer.roll_back().and_then(|()| self.writer.flush()),
        };
        if flushed.is_ok() && self.checkpoint.seq > 0 {
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
            return self.writer.flush();
        }
        let done = Checkpoint {
            done: true,
            seq: self.checkpoint.seq + 1,
            ..self.checkpoint.clone()
        };
        self.commit(&done)?;
        fail::point("run.partition.done")?;
        self.writer.flush()?;
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
    /// a target that has it already changes nothing, and would refuse the rows as its own.
    fn commit(&mut self, next: &Checkpoint) -> Result<Durable> {
        let (retrying, lock) = (self.shared.retrying(), self.shared.lock);
        retrying.run(|| lock.ensure_held().and_then(|()| self.writer.commit(next)))
    }

    /// Does `work`, again where its trouble may pass; a failure leaves nothing staged.
    fn attempt<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let retrying = self.shared.retrying();
        retrying.run(|| {
            work(self).map_err(|error| match self.writer.roll_back() {
                Ok(()) => error,
                // Not tried again: what is still staged would be written twice.
                Err(second) => also(error, "what was staged could not be undone", &second)
                    .with_class(Class::Infrastructure),
            })
        })
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
            let held = self.writer.read_back()?;
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
            let mut report = self.writer.write(batch)?;
            if report.rejects.is_empty() {
                return Ok(report);
            }
            let expanded = account::is_expanded(batch);
            if expanded {
                self.writer.roll_back()?;
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
            return self.shared.evolution.unfold(batch, self.writer.as_mut());
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
