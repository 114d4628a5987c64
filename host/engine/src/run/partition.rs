//! One partition from source to sink: three threads, batches in order, one commit after another.
//!
//! ```text
//! reader ──► stages ──► writer: write → account → dead letters → checkpoint → commit
//! ```
//!
//! Dead letters are in the history before the checkpoint moves past their records, and a batch
//! that stops the run is rolled back whole, so a crash at any point resumes to the same result.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dkhost_core::{Batch, BatchReader, Checkpoint, Error, Partition, Position, Result};

use super::budget::Permit;
use super::retrying::Retrying;
use super::stages::{Staged, Stages};
use super::worker::Shared;
use super::writing::Writing;

/// Batches that wait between two threads of a partition.
const WAITING_BATCHES: usize = 2;

struct Read<'a> {
    batch: Batch,
    permit: Permit<'a>,
}

/// A batch behind the last stage, and the memory it may take.
pub(super) struct Ready<'a> {
    pub staged: Staged,
    pub permit: Permit<'a>,
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

/// Takes the records up to a checkpoint through the stages again and drops what comes out, so that
/// steps that remember ([`dkhost_core::Step::remembers`]) know what they knew there.
///
/// Records are counted: a batch may end elsewhere now, because its bounds are settings of the job.
///
/// *Errors* – `run::source_changed` if there are fewer records than there were.
pub(super) fn recall(shared: &Shared<'_>, partition: &Partition, to: &Checkpoint) -> Result<()> {
    let retrying = shared.retrying();
    let mut stages = Stages::open(shared.plan, partition.index)?;
    let mut reading = Reading::open(shared, partition, Position::start())?;
    let mut left = to.counts.read;
    while left > 0 && !shared.is_stopping() {
        let _permit = shared.budget.take(shared.plan.job.run.batch.bytes);
        let Some(batch) = reading.next()? else {
            let read = to.counts.read;
            return Err(Error::state(
                "run::source_changed",
                format!("`{}` has {} records now, and {read} were read of it when the run was interrupted", partition.label, read - left),
            )
            .help("bring the source back, or start over with `--no-resume` (what the interrupted run wrote is then met by on_conflict)"));
        };
        let batch = first_records(batch, left)?;
        left -= batch.source.len() as u64;
        stages.apply(batch, &retrying)?;
        if reading.position == to.position {
            break;
        }
    }
    Ok(())
}

/// A partition's reader, opened again where it stood when it fails.
struct Reading<'s, 'a> {
    shared: &'s Shared<'a>,
    partition: &'s Partition,
    reader: Box<dyn BatchReader>,
    /// The position after the last batch.
    position: Position,
    retrying: Retrying<'s>,
}

impl<'s, 'a> Reading<'s, 'a> {
    fn open(shared: &'s Shared<'a>, partition: &'s Partition, position: Position) -> Result<Self> {
        let retrying = shared.retrying();
        Ok(Reading {
            reader: retrying.run(|| shared.plan.source.read(partition, &position))?,
            shared,
            partition,
            position,
            retrying,
        })
    }

    fn next(&mut self) -> Result<Option<Batch>> {
        let progress = &self.shared.progress.partitions[self.partition.index as usize];
        progress.enter("reading");
        let mut failed = false;
        let next = self.retrying.run(|| {
            if failed {
                progress.enter("retrying");
                let source = &self.shared.plan.source;
                self.reader = source.read(self.partition, &self.position)?;
            }
            let next = self.reader.next();
            failed = next.is_err();
            next
        })?;
        if let Some(batch) = &next {
            self.position = batch.until.clone();
        }
        Ok(next)
    }
}

fn read<'a>(
    shared: &Shared<'a>,
    partition: &Partition,
    position: Position,
    already_read: u64,
    to_stages: &SyncSender<Result<Read<'a>>>,
) -> Result<()> {
    let mut reading = Reading::open(shared, partition, position)?;
    let mut left =
        shared.plan.job.source.limit.map(|limit| {
            limit.saturating_sub(already_read + shared.read_elsewhere(partition.index))
        });
    // What the next batch will take is not known before it is there; the last one is a good guess.
    let mut guess = shared.plan.job.run.batch.bytes;
    while !shared.is_stopping() && left != Some(0) {
        let permit = shared.budget.take(guess);
        let Some(mut batch) = reading.next()? else {
            return Ok(());
        };
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
