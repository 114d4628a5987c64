//! A migration tried on made-up records: what it refuses, and whether down after up gives records
//! back.
//!
//! What a migration promises is decided from its operations; here it is seen.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, make_comparator};
use arrow::compute::{SortOptions, take};
use dkhost_core::text::Appender;
use dkhost_core::{
    Batch, Changed, Error, Locator, Payload, Position, Result, RowReject, Schema, SourceRows, Step,
};
use dkhost_schema::{SchemaVersion, sample};

use crate::expr::Scope;
use crate::expr::convert::value_text;
use crate::steps;
use crate::steps::migrate::{self, Way};

/// What came of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Records that were made up and satisfy the version they start from.
    pub tried: usize,
    /// Records that the way up refused.
    pub refused: usize,
    /// The first reason for that.
    pub reason: Option<String>,
    /// Records that came up, and that the way down refused.
    pub refused_down: usize,
    /// Records that came up and down again, and were not the same.
    pub changed: usize,
    /// The first of them: field, before, after.
    pub example: Option<(String, String, String)>,
}

/// Tries a way, and the way back where there is one, on `count` made-up records.
///
/// *Errors* – what binding the ways says; `schema::no_sample` for a version whose records cannot be
/// made up.
pub fn trial(up: Way, down: Option<Way>, count: usize, seed: u64) -> Result<Trial> {
    let start = up.from.clone();
    let end = up
        .hops
        .last()
        .map_or_else(|| start.clone(), |hop| hop.to.clone());
    let records = made_up(&start, count, seed)?;
    let up = bound(up, &end, &start.schema())?;
    let there = bring(up.as_ref(), records.clone())?;
    let mut trial = Trial {
        tried: records.num_rows(),
        refused: there.rejects.len(),
        reason: there.rejects.first().map(|reject| reject.message.clone()),
        ..Trial::default()
    };
    if let Some(down) = down {
        let down = bound(down, &start, up.output())?;
        let back = bring(down.as_ref(), there.records)?;
        trial.refused_down = back.rejects.len();
        let origin = back.origin.iter().map(|row| there.origin[*row as usize]);
        trial.compare(&start, &records, &back.records, &origin.collect::<Vec<_>>())?;
    }
    Ok(trial)
}

/// Records of a version, made up, as a batch of [`SchemaVersion::schema`]; fewer than `count` where
/// some break its checks.
///
/// *Errors* – `schema::no_sample` if they cannot be made up; what binding the checks says.
pub fn made_up(version: &SchemaVersion, count: usize, seed: u64) -> Result<RecordBatch> {
    let schema = version.schema();
    let scope = Scope::stage("validate", &schema);
    let step = steps::validate::build(version, false, &(0..0), &scope)?;
    let records = columns(version, &schema, count, seed)?;
    Ok(bring(step.as_ref(), records)?.records)
}

/// Records behind a step.
pub struct Brought {
    /// Those that go on.
    pub records: RecordBatch,
    /// For each of them, which of the records before the step it was.
    pub origin: Vec<u32>,
    /// Those that were refused, and why.
    pub rejects: Vec<RowReject>,
}

/// Brings records, a batch of the step's input, through a step.
///
/// *Errors* – what the step says.
pub fn bring(step: &dyn Step, records: RecordBatch) -> Result<Brought> {
    settled(step.open(0)?.apply(&batch(records))?)
}

impl Trial {
    fn compare(
        &mut self,
        version: &SchemaVersion,
        before: &RecordBatch,
        after: &RecordBatch,
        origin: &[u32],
    ) -> Result<()> {
        let rows = arrow::array::UInt32Array::from(origin.to_vec());
        let mut same = vec![true; origin.len()];
        for field in &version.fields {
            let column = |records: &RecordBatch| {
                let column = records.column_by_name(&field.name).cloned();
                column.ok_or_else(|| Error::bug("a way back ends without a field"))
            };
            let (before, after) = (take(&column(before)?, &rows, None)?, column(after)?);
            // Vectors too, and a null is a null.
            let order = make_comparator(&before, &after, SortOptions::default())?;
            for row in (0..origin.len()).filter(|row| order(*row, *row).is_ne()) {
                same[row] = false;
                let shown = |values: &ArrayRef| value_text(values, row, &field.logical);
                self.example
                    .get_or_insert_with(|| (field.name.clone(), shown(&before), shown(&after)));
            }
        }
        self.changed = same.iter().filter(|same| !**same).count();
        Ok(())
    }
}

fn bound(way: Way, to: &SchemaVersion, input: &Schema) -> Result<Box<dyn Step>> {
    let from = way.from.id.version.clone();
    let ways = [way];
    let wanted = migrate::Wanted {
        to,
        ways: &ways,
        from: Some(&from),
        stamps: false,
        span: &(0..0),
    };
    migrate::build(&wanted, &Scope::stage("migrate", input))
}

/// The rows that go on, without those that were refused.
fn settled(changed: Changed) -> Result<Brought> {
    let rows = changed.records.num_rows() as u32;
    let origin = changed.origin.unwrap_or_else(|| (0..rows).collect());
    let refused: HashSet<u32> = changed.rejects.iter().map(|reject| reject.row).collect();
    let kept: Vec<u32> = (0..rows)
        .filter(|at| !refused.contains(&origin[*at as usize]))
        .collect();
    let rows = arrow::array::UInt32Array::from(kept.clone());
    Ok(Brought {
        records: arrow::compute::take_record_batch(&changed.records, &rows)?,
        origin: kept.iter().map(|at| origin[*at as usize]).collect(),
        rejects: changed.rejects,
    })
}

fn columns(
    version: &SchemaVersion,
    schema: &Schema,
    count: usize,
    seed: u64,
) -> Result<RecordBatch> {
    let records = sample::records(version, count, seed).map_err(|field| {
        Error::config(
            "schema::no_sample",
            format!(
                "no value of `{field}` could be made up that {} allows",
                version.id
            ),
        )
    })?;
    let column = |(at, field): (usize, &dkhost_core::Field)| {
        let mut appender = Appender::new(&field.logical);
        for record in &records {
            match &record[at] {
                Some(text) if appender.append(text) => (),
                _ => appender.append_null(),
            }
        }
        appender.finish()
    };
    let columns = schema.fields.iter().enumerate().map(column);
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(schema.to_arrow(), columns)?)
}

fn batch(records: RecordBatch) -> Batch {
    Batch {
        source: Arc::new(MadeUp(records.num_rows())),
        records,
        origin: None,
        rejects: Vec::new(),
        until: Position::default(),
        source_bytes: 0,
    }
}

/// So many records that came from nowhere.
#[derive(Debug)]
pub(crate) struct MadeUp(pub(crate) usize);

impl SourceRows for MadeUp {
    fn len(&self) -> usize {
        self.0
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", row.into())])
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
