//! Columns replaced in place and columns appended: the work behind `set` and `apply`.
//!
//! Where a null means "the field is not there", a value that becomes null must not take its field
//! along: its record gets an explicit null in the rest.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use dkhost_core::{Changed, Field, Result, Role, RowReject, Schema};

use super::built_in::{Facts, Work, changed};
use super::rest::with_nulls;

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
    explicit: Option<ExplicitNulls>,
}

/// Columns whose new nulls must be told from absent fields.
struct ExplicitNulls {
    rest: usize,
    /// Index and name.
    columns: Vec<(usize, String)>,
}

impl ExplicitNulls {
    fn of(input: &Schema, output: &Schema, columns: &[From]) -> Option<Self> {
        let rest = input.role(Role::Rest)?;
        let is_computed = |index: &usize| matches!(columns[*index], From::Computed(_));
        let columns: Vec<(usize, String)> = (0..input.fields.len())
            .filter(is_computed)
            .map(|index| (index, &output.fields[index]))
            .filter(|(_, field)| field.null_is_absent && field.role.is_none())
            .map(|(index, field)| (index, field.name.clone()))
            .collect();
        (!columns.is_empty()).then_some(ExplicitNulls { rest, columns })
    }

    /// Adds a null to the rest of each record for each value that has become one.
    fn add(&self, before: &RecordBatch, after: &mut [ArrayRef]) -> Result<()> {
        let mut became: Vec<Vec<&str>> = Vec::new();
        for (index, name) in &self.columns {
            let Some(new) = after[*index].logical_nulls() else {
                continue;
            };
            let lost = match before.column(*index).logical_nulls() {
                Some(old) => old.inner() & &!new.inner(),
                None => !new.inner(),
            };
            for row in lost.set_indices() {
                became.resize(before.num_rows(), Vec::new());
                became[row].push(name);
            }
        }
        if became.is_empty() {
            return Ok(());
        }
        let rest = before.column(self.rest).as_string::<i32>();
        let mut edited = StringBuilder::with_capacity(rest.len(), rest.value_data().len());
        for (text, names) in rest.iter().zip(&became) {
            match names.as_slice() {
                [] => edited.append_option(text),
                names => edited.append_value(with_nulls(text, names)?),
            }
        }
        after[self.rest] = Arc::new(edited.finish());
        Ok(())
    }
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
    let explicit = ExplicitNulls::of(input, &output, &columns);
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
            explicit,
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
        let mut columns: Vec<ArrayRef> = columns.collect();
        if let Some(explicit) = &self.explicit {
            explicit.add(records, &mut columns)?;
        }
        changed(self.schema.clone(), columns, records.num_rows(), rejects)
    }
}
