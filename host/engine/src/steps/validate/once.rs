//! `unique` behind a step that makes records of a version out of something else.
//!
//! Whatever may fail on the way has not failed by then, so that no record is asked twice: a batch that
//! is tried again, or in halves, would meet its own values.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use dkhost_core::{Changed, LogicalType, Result, Step};
use dkhost_schema::SchemaVersion;

use super::unique::{Unique, turns};
use super::violations::Violations;
use super::work::{earlier, marked};
use crate::steps::behind::{Behind, behind};

/// `step`, refusing records that repeat a value of a unique field of the version; `step` itself where
/// no field is unique.
pub(super) fn once(step: Box<dyn Step>, version: &SchemaVersion) -> Box<dyn Step> {
    let is_unique = |name: &str| version.field(name).is_some_and(|field| field.rules.unique);
    let fields = step.output().fields.iter().enumerate();
    let fields = fields.filter(|(_, field)| field.role.is_none() && is_unique(&field.name));
    let columns = fields.map(|(index, field)| (index, field.name.clone(), field.logical.clone()));
    let columns: Vec<(usize, String, LogicalType)> = columns.collect();
    match Unique::of(columns.iter().map(|(index, ..)| *index).collect()) {
        None => step,
        Some(unique) => behind(step, Once { columns, unique }),
    }
}

struct Once {
    /// Columns of the output: index, name, type.
    columns: Vec<(usize, String, LogicalType)>,
    unique: Unique,
}

impl Behind for Once {
    /// Adds refusals of rows of the input; the engine takes their rows out.
    fn then(&self, changed: &mut Changed) -> Result<()> {
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
        changed.rejects.extend(rejects);
        Ok(())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn summary(&self) -> String {
        turns(self.columns.iter().map(|(_, name, _)| name.as_str()))
    }
}
