//! What a [`Predicate`] means, in lines as plain as they can be: the reference for every source
//! that checks one itself.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::{Float32Type, Float64Type};

use crate::text::Appender;
use crate::{Comparison, Error, Literal, LogicalType, Predicate, Result, Schema};

/// For every row whether the condition is true, false, or (`None`) unknown.
///
/// *Shape* – `records` has the columns of `schema`.
/// *Errors* – `source::unknown_column`, `source::wrong_literal`: the condition was not made for
/// these columns.
pub fn decide(
    predicate: &Predicate,
    records: &RecordBatch,
    schema: &Schema,
) -> Result<Vec<Option<bool>>> {
    let rows = records.num_rows();
    let of_each = |parts: &[Predicate]| -> Result<Vec<Vec<Option<bool>>>> {
        parts
            .iter()
            .map(|part| decide(part, records, schema))
            .collect()
    };
    Ok(match predicate {
        Predicate::Compare { column, op, value } => {
            let (values, logical) = column_of(column, records, schema)?;
            let order = against(&values, logical, value)?;
            (0..rows)
                .map(|row| values.is_valid(row).then(|| holds(*op, order(row, 0))))
                .collect()
        }
        Predicate::In {
            column,
            values: list,
            negated,
        } => {
            let (values, logical) = column_of(column, records, schema)?;
            let orders = list
                .iter()
                .map(|literal| against(&values, logical, literal))
                .collect::<Result<Vec<_>>>()?;
            let is_in = |row| orders.iter().any(|order| order(row, 0).is_eq());
            (0..rows)
                .map(|row| values.is_valid(row).then(|| is_in(row) != *negated))
                .collect()
        }
        Predicate::IsNull { column, negated } => {
            let (values, _) = column_of(column, records, schema)?;
            (0..rows)
                .map(|row| Some(values.is_null(row) != *negated))
                .collect()
        }
        Predicate::Column(column) => {
            let (values, _) = column_of(column, records, schema)?;
            let values = values.as_boolean_opt().ok_or_else(|| wrong(column))?;
            values.iter().collect()
        }
        Predicate::And(parts) => {
            let parts = of_each(parts)?;
            (0..rows).map(|row| all(&parts, row)).collect()
        }
        Predicate::Or(parts) => {
            // Not (not a and not b).
            let parts: Vec<_> = of_each(parts)?.into_iter().map(not).collect();
            not((0..rows).map(|row| all(&parts, row)).collect())
        }
        Predicate::Not(part) => not(decide(part, records, schema)?),
    })
}

fn not(decided: Vec<Option<bool>>) -> Vec<Option<bool>> {
    decided
        .into_iter()
        .map(|known| known.map(|yes| !yes))
        .collect()
}

/// False if a part is false, else unknown if a part is, else true.
fn all(parts: &[Vec<Option<bool>>], row: usize) -> Option<bool> {
    if parts.iter().any(|part| part[row] == Some(false)) {
        return Some(false);
    }
    parts.iter().all(|part| part[row].is_some()).then_some(true)
}

fn holds(op: Comparison, order: Ordering) -> bool {
    match op {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

pub(super) fn column_of<'a>(
    name: &str,
    records: &RecordBatch,
    schema: &'a Schema,
) -> Result<(ArrayRef, &'a LogicalType)> {
    let index = schema.index_of(name).ok_or_else(|| {
        Error::config(
            "source::unknown_column",
            format!("there is no column `{name}`"),
        )
    })?;
    Ok((records.column(index).clone(), &schema.fields[index].logical))
}

/// Compares a row of `values` with row 0 of the literal.
fn against(values: &ArrayRef, logical: &LogicalType, literal: &Literal) -> Result<DynComparator> {
    if literal.logical != logical.to_string() {
        return Err(wrong(&literal.text));
    }
    let one = one_value(logical, &literal.text).ok_or_else(|| wrong(&literal.text))?;
    compare(values, &one)
}

/// Compares the rows of two columns of one type.
pub(super) fn compare(left: &ArrayRef, right: &ArrayRef) -> Result<DynComparator> {
    let (left, right) = (one_zero(left), one_zero(right));
    Ok(make_comparator(&left, &right, SortOptions::default())?)
}

/// Floats without the zero that has a sign; other columns as they are.
fn one_zero(values: &ArrayRef) -> ArrayRef {
    if let Some(floats) = values.as_primitive_opt::<Float64Type>() {
        return Arc::new(floats.unary::<_, Float64Type>(|float| float + 0.0));
    }
    match values.as_primitive_opt::<Float32Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float32Type>(|float| float + 0.0)),
        None => values.clone(),
    }
}

/// A column of one row.
pub(super) fn one_value(logical: &LogicalType, text: &str) -> Option<ArrayRef> {
    let mut value = Appender::new(logical);
    value.append(text).then(|| value.finish().ok()).flatten()
}

fn wrong(what: &str) -> Error {
    Error::config(
        "source::wrong_literal",
        format!("`{what}` is not of the type that is compared"),
    )
}
