//! Conflicts: what happens when a row meets one with the same key.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::compare::same_rows;
use super::trial::{Trial, outcomes, refused};
use super::values::{plain, plain_schema};
use super::{Failure, Fixture, Place, Verdict, ensure};
use crate::{Class, Conflict, ContentSum, Outcome, Schema};

const MODES: [Conflict; 4] = [
    Conflict::Insert,
    Conflict::Upsert,
    Conflict::Skip,
    Conflict::ReplaceAll,
];

/// A place that holds old rows 0 to 5.
fn old(fixture: &dyn Fixture, schema: &Schema) -> Result<Place, Failure> {
    let trial = Trial::new(fixture, schema);
    trial.load(&[plain(schema, &[0, 1, 2, 3, 4, 5], "old")?])?;
    Ok(trial.place)
}

pub(super) fn every_mode(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    if !traits.keyed {
        return Ok(());
    }
    for mode in traits.conflicts {
        one_mode(fixture, mode)
            .map_err(|Failure(why)| Failure(format!("{}: {why}", mode.word())))?;
    }
    Ok(())
}

/// What a mode makes of the batches of [`one_mode`].
struct Expected {
    first: [Outcome; 6],
    second: [Outcome; 2],
    /// The ids the target holds at the end, and which write of them.
    held: &'static [(&'static [i64], &'static str)],
    /// What the two batches overwrite.
    replaced: [&'static [(&'static [i64], &'static str)]; 2],
}

fn expected(mode: Conflict) -> Expected {
    use Outcome::{Deduplicated as D, Rejected as R, Unchanged as U, Written as W};
    const KEPT: &[(&[i64], &str)] = &[
        (&[0, 1, 2, 3, 4, 5], "old"),
        (&[7, 8], "first"),
        (&[6], "second"),
    ];
    let (first, second, held) = match mode {
        Conflict::Insert => ([R, R, W, W, R, R], [W, R], KEPT),
        Conflict::Skip => ([U, U, W, W, U, U], [W, U], KEPT),
        Conflict::Upsert => ([W, W, D, D, W, W], [W, W], {
            const HELD: &[(&[i64], &str)] = &[
                (&[0, 1, 2, 3], "old"),
                (&[4, 5], "new"),
                (&[8], "last"),
                (&[6, 7], "second"),
            ];
            HELD
        }),
        Conflict::ReplaceAll => ([W, W, W, W, R, R], [W, R], {
            const HELD: &[(&[i64], &str)] =
                &[(&[4, 5], "new"), (&[7, 8], "first"), (&[6], "second")];
            HELD
        }),
    };
    let replaced: [&[(&[i64], &str)]; 2] = match mode {
        Conflict::Upsert => [&[(&[4, 5], "old")], &[(&[7], "last")]],
        _ => [&[], &[]],
    };
    Expected {
        first,
        second,
        held,
        replaced,
    }
}

fn rows(schema: &Schema, of: &[(&[i64], &str)]) -> Result<Vec<RecordBatch>, Failure> {
    of.iter()
        .map(|(ids, word)| plain(schema, ids, word))
        .collect()
}

fn one_mode(fixture: &dyn Fixture, mode: Conflict) -> Verdict {
    let schema = plain_schema(true);
    let trial = Trial::at(fixture, old(fixture, &schema)?, &schema, mode, 2);
    // Rows 4 and 5 meet old ones, 7 and 8 meet each other; then 6 comes in a batch of its own.
    let first: [(&[i64], &str); 3] = [(&[4, 5], "new"), (&[7, 8], "first"), (&[7, 8], "last")];
    let first = concat_batches(&schema.to_arrow(), &rows(&schema, &first)?)?;
    let mut open = trial.start(0, 0)?;
    let reports = [first, plain(&schema, &[6, 7], "second")?].map(|records| {
        let report = open.write(&records)?;
        open.commit(false)?;
        Ok::<_, Failure>((records.num_rows(), report))
    });
    let expected = expected(mode);
    let outcome: [&[Outcome]; 2] = [&expected.first, &expected.second];
    for (batch, written) in reports.into_iter().enumerate() {
        let (count, report) = written?;
        let is = |what| format!("{what} of batch {batch}");
        same(
            &is("outcomes"),
            outcome[batch],
            &outcomes(&report, count)[..],
        )?;
        let rejected: Vec<u32> = report.rejects.iter().map(|reject| reject.row).collect();
        ensure(rejected.is_sorted(), || {
            format!("rejects out of order: {rejected:?}")
        })?;
        let replaced = rows(&schema, expected.replaced[batch])?;
        let replaced = concat_batches(&schema.to_arrow(), &replaced)?;
        same(
            &is("content replaced"),
            &ContentSum::of(&replaced)?,
            &report.replaced,
        )?;
        same(
            &is("rows replaced"),
            &(replaced.num_rows() as u64),
            &report.replaced_rows,
        )?;
    }
    let held = rows(&schema, expected.held)?;
    same_rows("scan", &held, &open.scan()?)?;
    open.finish()?;
    trial.reads_as("source", &held, false)
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, expected: &T, actual: &T) -> Verdict {
    ensure(expected == actual, || {
        format!("{what}: {actual:?} instead of {expected:?}")
    })
}

pub(super) fn other_modes_are_refused(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    let schema = plain_schema(traits.keyed);
    for mode in MODES.iter().filter(|mode| !traits.conflicts.contains(mode)) {
        let trial = Trial::at(fixture, old(fixture, &schema)?, &schema, *mode, 2);
        let error = refused(mode.word(), trial.open_target())?;
        ensure(error.class() == Class::Config, || {
            format!(
                "{} is refused as {:?}, not as a mistake in the job",
                mode.word(),
                error.class()
            )
        })?;
        ensure(error.help_text().is_some(), || {
            format!("{}: no way out is named", mode.word())
        })?;
    }
    Ok(())
}

pub(super) fn replace_all_is_staged(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    if !traits.conflicts.contains(&Conflict::ReplaceAll) {
        return Ok(());
    }
    let schema = plain_schema(traits.keyed);
    let trial = Trial::at(
        fixture,
        old(fixture, &schema)?,
        &schema,
        Conflict::ReplaceAll,
        2,
    );
    let old = [plain(&schema, &[0, 1, 2, 3, 4, 5], "old")?];
    let new = [plain(&schema, &[2, 9], "new")?];
    let mut open = trial.start(0, 0)?;
    open.write(&new[0])?;
    open.commit(true)?;
    open.writer.flush()?;
    same_rows("scan of what is staged", &new, &open.scan()?)?;
    trial.reads_as("before publish", &old, false)?;
    drop(open.writer);
    open.sink.publish()?;
    trial.reads_as("after publish", &new, false)?;
    open.sink.retire()?;
    trial.reads_as("after retire", &new, false)
}

pub(super) fn insert_adds(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    if !traits.conflicts.contains(&Conflict::Insert) {
        return Ok(());
    }
    // Without a key nothing can conflict, not even a row with itself; ids are always a key.
    let schema = plain_schema(false);
    let trial = Trial::at(
        fixture,
        old(fixture, &schema)?,
        &schema,
        Conflict::Insert,
        2,
    );
    let added: &[i64] = if traits.named { &[9] } else { &[0, 9] };
    trial.load(&[plain(&schema, added, "old")?])?;
    let ids = [&[0, 1, 2, 3, 4, 5], added].concat();
    trial.reads_as("source", &[plain(&schema, &ids, "old")?], false)
}
