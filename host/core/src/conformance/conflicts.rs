//! Conflicts: what happens when a row meets one with the same key.

use super::compare::{documents, same_documents, same_rows};
use super::trial::{Trial, outcomes, refused};
use super::values::{plain, plain_schema};
use super::{Failure, Fixture, Place, Verdict, ensure};
use crate::{Class, Conflict, ContentSum, Nulls, Outcome, Schema};

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

fn one_mode(fixture: &dyn Fixture, mode: Conflict) -> Verdict {
    let schema = plain_schema(true);
    let rows = |ids: &[i64], word| plain(&schema, ids, word);
    let trial = Trial::at(fixture, old(fixture, &schema)?, &schema, mode, 2);
    // Rows 4 and 5 meet old ones, 7 and 8 meet each other; then 6 comes in a batch of its own.
    let first = [
        rows(&[4, 5], "new")?,
        rows(&[7, 8], "first")?,
        rows(&[7, 8], "last")?,
    ];
    let first = arrow::compute::concat_batches(&schema.to_arrow(), &first)?;
    let mut open = trial.start(0, 0)?;
    let report = open.write(&first)?;
    open.commit(false)?;
    let second = open.write(&rows(&[6, 7], "second")?)?;
    open.commit(false)?;

    use Outcome::{Deduplicated, Rejected, Unchanged, Written};
    let (outcome, later, held) = match mode {
        Conflict::Insert => (
            [Rejected, Rejected, Written, Written, Rejected, Rejected],
            [Written, Rejected],
            vec![
                rows(&[0, 1, 2, 3, 4, 5], "old")?,
                rows(&[7, 8], "first")?,
                rows(&[6], "second")?,
            ],
        ),
        Conflict::Skip => (
            [Unchanged, Unchanged, Written, Written, Unchanged, Unchanged],
            [Written, Unchanged],
            vec![
                rows(&[0, 1, 2, 3, 4, 5], "old")?,
                rows(&[7, 8], "first")?,
                rows(&[6], "second")?,
            ],
        ),
        Conflict::Upsert => (
            [
                Written,
                Written,
                Deduplicated,
                Deduplicated,
                Written,
                Written,
            ],
            [Written, Written],
            vec![
                rows(&[0, 1, 2, 3], "old")?,
                rows(&[4, 5], "new")?,
                rows(&[8], "last")?,
                rows(&[6, 7], "second")?,
            ],
        ),
        Conflict::ReplaceAll => (
            [Written, Written, Written, Written, Rejected, Rejected],
            [Written, Rejected],
            vec![
                rows(&[4, 5], "new")?,
                rows(&[7, 8], "first")?,
                rows(&[6], "second")?,
            ],
        ),
    };
    same(
        "outcomes of the first batch",
        &outcome[..],
        &outcomes(&report, 6)[..],
    )?;
    same(
        "outcomes of the second batch",
        &later[..],
        &outcomes(&second, 2)[..],
    )?;
    for report in [&report, &second] {
        let rows: Vec<u32> = report.rejects.iter().map(|reject| reject.row).collect();
        ensure(rows.is_sorted(), || {
            format!("rejects out of order: {rows:?}")
        })?;
    }
    if mode == Conflict::Upsert {
        let replaced = [
            ContentSum::of(&rows(&[4, 5], "old")?)?,
            ContentSum::of(&rows(&[7], "last")?)?,
        ];
        same(
            "content replaced by the first batch",
            &replaced[0],
            &report.replaced,
        )?;
        same(
            "content replaced by the second batch",
            &replaced[1],
            &second.replaced,
        )?;
        same(
            "rows replaced",
            &(2, 1),
            &(report.replaced_rows, second.replaced_rows),
        )?;
    } else {
        same(
            "rows replaced",
            &(0, 0),
            &(report.replaced_rows, second.replaced_rows),
        )?;
    }
    same_rows("scan", &held, &open.scan()?)?;
    open.finish()?;
    let (found, batches) = trial.read()?;
    let (expected, actual) = (documents(&schema, &held)?, documents(&found, &batches)?);
    same_documents("source", &expected, &actual, false, Nulls::Omit)
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
    let old = documents(&schema, &[plain(&schema, &[0, 1, 2, 3, 4, 5], "old")?])?;
    let new = [plain(&schema, &[2, 9], "new")?];
    let mut open = trial.start(0, 0)?;
    open.write(&new[0])?;
    open.commit(true)?;
    open.writer.flush()?;
    same_rows("scan of what is staged", &new, &open.scan()?)?;
    let (found, batches) = trial.read()?;
    same_documents(
        "before publish",
        &old,
        &documents(&found, &batches)?,
        false,
        Nulls::Omit,
    )?;
    drop(open.writer);
    open.sink.publish()?;
    let (found, batches) = trial.read()?;
    let new = documents(&schema, &new)?;
    same_documents(
        "after publish",
        &new,
        &documents(&found, &batches)?,
        false,
        Nulls::Omit,
    )?;
    open.sink.retire()?;
    let (found, batches) = trial.read()?;
    same_documents(
        "after retire",
        &new,
        &documents(&found, &batches)?,
        false,
        Nulls::Omit,
    )
}

pub(super) fn insert_adds(fixture: &dyn Fixture) -> Verdict {
    if !fixture.traits().conflicts.contains(&Conflict::Insert) {
        return Ok(());
    }
    // Without a key nothing can conflict, not even a row with itself.
    let schema = plain_schema(false);
    let trial = Trial::at(
        fixture,
        old(fixture, &schema)?,
        &schema,
        Conflict::Insert,
        2,
    );
    trial.load(&[plain(&schema, &[0, 9], "old")?])?;
    let (found, batches) = trial.read()?;
    let expected = documents(
        &schema,
        &[plain(&schema, &[0, 1, 2, 3, 4, 5, 0, 9], "old")?],
    )?;
    same_documents(
        "source",
        &expected,
        &documents(&found, &batches)?,
        false,
        Nulls::Omit,
    )
}
