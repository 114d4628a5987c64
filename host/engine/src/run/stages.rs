//! The steps at work: guard, then stage after stage, each refusing what it must.
//!
//! A stage that fails on a whole batch is tried again where that may help; a plugin that dies on
//! some records is given halves of the batch until the records are found, and only they are
//! refused. Either way the batch itself is kept: it is only ever replaced by what succeeded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use dkhost_core::{Batch, Changed, Class, Error, Result, RowReject, Stage, StageCounts};

use super::clock::thread_cpu;
use super::retrying::Retrying;
use crate::job::OnError;
use crate::plan::{Plan, PlannedStage};

/// Records of one batch a plugin may die on before the plugin is taken to be broken.
const DEADLY_RECORDS_MAX: usize = 16;

/// The stages of one partition.
pub struct Stages<'a> {
    plan: &'a Plan,
    stages: Vec<Box<dyn Stage>>,
}

/// A batch behind the last stage.
pub struct Staged {
    /// The batch.
    pub batch: Batch,
    /// What each stage counted for it.
    pub counts: Vec<StageCounts>,
    /// Values dropped under `discard_value`.
    pub values_discarded: u64,
}

impl<'a> Stages<'a> {
    /// Opens every stage for a partition.
    pub fn open(plan: &'a Plan, partition: u32) -> Result<Self> {
        let stages = plan
            .stages
            .iter()
            .map(|stage| stage.step.open(partition))
            .collect::<Result<_>>()?;
        Ok(Stages { plan, stages })
    }

    /// Takes a batch through the guard and all stages.
    pub fn apply(&mut self, batch: Batch, retrying: &Retrying<'_>) -> Result<Staged> {
        let guarded = self.plan.guard.check(batch)?;
        let mut batch = guarded.batch;
        let mut counts = Vec::with_capacity(self.stages.len());
        for (planned, stage) in self.plan.stages.iter().zip(&mut self.stages) {
            let began = thread_cpu();
            let rows_in = batch.records.num_rows() as u64;
            let (refused_before, kept_before) = (batch.rejects.len(), stage.kept());
            let changed = apply_stage(planned, stage.as_mut(), &batch, retrying)?;
            batch = batch.advance(changed, planned.step.kind(), &planned.name)?;
            counts.push(StageCounts {
                rows_in,
                rows_out: batch.records.num_rows() as u64,
                rejected: (batch.rejects.len() - refused_before) as u64,
                cpu_us: (thread_cpu() - began).as_micros() as u64,
                kept: stage.kept() - kept_before,
            });
        }
        Ok(Staged {
            batch,
            counts,
            values_discarded: guarded.values_discarded,
        })
    }

    /// Every stage's own counters, by stage.
    pub fn counters(&self) -> Vec<Vec<(String, u64)>> {
        self.stages.iter().map(|stage| stage.counters()).collect()
    }
}

fn apply_stage(
    planned: &PlannedStage,
    stage: &mut dyn Stage,
    batch: &Batch,
    retrying: &Retrying<'_>,
) -> Result<Changed> {
    match retrying.run(|| stage.apply(batch)) {
        Err(error)
            if may_be_its_records(&error)
                && planned.on_error != OnError::Stop
                && batch.records.num_rows() > 0 =>
        {
            let output = planned.step.output().to_arrow();
            let mut deadly = 0;
            bisect(stage, batch, &output, error, &mut deadly)
        }
        result => result,
    }
}

/// Whether a plugin may fail because of some records. One that was caught with two answers for the
/// same rows is wrong as a whole, and no part of the batch makes it right.
fn may_be_its_records(error: &Error) -> bool {
    error.class() == Class::Plugin && error.code() != "plugin::nondeterministic"
}

/// Applies the stage to halves until only the records it dies on are left, and refuses those.
fn bisect(
    stage: &mut dyn Stage,
    batch: &Batch,
    output: &SchemaRef,
    error: Error,
    deadly: &mut usize,
) -> Result<Changed> {
    let rows = batch.records.num_rows();
    if rows == 1 {
        *deadly += 1;
        if *deadly > DEADLY_RECORDS_MAX {
            return Err(error);
        }
        let reject = RowReject {
            row: 0,
            column: None,
            code: error.code().to_owned(),
            message: error.chain(),
        };
        return Ok(Changed {
            records: RecordBatch::new_empty(output.clone()),
            origin: Some(Vec::new()),
            rejects: vec![reject],
        });
    }
    let middle = rows / 2;
    let mut halves = Vec::with_capacity(2);
    for (offset, length) in [(0, middle), (middle, rows - middle)] {
        let half = slice(batch, offset, length);
        let changed = match stage.apply(&half) {
            Err(error) if may_be_its_records(&error) => {
                bisect(stage, &half, output, error, deadly)?
            }
            result => result?,
        };
        halves.push((offset as u32, length, changed));
    }
    join(halves, rows, output)
}

fn slice(batch: &Batch, offset: usize, length: usize) -> Batch {
    let origin: Arc<[u32]> = (offset..offset + length)
        .map(|row| batch.source_row(row))
        .collect();
    Batch {
        records: batch.records.slice(offset, length),
        origin: Some(origin),
        rejects: Vec::new(),
        ..batch.clone()
    }
}

fn join(halves: Vec<(u32, usize, Changed)>, rows: usize, output: &SchemaRef) -> Result<Changed> {
    let mut origin = Vec::with_capacity(rows);
    let mut rejects = Vec::new();
    let mut records = Vec::with_capacity(halves.len());
    for (offset, length, changed) in halves {
        match &changed.origin {
            Some(rows) => origin.extend(rows.iter().map(|row| row + offset)),
            None => origin.extend((0..length as u32).map(|row| row + offset)),
        }
        rejects.extend(changed.rejects.into_iter().map(|reject| RowReject {
            row: reject.row + offset,
            ..reject
        }));
        records.push(changed.records);
    }
    Ok(Changed {
        records: concat_batches(output, &records)?,
        origin: Some(origin),
        rejects,
    })
}
