//! Comparing what the run sent with what the target holds when read back.

use arrow::array::{Array, ArrayRef, RecordBatch};
use dkhost_core::{
    Batch, ContentSum, Error, Outcome, Outcomes, Result, Schema, Sink, TargetPlan, WriteReport,
    json,
};

use crate::history::Base;
use crate::job::Verify;

/// What the target should hold, as the checkpoints add it up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Rows written, less rows overwritten.
    pub rows: i128,
    /// Content written, less content overwritten.
    pub content: ContentSum,
}

/// What the target holds before a run, as far as `verify` will need it.
pub fn base(sink: &dyn Sink, schema: &Schema, verify: Verify) -> Result<Option<Base>> {
    if sink.plan().fresh {
        return Ok(Some(Base {
            rows: 0,
            content: Some(ContentSum::default()),
        }));
    }
    match verify {
        Verify::None => Ok(None),
        Verify::Count => Ok(Some(Base {
            rows: sink.count()?,
            content: None,
        })),
        Verify::Checksum | Verify::Full => {
            let (rows, content) = scan(sink, schema)?;
            Ok(Some(Base {
                rows,
                content: Some(content),
            }))
        }
    }
}

/// Reads the target back and compares. Says what was found.
///
/// *Errors* – `verify::count`, `verify::checksum`.
pub fn verify(
    sink: &dyn Sink,
    schema: &Schema,
    verify: Verify,
    base: Option<Base>,
    expected: &Expected,
) -> Result<Option<String>> {
    let Some(base) = base else {
        return Ok((verify != Verify::None).then(|| {
            "not compared: what the target held before this run is not known".to_owned()
        }));
    };
    let wanted = i128::from(base.rows) + expected.rows;
    let lossy = lossy(sink.plan());
    match (verify, base.content) {
        (Verify::None, _) => Ok(None),
        (Verify::Count, _) | (_, None) => {
            let held = sink.count()?;
            compare_rows(wanted, held)?;
            Ok(Some(format!("{held} rows held, as expected")))
        }
        _ if !lossy.is_empty() => {
            let held = sink.count()?;
            compare_rows(wanted, held)?;
            let columns = lossy.join(", ");
            Ok(Some(format!(
                "{held} rows held, as expected; their content was not summed, because values of {columns} may change (allow_lossy)"
            )))
        }
        (Verify::Checksum | Verify::Full, Some(content)) => {
            let (held, sum) = scan(sink, schema)?;
            compare_rows(wanted, held)?;
            if sum != content + expected.content {
                return Err(Error::data("verify::checksum", format!("the target holds {held} rows as expected, but their content differs from what was sent"))
                    .help("nothing more was written. verify = \"full\" names the record and the field; did something else write to the target?"));
            }
            let how = if verify == Verify::Full {
                "every field read back equal"
            } else {
                "content equal"
            };
            Ok(Some(format!("{held} rows held, {how}")))
        }
    }
}

/// Columns added by `evolve` stand behind the plan's and are not summed.
fn scan(sink: &dyn Sink, schema: &Schema) -> Result<(u64, ContentSum)> {
    let (mut rows, mut content) = (0, ContentSum::default());
    sink.scan(&mut |records| {
        rows += records.num_rows() as u64;
        content += ContentSum::of(&planned(&records, schema)?)?;
        Ok(())
    })?;
    Ok((rows, content))
}

/// Names of the columns whose values the job allowed to change.
fn lossy(plan: &TargetPlan) -> Vec<String> {
    plan.columns
        .iter()
        .filter(|column| column.lossy.is_some())
        .map(|column| column.name.clone())
        .collect()
}

fn compare_rows(wanted: i128, held: u64) -> Result<()> {
    if wanted == i128::from(held) {
        return Ok(());
    }
    Err(Error::data(
        "verify::count",
        format!("the target should hold {wanted} rows and holds {held}"),
    )
    .help("did something else write to the target? `dkhost history` shows what this run wrote"))
}

fn planned(records: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    Ok(records.project(&(0..schema.fields.len()).collect::<Vec<_>>())?)
}

/// The rows of a batch that were written.
#[derive(Debug)]
pub struct Sent {
    /// In the plan's columns.
    pub records: RecordBatch,
    /// For each of them its row in the batch; `None` when they are all of its rows.
    rows: Option<Vec<usize>>,
}

impl Sent {
    /// The row of the batch that written row `index` is.
    fn row(&self, index: usize) -> usize {
        self.rows
            .as_ref()
            .map_or(index, |rows| rows.get(index).copied().unwrap_or(index))
    }

    fn columns(&self, columns: &[usize]) -> Result<Sent> {
        Ok(Sent {
            records: self.records.project(columns)?,
            rows: self.rows.clone(),
        })
    }
}

