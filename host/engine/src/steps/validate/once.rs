//! `unique` behind a step that makes records of a version out of something else.
//!
//! Whatever may fail on the way has not failed by then, so that no record is asked twice: a batch that
//! is tried again, or in halves, would meet its own values.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::ArrayRef;
use dkhost_core::{
    Batch, Changed, LogicalType, Result, RowReject, Schema, Stage, StageKind, Step, StepNote,
};
use dkhost_schema::SchemaVersion;

use super::unique::{Unique, turns};
use super::violations::Violations;
use super::work::{earlier, marked};

/// `step`, refusing records that repeat a value of a unique field of the version; `step` itself where
/// no field is unique.
pub(super) fn once(step: Box<dyn Step>, version: &SchemaVersion) -> Box<dyn Step> {
    let is_unique = |name: &str| version.field(name).is_some_and(|field| field.rules.unique);
    let columns = step.output().fields.iter().enumerate();
    let columns = columns.filter(|(_, column)| column.role.is_none() && is_unique(&column.name));
    let columns: Vec<usize> = columns.map(|(index, _)| index).collect();
    match Unique::of(columns) {
        None => step,
        Some(unique) => Box::new(Once {
            step,
            unique: Arc::new(unique),
        }),
    }
}

struct Once {
    step: Box<dyn Step>,
    /// By column of the output.
    unique: Arc<Unique>,
}

impl Step for Once {
    fn kind(&self) -> StageKind {
        self.step.kind()
    }

    fn output(&self) -> &Schema {
        self.step.output()
    }

    fn reads(&self) -> Vec<String> {
        self.step.reads()
    }

    fn carries(&self) -> Vec<(String, String)> {
        self.step.carries()
    }

    fn keeps_unknown(&self) -> bool {
        self.step.keeps_unknown()
    }

    fn remembers(&self) -> bool {
        true
    }

    fn note(&self) -> StepNote {
        let note = self.step.note();
        let fields = &self.step.output().fields;
        let names = self.unique.fields.iter();
        let names = names.map(|index| fields[*index].name.as_str());
        StepNote {
            summary: note.summary + &turns(names),
            ..note
        }
    }

    fn open(&self, partition: u32) -> Result<Box<dyn Stage>> {
        let fields = &self.step.output().fields;
        let columns = self.unique.fields.iter();
        let columns = columns.map(|index| {
            let field = &fields[*index];
            (*index, field.name.clone(), field.logical.clone())
        });
        Ok(Box::new(AtWork {
            stage: self.step.open(partition)?,
            columns: columns.collect(),
            unique: self.unique.clone(),
        }))
    }
}

struct AtWork {
    stage: Box<dyn Stage>,
    columns: Vec<(usize, String, LogicalType)>,
    unique: Arc<Unique>,
}

impl Stage for AtWork {
    fn apply(&mut self, batch: &Batch) -> Result<Changed> {
        let mut changed = self.stage.apply(batch)?;
        let rejects = self.repeated(&changed)?;
        changed.rejects.extend(rejects);
        Ok(changed)
    }

    fn kept(&self) -> u64 {
        self.stage.kept()
    }

    fn counters(&self) -> Vec<(String, u64)> {
        self.stage.counters()
    }
}

impl AtWork {
    /// Refusals of rows of the input, the engine takes their rows out.
    fn repeated(&self, changed: &Changed) -> Result<Vec<RowReject>> {
        let (records, rows) = (&changed.records, changed.records.num_rows());
        let columns = self.columns.iter();
        let values: Vec<(Option<&ArrayRef>, &LogicalType)> = columns
            .map(|(index, _, logical)| (Some(records.column(*index)), logical))
            .collect();
        let input_row = |row: usize| match &changed.origin {
            Some(origin) => origin[row],
            None => row as u32,
        };
        let refused: HashSet<u32> = changed.rejects.iter().map(|reject| reject.row).collect();
        let is_refused = |row: &usize| refused.contains(&input_row(*row));
        let refused = match refused.is_empty() {
            true => None,
            false => marked((0..rows).filter(is_refused), rows),
        };
        let marks = self.unique.repeated(&values, refused.as_ref(), rows)?;
        let mut violations = Violations::default();
        for ((index, name, logical), marks) in self.columns.iter().zip(marks) {
            let column = records.column(*index);
            violations.of_column(marks, "schema::unique", name, move |row| {
                earlier(name, column, row, logical)
            });
        }
        let mut rejects = violations.rejects();
        for reject in &mut rejects {
            reject.row = input_row(reject.row as usize);
        }
        Ok(rejects)
    }
}
