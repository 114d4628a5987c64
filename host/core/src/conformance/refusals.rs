//! Rows a target refuses: exactly those, each with a reason, and the others as if they were alone.
//!
//! What is refused depends on the target: a key that is there already, a value it cannot say. Where
//! the fixture says that neither is refused, all of it must be held.

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use super::compare::{documents, same_documents, same_rows};
use super::trial::{JOB, Open, Trial, outcomes};
use super::values::{plain, plain_schema};
use super::{Failure, Fixture, Verdict, ensure};
use crate::{Conflict, Nulls, Outcome, Schema};

/// Three batches: each has a row that meets one before it, and one whose score is no number.
struct Rows {
    schema: Schema,
    batches: Vec<RecordBatch>,
    /// For each batch which of its rows the target refuses.
    refused: Vec<Vec<bool>>,
}

impl Rows {
    fn of(fixture: &dyn Fixture) -> Result<Self, Failure> {
        let traits = fixture.traits();
        let keyed = traits.named || (traits.keyed && traits.conflicts.contains(&Conflict::Insert));
        let nan = traits.rejects.contains(&("float64", "NaN"));
        let schema = plain_schema(traits.keyed);
        let (mut batches, mut refused) = (Vec::new(), Vec::new());
        // The second row of each batch repeats a key, in the first batch that of its first row.
        for ids in [[1, 1, 2, 3, 4], [5, 1, 6, 7, 8], [9, 5, 10, 11, 12]] {
            batches.push(with_nan(&plain(&schema, &ids, "row")?, 3)?);
            refused.push(vec![false, keyed, false, nan, false]);
        }
        Ok(Rows {
            schema,
            batches,
            refused,
        })
    }

    fn held(&self) -> Result<Vec<RecordBatch>, Failure> {
        let kept = |(records, refused): (&RecordBatch, &Vec<bool>)| {
            let keep: BooleanArray = refused.iter().map(|refused| Some(!refused)).collect();
            Ok(filter_record_batch(records, &keep)?)
        };
        self.batches.iter().zip(&self.refused).map(kept).collect()
    }
}

/// The score of `row` is NaN.
fn with_nan(records: &RecordBatch, row: usize) -> Result<RecordBatch, Failure> {
    let nan: ArrayRef = std::sync::Arc::new(Float64Array::from(vec![f64::NAN]));
    let mut columns = records.columns().to_vec();
    let score = RecordBatch::try_from_iter_with_nullable([("score", nan, true)])?;
    let old = RecordBatch::try_from_iter_with_nullable([("score", columns[2].clone(), true)])?;
    let after = old.slice(row + 1, old.num_rows() - row - 1);
    columns[2] = concat_batches(&old.schema(), &[old.slice(0, row), score, after])?
        .column(0)
        .clone();
    Ok(RecordBatch::try_new(records.schema(), columns)?)
}

fn write(open: &mut Open, rows: &Rows, batch: usize) -> Verdict {
    let report = open.write(&rows.batches[batch])?;
    let expected = &rows.refused[batch];
    let found = outcomes(&report, expected.len());
    let as_said = found.iter().zip(expected).all(|(outcome, refused)| {
        *outcome
            == if *refused {
                Outcome::Rejected
            } else {
                Outcome::Written
            }
    });
    ensure(as_said, || {
        format!("batch {batch}: the outcomes are {found:?}, refused should be {expected:?}")
    })?;
    let blamed: Vec<usize> = report.rejects.iter().map(|one| one.row as usize).collect();
    let refused: Vec<usize> = (0..expected.len()).filter(|row| expected[*row]).collect();
    ensure(blamed == refused, || {
        format!("batch {batch}: rows {blamed:?} have a reason, {refused:?} are refused")
    })?;
    let mute = report
        .rejects
        .iter()
        .find(|one| one.code.is_empty() || one.message.is_empty());
    ensure(mute.is_none(), || format!("no reason is given: {mute:?}"))
}

fn killed_after(fixture: &dyn Fixture, rows: &Rows, done: usize) -> Verdict {
    let trial = Trial::new(fixture, &rows.schema);
    let mut open = trial.start(0, 0)?;
    for batch in 0..done {
        write(&mut open, rows, batch)?;
        open.commit(false)?;
    }
    if done < rows.batches.len() {
        write(&mut open, rows, done)?;
    }
    let epoch = open.checkpoint.epoch;
    drop(open);
    let sink = trial.open_target()?;
    let known = sink.inspect(JOB)?.map_or(0, |state| state.epoch);
    let claimed = trial.claim(sink.as_ref(), known.max(epoch))?;
    let mut open = trial.resume(sink, claimed.epoch, 0)?;
    for batch in open.checkpoint.seq as usize..rows.batches.len() {
        write(&mut open, rows, batch)?;
        open.commit(false)?;
    }
    let refused = rows.refused.iter().flatten().filter(|refused| **refused);
    let (refused, counts) = (refused.count() as u64, open.checkpoint.counts);
    ensure(
        (counts.read, counts.written, counts.skipped) == (15, 15 - refused, refused),
        || format!("counts are {counts:?} where {refused} rows are refused"),
    )?;
    let held = rows.held()?;
    same_rows("scan", &held, &open.scan()?)?;
    open.finish()?;
    let (schema, found) = trial.read()?;
    let (expected, found) = (documents(&rows.schema, &held)?, documents(&schema, &found)?);
    let ordered = fixture.traits().ordered;
    same_documents("source", &expected, &found, ordered, Nulls::Omit)
}

pub(super) fn refused_rows_take_no_other_along(fixture: &dyn Fixture) -> Verdict {
    let rows = Rows::of(fixture)?;
    for done in 0..=rows.batches.len() {
        killed_after(fixture, &rows, done)
            .map_err(|Failure(why)| Failure(format!("killed after {done} batches: {why}")))?;
    }
    Ok(())
}
