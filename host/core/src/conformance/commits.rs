//! Commits: rows and checkpoint together or not at all, whatever dies in between.

use arrow::array::RecordBatch;

use super::compare::same_rows;
use super::trial::{JOB, Open, Trial, options, refused};
use super::values::{batches, plain, plain_schema};
use super::{Failure, Fencing, Fixture, Verdict, ensure};
use crate::{Checkpoint, Class, Conflict, Nulls, OpenTarget, Schema, TargetState};

fn schema(fixture: &dyn Fixture) -> Schema {
    plain_schema(fixture.traits().keyed)
}

/// How a process ends after some batches.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// Right after a commit.
    Committed,
    /// After a commit and a flush: nothing of it may be lost.
    Flushed,
    /// With another batch staged.
    Staged,
}

pub(super) fn resume_at_every_batch(fixture: &dyn Fixture) -> Verdict {
    let count = 4;
    for killed_after in 0..=count {
        for end in [End::Committed, End::Flushed, End::Staged] {
            resume_after(fixture, killed_after, end).map_err(|Failure(why)| {
                Failure(format!(
                    "killed after {killed_after} of {count} batches ({end:?}): {why}"
                ))
            })?;
        }
    }
    Ok(())
}

fn resume_after(fixture: &dyn Fixture, killed_after: usize, end: End) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 4)?;
    let trial = Trial::new(fixture, &schema);
    let last = killed(&trial, &all, killed_after, end)?;

    let sink = trial.open_target()?;
    let left = sink.inspect(JOB)?;
    if end == End::Flushed && killed_after > 0 {
        is_remembered(&trial, left.as_ref(), &last)?;
    }
    let floor = left.map_or(0, |left| left.epoch).max(last.epoch);
    let claimed = trial.claim(sink.as_ref(), floor)?;
    ensure(claimed.epoch > floor, || {
        format!("epoch {} does not exceed {floor}", claimed.epoch)
    })?;
    let mut open = trial.resume(sink, claimed.epoch, 0)?;
    let done = open.checkpoint.seq as usize;
    ensure(done <= killed_after, || {
        format!("the checkpoint says {done} batches")
    })?;
    same_rows("scan on resume", &all[..done], &open.scan()?)?;
    for records in &all[done..] {
        let report = open.write(records)?;
        ensure(report.rejects.is_empty(), || {
            format!("rejects: {:?}", report.rejects)
        })?;
        open.commit(false)?;
    }
    let counts = open.checkpoint.counts;
    ensure(counts.read == 20 && counts.written == 20, || {
        format!("counts are {counts:?}")
    })?;
    open.finish()?;
    trial.reads_as("source", &all, true)
}

/// A process that ends after some batches, and the checkpoint it came to.
fn killed(
    trial: &Trial<'_>,
    all: &[RecordBatch],
    after: usize,
    end: End,
) -> Result<Checkpoint, Failure> {
    let mut open = trial.start(0, 0)?;
    for records in &all[..after] {
        open.write(records)?;
        open.commit(false)?;
    }
    let last = open.checkpoint.clone();
    match (end, all.get(after)) {
        (End::Flushed, _) => open.writer.flush()?,
        (End::Staged, Some(records)) => drop(open.write(records)?),
        _ => (),
    }
    Ok(last)
}

/// The target says where the process stood that was killed.
fn is_remembered(trial: &Trial<'_>, left: Option<&TargetState>, last: &Checkpoint) -> Verdict {
    let left = left.ok_or_else(|| Failure("nothing to resume is found".to_owned()))?;
    ensure(
        left.run == trial.run && left.epoch == last.epoch && !left.published,
        || format!("the target remembers {left:?}"),
    )?;
    ensure(left.checkpoints == [last.clone()], || {
        format!("the checkpoints are {:?}, not {last:?}", left.checkpoints)
    })
}

pub(super) fn an_older_epoch_is_fenced(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 3)?;
    let trial = Trial::new(fixture, &schema);
    let mut paused = trial.start(0, 0)?;
    paused.write(&all[0])?;
    paused.commit(false)?;
    paused.writer.flush()?;
    let second_claim = || {
        let sink = trial.open_target()?;
        trial.claim(sink.as_ref(), 1).map(drop)
    };
    if fixture.traits().fencing == Fencing::Lock {
        let error = refused("the second claim", second_claim())?;
        return ensure(error.class() == Class::Locked, || {
            format!("refused with {error:?}")
        });
    }
    if fixture.traits().fencing == Fencing::EpochBetweenBatches {
        paused.write(&all[1])?;
        let error = refused("a claim during a batch", second_claim())?;
        ensure(error.class() == Class::Transient, || {
            format!("refused with {error:?}")
        })?;
        paused.writer.roll_back()?;
    } else {
        paused.write(&all[1])?;
    }
    let mut taker = trial.start(paused.checkpoint.epoch, 0)?;
    let late = match fixture.traits().fencing {
        Fencing::EpochBetweenBatches => paused.write(&all[1]).and_then(|_| paused.commit(false)),
        _ => paused.commit(false),
    };
    let why = match late {
        Ok(()) => return Err(Failure("an older epoch commits".to_owned())),
        Err(Failure(why)) => why,
    };
    ensure(why.starts_with("run::fenced"), || {
        format!("the older epoch fails with {why}")
    })?;
    drop(paused);
    same_rows("scan after the fence", &all[..1], &taker.scan()?)?;
    for records in &all[1..] {
        taker.write(records)?;
        taker.commit(false)?;
    }
    taker.finish()?;
    trial.reads_as("source", &all, true)
}

