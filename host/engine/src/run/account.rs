//! Every record read is accounted for exactly once (invariant 5).

use dkhost_core::{Batch, Counts, Error, Outcome, Outcomes, Reject, Result, WriteReport};

/// What became of a refused record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Counted and passed over.
    Skipped,
    /// Kept as a dead letter.
    DeadLettered,
}

/// What became of a record; of its rows, the best counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// It has no row.
    Filtered,
    Deduplicated,
    Unchanged,
    Written,
    Refused,
}

/// Counts the records of one batch after the sink has answered.
///
/// A record's rows may have met different ends; it counts as the best of them: written, else
/// unchanged, else deduplicated. A record without a row and without a reject was filtered.
///
/// *Errors* – a bug if a record was counted twice or never.
pub fn count(
    batch: &Batch,
    report: &WriteReport,
    fate: impl Fn(&Reject) -> Fate,
) -> Result<Counts> {
    let mut counts = Counts {
        read: batch.source.len() as u64,
        source_bytes: batch.source_bytes,
        ..Counts::default()
    };
    let (mut ends, rows_written) = ends_of_rows(batch, report)?;
    counts.rows_written = rows_written;
    for reject in &batch.rejects {
        refuse(&mut ends, reject)?;
        match fate(reject) {
            Fate::Skipped => counts.skipped += 1,
            Fate::DeadLettered => counts.dead_lettered += 1,
        }
    }
    for end in ends {
        match end {
            End::Filtered => counts.filtered += 1,
            End::Deduplicated => counts.deduplicated += 1,
            End::Unchanged => counts.unchanged += 1,
            End::Written => counts.written += 1,
            End::Refused => {}
        }
    }
    if counts.is_conserved() {
        Ok(counts)
    } else {
        Err(Error::bug("the records of a batch do not add up"))
    }
}

/// What the rows of each record came to, and how many rows were written.
fn ends_of_rows(batch: &Batch, report: &WriteReport) -> Result<(Vec<End>, u64)> {
    let mut ends = vec![End::Filtered; batch.source.len()];
    let mut rows_written = 0;
    for row in 0..batch.records.num_rows() {
        let outcome = match &report.outcomes {
            Outcomes::AllWritten => Outcome::Written,
            Outcomes::Each(each) => *each
                .get(row)
                .ok_or_else(|| Error::bug("a sink returned too few outcomes"))?,
        };
        let end = match outcome {
            Outcome::Written => End::Written,
            Outcome::Unchanged => End::Unchanged,
            Outcome::Deduplicated => End::Deduplicated,
            Outcome::Rejected => {
                return Err(Error::bug("a refused row was not taken out of its batch"));
            }
        };
        rows_written += u64::from(end == End::Written);
        let record = ends
            .get_mut(batch.source_row(row) as usize)
            .ok_or_else(|| Error::bug("a row points at no source record"))?;
        *record = end.max(*record);
    }
    Ok((ends, rows_written))
}

fn refuse(ends: &mut [End], reject: &Reject) -> Result<()> {
    let record = ends
        .get_mut(reject.source_row as usize)
        .ok_or_else(|| Error::bug("a reject points at no source record"))?;
    if *record != End::Filtered {
        return Err(Error::bug(
            "a record was refused and written, or refused twice",
        ));
    }
    *record = End::Refused;
    Ok(())
}

/// Whether two rows of the batch come from one record.
pub fn is_expanded(batch: &Batch) -> bool {
    batch
        .origin
        .as_ref()
        .is_some_and(|origin| origin.windows(2).any(|pair| pair[0] == pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::MadeUp;
    use dkhost_core::{Position, StageKind};
    use std::sync::Arc;

    fn batch(records: usize, origin: &[u32], rejected: &[u32]) -> Batch {
        let column = Arc::new(arrow::array::Int64Array::from_iter_values(
            origin.iter().map(|r| i64::from(*r)),
        ));
        let reject = |row: &u32| Reject {
            source_row: *row,
            kind: StageKind::Step,
            stage: "s".into(),
            column: None,
            code: "c".into(),
            message: "m".into(),
        };
        Batch {
            records: arrow::array::RecordBatch::try_from_iter([("n", column as _)]).unwrap(),
            origin: Some(origin.into()),
            source: Arc::new(MadeUp(records)),
            rejects: rejected.iter().map(reject).collect(),
            until: Position::start(),
            source_bytes: 7,
        }
    }

    #[test]
    fn every_record_ends_once() {
        // Record 0 expands to two rows, 1 is refused, 2 filtered, 3 unchanged, 4 folded away.
        let batch = batch(5, &[0, 0, 3, 4], &[1]);
        let outcomes = vec![
            Outcome::Written,
            Outcome::Unchanged,
            Outcome::Unchanged,
            Outcome::Deduplicated,
        ];
        let report = WriteReport {
            outcomes: Outcomes::Each(outcomes),
            ..WriteReport::all_written()
        };
        let counts = count(&batch, &report, |_| Fate::DeadLettered).unwrap();
        assert_eq!(
            (
                counts.read,
                counts.written,
                counts.unchanged,
                counts.filtered,
                counts.deduplicated,
                counts.dead_lettered
            ),
            (5, 1, 1, 1, 1, 1)
        );
        assert!(counts.is_conserved());
        assert!(is_expanded(&batch));
    }

    #[test]
    fn a_sink_that_returns_too_few_outcomes_is_found_out() {
        let report = WriteReport {
            outcomes: Outcomes::Each(vec![Outcome::Written]),
            ..WriteReport::all_written()
        };
        assert!(count(&batch(2, &[0, 1], &[]), &report, |_| Fate::Skipped).is_err());
    }

    #[test]
    fn a_record_both_written_and_refused_is_found_out() {
        assert!(
            count(
                &batch(2, &[0, 1], &[1]),
                &WriteReport::all_written(),
                |_| Fate::Skipped
            )
            .is_err()
        );
        assert!(
            count(
                &batch(2, &[0], &[1, 1]),
                &WriteReport::all_written(),
                |_| Fate::Skipped
            )
            .is_err()
        );
        assert!(
            count(&batch(2, &[0, 7], &[]), &WriteReport::all_written(), |_| {
                Fate::Skipped
            })
            .is_err()
        );
    }
}
