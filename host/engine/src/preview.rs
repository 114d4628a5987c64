//! The first records before and after every step, without touching the target.

use arrow::array::RecordBatch;
use dkhost_core::{Batch, Position, Reject, Result};

use crate::plan::Plan;

/// The records as they stand at one place of the plan.
#[derive(Debug, Clone)]
pub struct Scene {
    /// `source`, or the stage's name.
    pub name: String,
    /// What the stage does.
    pub summary: String,
    /// The records.
    pub records: RecordBatch,
    /// For each row the number of its source record, from 0.
    pub origin: Vec<u32>,
    /// Records refused here, by source record.
    pub rejects: Vec<Reject>,
}

/// Takes the first `records` source records through the steps.
pub fn preview(plan: &Plan, records: usize) -> Result<Vec<Scene>> {
    let Some(partition) = plan.partitions.first() else {
        return Ok(Vec::new());
    };
    let mut reader = plan.source.read(partition, &Position::start())?;
    let Some(batch) = reader.next()? else {
        return Ok(Vec::new());
    };
    let mut batch = crate::run::first_records(batch, records as u64)?;
    let mut scenes = vec![scene("source", "", &batch, 0)];
    batch = plan.guard.check(batch)?.batch;
    for planned in &plan.stages {
        let refused_before = batch.rejects.len();
        let changed = planned.step.open(0)?.apply(&batch)?;
        batch = batch.advance(changed, planned.step.kind(), &planned.name)?;
        scenes.push(scene(
            &planned.name,
            &planned.step.note().summary,
            &batch,
            refused_before,
        ));
    }
    Ok(scenes)
}

fn scene(name: &str, summary: &str, batch: &Batch, refused_before: usize) -> Scene {
    Scene {
        name: name.to_owned(),
        summary: summary.to_owned(),
        records: batch.records.clone(),
        origin: (0..batch.records.num_rows())
            .map(|row| batch.source_row(row))
            .collect(),
        rejects: batch.rejects[refused_before..].to_vec(),
    }
}