pub(super) fn a_repeated_commit(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 2)?;
    let trial = Trial::new(fixture, &schema);
    let mut open = trial.start(0, 0)?;
    for records in &all {
        open.write(records)?;
        open.commit(false)?;
        // As after a lost reply.
        open.writer.commit(&open.checkpoint)?;
    }
    same_rows("scan", &all, &open.scan()?)?;
    open.finish()?;
    trial.reads_as("source", &all, true)
}

pub(super) fn a_roll_back_leaves_nothing(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 2)?;
    let trial = Trial::new(fixture, &schema);
    let mut open = trial.start(0, 0)?;
    open.write(&all[0])?;
    open.commit(false)?;
    let before = open.checkpoint.clone();
    open.write(&plain(&schema, &[97, 98], "dropped")?)?;
    open.writer.roll_back()?;
    open.checkpoint = before;
    same_rows("scan after roll-back", &all[..1], &open.scan()?)?;
    let nothing = open.writer.read_back()?;
    ensure(nothing.num_rows() == 0, || {
        format!("{} rows are still staged", nothing.num_rows())
    })?;
    // The same rows can be written again.
    open.write(&all[1])?;
    open.commit(false)?;
    open.finish()?;
    trial.reads_as("source", &all, true)
}

pub(super) fn read_back_is_what_was_written(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 2)?;
    let trial = Trial::new(fixture, &schema);
    let mut open = trial.start(0, 0)?;
    for records in &all {
        open.write(records)?;
        let back = open.writer.read_back()?;
        same_rows("read back", std::slice::from_ref(records), &[back])?;
        open.commit(false)?;
    }
    open.finish()
}

pub(super) fn publish_and_retire_repeat(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 2)?;
    let trial = Trial::new(fixture, &schema);
    let Open {
        mut writer,
        sink,
        checkpoint,
    } = {
        let mut open = trial.start(0, 0)?;
        for records in &all {
            open.write(records)?;
            open.commit(false)?;
        }
        open.commit(true)?;
        open
    };
    writer.flush()?;
    drop(writer);
    sink.publish()?;
    sink.publish()?;
    trial.reads_as("source", &all, true)?;
    drop(sink);
    // Killed between publish and retire: the next process finds a published run and ends it.
    let sink = trial.open_target()?;
    let state = sink.inspect(JOB)?;
    ensure(
        state
            .as_ref()
            .is_some_and(|state| state.published && state.run == trial.run),
        || format!("after publish the target remembers {state:?}"),
    )?;
    trial.claim(sink.as_ref(), checkpoint.epoch)?;
    sink.publish()?;
    sink.retire()?;
    sink.retire()?;
    let state = sink.inspect(JOB)?;
    ensure(state.is_none(), || {
        format!("after retire the target remembers {state:?}")
    })?;
    trial.reads_as("source", &all, true)
}

pub(super) fn another_runs_leftovers(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let trial = Trial::new(fixture, &schema);
    // Under replace-all everything unpublished can be dropped; it needs something to replace.
    if !fixture.traits().conflicts.contains(&Conflict::ReplaceAll) {
        return Ok(());
    }
    let old = [plain(&schema, &[1], "old")?];
    trial.load(&old)?;
    let run = |run| {
        Trial::at(
            fixture,
            trial.place.clone(),
            &schema,
            Conflict::ReplaceAll,
            run,
        )
    };
    let abandoned = run(2);
    let mut open = abandoned.start(0, 0)?;
    open.write(&plain(&schema, &[1, 2, 3], "abandoned")?)?;
    open.commit(false)?;
    open.writer.flush()?;
    drop(open);
    trial.reads_as("source", &old, true)?;
    let next = run(3);
    let mut open = next.start(0, 0)?;
    ensure(open.checkpoint.seq == 0, || {
        "a new run resumes another one's checkpoint".to_owned()
    })?;
    same_rows("scan of a new run", &[], &open.scan()?)?;
    let new = [plain(&schema, &[5], "new")?];
    open.write(&new[0])?;
    open.commit(false)?;
    open.finish()?;
    next.reads_as("source", &new, true)
}

pub(super) fn two_partitions(fixture: &dyn Fixture) -> Verdict {
    let schema = schema(fixture);
    let all = batches(&schema, 4)?;
    let trial = Trial::new(fixture, &schema);
    let mut open = trial.start(0, 0)?;
    let epoch = open.checkpoint.epoch;
    for part in 0..2 {
        if part > 0 {
            let Open { sink, writer, .. } = open;
            drop(writer);
            open = trial.resume(sink, epoch, part)?;
        }
        for records in &all[part as usize * 2..][..2] {
            open.write(records)?;
            open.commit(false)?;
        }
        open.commit(true)?;
        open.writer.flush()?;
    }
    let state = open.sink.inspect(JOB)?;
    let parts: Vec<u32> = state
        .iter()
        .flat_map(|s| &s.checkpoints)
        .map(|c| c.partition)
        .collect();
    ensure(parts == [0, 1], || {
        format!("checkpoints are there for partitions {parts:?}")
    })?;
    same_rows("scan", &all, &open.scan()?)?;
    let Open { sink, writer, .. } = open;
    drop(writer);
    sink.publish()?;
    sink.retire()?;
    trial.reads_as("source", &all, true)
}

pub(super) fn create_false(fixture: &dyn Fixture) -> Verdict {
    let place = fixture.place();
    let open = OpenTarget {
        base: place.base.clone(),
        job: JOB.to_owned(),
        schema: schema(fixture),
        conflict: Conflict::Insert,
        create: false,
        nulls: Nulls::Keep,
        content: true,
        reshape: None,
    };
    let options = options("[target]", &place.target)?;
    let error = refused(
        "an absent target",
        fixture.backend().open_target(options, &open),
    )?;
    ensure(error.class() == Class::Config, || {
        format!("refused with {error:?}")
    })
}
