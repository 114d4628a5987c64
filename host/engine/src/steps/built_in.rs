//! What all built-in steps have in common: facts for the plan, and work without state.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use dkhost_core::{Batch, Changed, Result, RowReject, Schema, Stage, StageKind, Step, StepNote};

/// What the plan asks a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) output: Schema,
    pub(super) reads: Vec<String>,
    pub(super) carries: Vec<(String, String)>,
    pub(super) drops_unknown: bool,
    pub(super) summary: String,
}

/// What a step does with a batch.
pub(super) trait Work: Send + Sync + 'static {
    fn change(&self, records: &RecordBatch) -> Result<Changed>;
}

/// A step: facts and work.
pub(super) fn step(facts: Facts, work: impl Work) -> Box<dyn Step> {
    Box::new(BuiltIn {
        facts,
        work: Arc::new(work),
    })
}

struct BuiltIn {
    facts: Facts,
    work: Arc<dyn Work>,
}

impl Step for BuiltIn {
    fn kind(&self) -> StageKind {
        StageKind::Step
    }

    fn output(&self) -> &Schema {
        &self.facts.output
    }

    fn reads(&self) -> Vec<String> {
        self.facts.reads.clone()
    }

    fn carries(&self) -> Vec<(String, String)> {
        self.facts.carries.clone()
    }

    fn keeps_unknown(&self) -> bool {
        !self.facts.drops_unknown
    }

    fn note(&self) -> StepNote {
        StepNote {
            summary: self.facts.summary.clone(),
            ..StepNote::default()
        }
    }

    fn open(&self, _partition: u32) -> Result<Box<dyn Stage>> {
        Ok(Box::new(AtWork {
            work: self.work.clone(),
        }))
    }
}

struct AtWork {
    work: Arc<dyn Work>,
}

impl Stage for AtWork {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        self.work.change(&batch.records)
    }
}

/// The batch of these columns, without the refused rows: their columns may hold nulls where the
/// schema allows none.
pub(super) fn changed(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
    rejects: Vec<RowReject>,
) -> Result<Changed> {
    if rejects.is_empty() {
        return Ok(Changed::columns(record_batch(schema, columns, rows)?));
    }
    let mut keep = vec![true; rows];
    for reject in &rejects {
        keep[reject.row as usize] = false;
    }
    let origin: Vec<u32> = (0..rows as u32).filter(|row| keep[*row as usize]).collect();
    let keep = BooleanArray::from(keep);
    let columns = columns
        .iter()
        .map(|column| filter(column, &keep))
        .collect::<Result<_, _>>()?;
    let records = record_batch(schema, columns, origin.len())?;
    Ok(Changed {
        records,
        origin: Some(origin),
        rejects,
    })
}

fn record_batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}
