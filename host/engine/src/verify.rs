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

/// The rows of a batch that were written, in the plan's columns.
pub fn sent(batch: &Batch, report: &WriteReport, schema: &Schema) -> Result<RecordBatch> {
    let records = planned(&batch.records, schema)?;
    match &report.outcomes {
        Outcomes::AllWritten => Ok(records),
        Outcomes::Each(each) => {
            let keep = each
                .iter()
                .map(|outcome| Some(*outcome == Outcome::Written))
                .collect();
            Ok(arrow::compute::filter_record_batch(&records, &keep)?)
        }
    }
}

/// Compares what was staged with what the target gives back, field by field.
///
/// *Errors* – `verify::field` names the record, the field and both values.
pub fn compare(
    batch: &Batch,
    sent: &RecordBatch,
    held: &RecordBatch,
    plan: &TargetPlan,
) -> Result<()> {
    let lossy = lossy(plan);
    if !lossy.is_empty() && sent.num_columns() <= held.num_columns() {
        let exact: Vec<usize> = (0..sent.num_columns())
            .filter(|column| !lossy.contains(sent.schema_ref().field(*column).name()))
            .collect();
        return compare_exact(batch, &sent.project(&exact)?, &held.project(&exact)?);
    }
    compare_exact(batch, sent, held)
}

fn compare_exact(batch: &Batch, sent: &RecordBatch, held: &RecordBatch) -> Result<()> {
    if sent.num_rows() != held.num_rows() || sent.num_columns() > held.num_columns() {
        return Err(Error::data(
            "verify::count",
            format!(
                "{} rows of a batch were sent and {} read back",
                sent.num_rows(),
                held.num_rows()
            ),
        ));
    }
    let sums = (
        dkhost_core::content::row_hashes(sent)?,
        dkhost_core::content::row_hashes(
            &held.project(&(0..sent.num_columns()).collect::<Vec<_>>())?,
        )?,
    );
    let Some(row) = sums
        .0
        .iter()
        .zip(&sums.1)
        .position(|(sent, held)| sent != held)
    else {
        return Ok(());
    };
    let column = (0..sent.num_columns())
        .find(|c| !equal(sent.column(*c), held.column(*c), row))
        .unwrap_or(0);
    let name = sent.schema().field(column).name().clone();
    let shown = |records: &RecordBatch| {
        records
            .project(&[column])
            .map(|one| json::row(&one, row))
            .unwrap_or_default()
    };
    let place = batch
        .source
        .locator(batch.source_row(row.min(batch.records.num_rows().saturating_sub(1))) as usize);
    Err(Error::data("verify::field", format!("the target gives `{name}` back changed ({place}): sent {}, held {}", shown(sent), shown(held)))
        .help("nothing of this batch was committed; convert the column in a step before it reaches the target"))
}

fn equal(left: &ArrayRef, right: &ArrayRef, row: usize) -> bool {
    left.slice(row, 1).to_data() == right.slice(row, 1).to_data()
}
