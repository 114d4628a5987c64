//! Columns replaced in place and columns appended: the work behind `set` and `apply`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use dkhost_core::{Changed, Field, Result, RowReject, Schema};

use super::built_in::{Facts, Work, changed};

/// Computes a column from a batch; the rows that have no value come back refused.
pub(super) trait Compute: Send + Sync {
    fn compute(&self, records: &RecordBatch, rejects: &mut Vec<RowReject>) -> Result<ArrayRef>;
}

/// A column that a step computes.
pub(super) struct Assignment {
    pub(super) field: Field,
    pub(super) compute: Box<dyn Compute>,
}

#[derive(Clone, Copy)]
enum From {
    Input(usize),
    Computed(usize),
}

/// The input's columns with some replaced and some appended.
pub(super) struct Assign {
    columns: Vec<From>,
    computes: Vec<Box<dyn Compute>>,
    schema: SchemaRef,
}

/// Facts (all but `reads` and `summary`) and work of these assignments. One with the name of an
/// input column takes its place; the others come last, in order.
pub(super) fn assign(input: &Schema, assignments: Vec<Assignment>) -> (Facts, Assign) {
    let mut fields = input.fields.clone();
    let mut columns: Vec<From> = (0..fields.len()).map(From::Input).collect();
    let mut computes = Vec::with_capacity(assignments.len());
    for (computed, Assignment { field, compute }) in assignments.into_iter().enumerate() {
        computes.push(compute);
        match input.index_of(&field.name) {
            Some(index) => {
                fields[index] = field;
                columns[index] = From::Computed(computed);
            }
            None => {
                fields.push(field);
                columns.push(From::Computed(computed));
            }
        }
    }
    let carried = input
        .fields
        .iter()
        .zip(&columns)
        .filter(|(_, from)| matches!(from, From::Input(_)));
    let carries = carried
        .map(|(field, _)| (field.name.clone(), field.name.clone()))
        .collect();
    let output = Schema::new(fields);
    let schema = output.to_arrow();
    (
        Facts {
            output,
            carries,
            ..Facts::default()
        },
        Assign {
            columns,
            computes,
            schema,
        },
    )
}

impl Work for Assign {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let mut rejects = Vec::new();
        let computed: Vec<ArrayRef> = self
            .computes
            .iter()
            .map(|compute| compute.compute(records, &mut rejects))
            .collect::<Result<_>>()?;
        let columns = self.columns.iter().map(|from| match from {
            From::Input(index) => Arc::clone(records.column(*index)),
            From::Computed(index) => Arc::clone(&computed[*index]),
        });
        changed(
            self.schema.clone(),
            columns.collect(),
            records.num_rows(),
            rejects,
        )
    }
}