/// The rows of a batch that were written, in the plan's columns.
pub fn sent(batch: &Batch, report: &WriteReport, schema: &Schema) -> Result<Sent> {
    let records = planned(&batch.records, schema)?;
    let Outcomes::Each(each) = &report.outcomes else {
        return Ok(Sent {
            records,
            rows: None,
        });
    };
    let is_written = |outcome: &Outcome| *outcome == Outcome::Written;
    let keep = each.iter().map(|outcome| Some(is_written(outcome)));
    let rows = each.iter().enumerate().filter(|(_, end)| is_written(end));
    Ok(Sent {
        records: arrow::compute::filter_record_batch(&records, &keep.collect())?,
        rows: Some(rows.map(|(row, _)| row).collect()),
    })
}

/// Compares what was staged with what the target gives back, field by field.
///
/// *Errors* – `verify::field` names the record, the field and both values.
pub fn compare(batch: &Batch, sent: &Sent, held: &RecordBatch, plan: &TargetPlan) -> Result<()> {
    let lossy = lossy(plan);
    let columns = sent.records.num_columns();
    if !lossy.is_empty() && columns <= held.num_columns() {
        let schema = sent.records.schema();
        let exact: Vec<usize> = (0..columns)
            .filter(|column| !lossy.contains(schema.field(*column).name()))
            .collect();
        return compare_exact(batch, &sent.columns(&exact)?, &held.project(&exact)?);
    }
    compare_exact(batch, sent, held)
}

fn compare_exact(batch: &Batch, sent: &Sent, held: &RecordBatch) -> Result<()> {
    let records = &sent.records;
    if records.num_rows() != held.num_rows() || records.num_columns() > held.num_columns() {
        return Err(Error::data(
            "verify::count",
            format!(
                "{} rows of a batch were sent and {} read back",
                records.num_rows(),
                held.num_rows()
            ),
        ));
    }
    let held = held.project(&(0..records.num_columns()).collect::<Vec<_>>())?;
    let (ours, theirs) = (
        dkhost_core::content::row_hashes(records)?,
        dkhost_core::content::row_hashes(&held)?,
    );
    match ours.iter().zip(&theirs).position(|(a, b)| a != b) {
        Some(row) => Err(changed(batch, sent, &held, row)),
        None => Ok(()),
    }
}

/// Written row `row` came back as something else.
fn changed(batch: &Batch, sent: &Sent, held: &RecordBatch, row: usize) -> Error {
    let records = &sent.records;
    let column = (0..records.num_columns())
        .find(|c| !equal(records.column(*c), held.column(*c), row))
        .unwrap_or(0);
    let name = records.schema().field(column).name().clone();
    let shown = |records: &RecordBatch| {
        records
            .project(&[column])
            .map(|one| json::row(&one, row))
            .unwrap_or_default()
    };
    let place = batch
        .source
        .locator(batch.source_row(sent.row(row)) as usize);
    Error::data("verify::field", format!("the target gives `{name}` back changed ({place}): sent {}, held {}", shown(records), shown(held)))
        .help("nothing of this batch was committed; convert the column in a step before it reaches the target")
}

fn equal(left: &ArrayRef, right: &ArrayRef, row: usize) -> bool {
    left.slice(row, 1).to_data() == right.slice(row, 1).to_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use dkhost_core::{Field, Locator, LogicalType, Payload, Position, SourceRows};
    use std::sync::Arc;

    /// Source records that lie on the lines 10, 11, 12 …
    #[derive(Debug)]
    struct Lines(usize);

    impl SourceRows for Lines {
        fn len(&self) -> usize {
            self.0
        }
        fn locator(&self, row: usize) -> Locator {
            Locator::of([("line", (row + 10).into())])
        }
        fn payload(&self, _row: usize) -> Payload {
            Payload {
                bytes: Vec::new(),
                media: "json",
            }
        }
        fn memory_bytes(&self) -> usize {
            0
        }
    }

    fn numbers(values: &[i64]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", LogicalType::Int64)]);
        let column = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_new(schema.to_arrow(), vec![column]).unwrap()
    }

    #[test]
    fn a_changed_field_is_found_at_its_own_record_behind_rows_that_were_not_written() {
        // Line 10 was refused before, line 11 was there already, line 13 comes back changed.
        let batch = Batch {
            records: numbers(&[1, 2, 3]),
            origin: Some([1, 2, 3].into()),
            source: Arc::new(Lines(4)),
            rejects: Vec::new(),
            until: Position::start(),
            source_bytes: 0,
        };
        let report = WriteReport {
            outcomes: Outcomes::Each(vec![Outcome::Unchanged, Outcome::Written, Outcome::Written]),
            ..WriteReport::all_written()
        };
        let schema = Schema::from_arrow(&batch.records.schema()).unwrap();
        let sent = sent(&batch, &report, &schema).unwrap();
        assert_eq!(sent.records, numbers(&[2, 3]));
        let error = compare_exact(&batch, &sent, &numbers(&[2, 4])).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"the target gives `n` back changed (line 13): sent {"n":3}, held {"n":4}"#
        );
        assert!(compare_exact(&batch, &sent, &numbers(&[2, 3])).is_ok());
    }
}
