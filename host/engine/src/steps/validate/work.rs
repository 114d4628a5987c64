//! At work: columns filled, every rule asked, the rows that break one refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, Scalar, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::SchemaRef;
use dkhost_core::{Changed, LogicalType, Result};

use super::super::built_in::changed;
use super::bind::{Bound, BoundField};
use super::coerce::{coerce, or};
use super::rest::{self, Rest};
use super::rules::Rule;
use super::unique::Unique;
use super::violations::{Violation, Violations};
use crate::expr::convert::value_text;
use crate::expr::fault::shown;
use crate::expr::{Evaluated, Expression};

/// A version, compiled for the batches of one partition.
pub(super) struct Validator {
    bound: Arc<Bound>,
    /// By field.
    rules: Vec<Vec<Rule>>,
    output: SchemaRef,
    checked: SchemaRef,
    unique: Option<Arc<Unique>>,
}

/// The values of a field.
struct Filled {
    /// `None` where no record has one.
    values: Option<ArrayRef>,
    /// The column as it was, where it was of another type.
    before: Option<ArrayRef>,
    /// Rows of `before` that could not be converted.
    failed: Option<BooleanBuffer>,
    /// Rows whose value stands in the rest because it is none of the type, and that value.
    strays: Vec<(usize, String)>,
}

impl Validator {
    /// Compiles the rules; the values seen so far are shared.
    pub(super) fn of(bound: &Arc<Bound>, unique: Option<Arc<Unique>>) -> Result<Self> {
        let rules = bound.fields.iter();
        let rules = rules.map(|field| Rule::compile(&field.rules, &field.logical));
        Ok(Validator {
            rules: rules.collect::<Result<_>>()?,
            output: bound.output.to_arrow(),
            checked: bound.checked.to_arrow(),
            bound: bound.clone(),
            unique,
        })
    }

    /// Takes the records through that satisfy the version and refuses the others.
    pub(super) fn validate(&self, records: &RecordBatch) -> Result<Changed> {
        let (bound, rows) = (&*self.bound, records.num_rows());
        let mut rest = match bound.rest {
            Some(column) => rest::look(records.column(column), bound)?,
            None => Rest::default(),
        };
        for (at, name) in &bound.unknown {
            rest.add(name, records.column(*at));
        }
        let filled = self.filled(records, &rest)?;
        let columns = self.columns(records, &filled);
        let checked = self.checked(&columns, &filled, rows)?;
        let mut violations = Violations::default();
        for ((field, filled), rules) in bound.fields.iter().zip(&filled).zip(&self.rules) {
            look(field, filled, rules, bound, rows, &mut violations);
        }
        for (check, evaluated) in bound.checks.iter().zip(&checked) {
            ask(check, evaluated, rows, &mut violations);
        }
        unknown(&rest, bound, rows, &mut violations);
        if let Some(unique) = &self.unique {
            self.repeated(unique, &filled, rows, &mut violations)?;
        }
        let kept = bound.kept.iter().map(|at| columns[*at].clone());
        changed(
            self.output.clone(),
            kept.collect(),
            rows,
            violations.rejects(),
        )
    }

    /// Adds values that an earlier record has. Asked last: a record that is wrong has none.
    fn repeated<'a>(
        &'a self,
        unique: &Unique,
        filled: &'a [Filled],
        rows: usize,
        violations: &mut Violations<'a>,
    ) -> Result<()> {
        let fields = unique.fields.iter();
        let columns = fields.map(|index| {
            let values = filled[*index].values.as_ref();
            (values, &self.bound.fields[*index].logical)
        });
        let columns: Vec<_> = columns.collect();
        let marks = unique.repeated(&columns, violations.rows().as_ref(), rows)?;
        for (index, marks) in unique.fields.iter().zip(marks) {
            let (field, values) = (&self.bound.fields[*index], &filled[*index].values);
            let name = &*field.name;
            // A row is marked for the value it has.
            if let Some(values) = values {
                violations.of_column(marks, "schema::unique", name, move |row| {
                    earlier(name, values, row, &field.logical)
                });
            }
        }
        Ok(())
    }

    fn filled(&self, records: &RecordBatch, rest: &Rest) -> Result<Vec<Filled>> {
        let fields = self.bound.fields.iter().enumerate();
        let filled = fields.map(|(index, field)| {
            let late = rest.values.get(&index).map_or(&[][..], Vec::as_slice);
            fill(field, records, late, self.bound.coerces)
        });
        filled.collect()
    }

    /// The output's columns.
    fn columns(&self, records: &RecordBatch, filled: &[Filled]) -> Vec<ArrayRef> {
        let mut columns = records.columns().to_vec();
        for (field, filled) in self.bound.fields.iter().zip(filled) {
            let (Some(at), Some(values)) = (field.output, &filled.values) else {
                continue;
            };
            match columns.get_mut(at) {
                Some(column) => *column = values.clone(),
                // Fields that were no columns come last, in the order of the version.
                None => columns.push(values.clone()),
            }
        }
        columns
    }

    /// What the checks say of each row.
    fn checked(
        &self,
        columns: &[ArrayRef],
        filled: &[Filled],
        rows: usize,
    ) -> Result<Vec<Evaluated>> {
        let checks = &self.bound.checks;
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = columns.to_vec();
        for (field, filled) in self.bound.fields.iter().zip(filled) {
            if field.output.is_none() {
                let none = || new_null_array(&field.logical.arrow(), rows);
                columns.push(filled.values.clone().unwrap_or_else(none));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let records = RecordBatch::try_new_with_options(self.checked.clone(), columns, &options)?;
        checks
            .iter()
            .map(|check| check.evaluate_rows(&records))
            .collect()
    }
}

/// The values of a field: its column's, converted if need be, then those of the rest that fit, then
/// the default.
fn fill(
    field: &BoundField,
    records: &RecordBatch,
    late: &[(usize, String)],
    coerces: bool,
) -> Result<Filled> {
    let rows = records.num_rows();
    let column = field.column.map(|index| records.column(index));
    let mut filled = Filled {
        values: column.cloned(),
        before: None,
        failed: None,
        strays: Vec::new(),
    };
    if let (Some(column), Some(from)) = (column, &field.from) {
        let coerced = coerce(column, from, &field.logical)?;
        filled.values = Some(coerced.values);
        filled.failed = coerced.failed;
        filled.before = Some(column.clone());
    }
    if !late.is_empty() {
        match column {
            Some(_) if !coerces => filled.strays = late.to_vec(),
            _ => add_late(&mut filled, field, late, coerces, rows)?,
        }
    }
    if field.output.is_some() {
        let none = || new_null_array(&field.logical.arrow(), rows);
        let values = filled.values.take().unwrap_or_else(none);
        filled.values = Some(match &field.default {
            Some(default) => with_default(values, default)?,
            None => values,
        });
    }
    Ok(filled)
}

fn with_default(values: ArrayRef, default: &ArrayRef) -> Result<ArrayRef> {
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => Ok(values),
        Some(nulls) => {
            let missing = BooleanArray::new(!nulls.inner(), None);
            Ok(zip(&missing, &Scalar::new(default.clone()), &values)?)
        }
    }
}

/// Adds values of the rest that are of the field's type, or can be converted to it.
fn add_late(
    filled: &mut Filled,
    field: &BoundField,
    late: &[(usize, String)],
    coerces: bool,
    rows: usize,
) -> Result<()> {
    let added = match coerces {
        true => {
            coerce(
                &rest::as_json(late, rows),
                &LogicalType::Json,
                &field.logical,
            )?
            .values
        }
        false => rest::as_type(late, rows, &field.logical)?,
    };
    let strays = late.iter().filter(|(row, _)| added.is_null(*row));
    filled.strays = strays.cloned().collect();
    filled.values = Some(match &filled.values {
        None => added,
        Some(values) => {
            let is_added = match added.nulls() {
                Some(nulls) => nulls.inner().clone(),
                None => BooleanBuffer::new_set(rows),
            };
            zip(&BooleanArray::new(is_added, None), &added, values)?
        }
    });
    Ok(())
}

/// Adds what is wrong with the values of a field.
fn look<'a>(
    field: &'a BoundField,
    filled: &'a Filled,
    rules: &'a [Rule],
    bound: &'a Bound,
    rows: usize,
    violations: &mut Violations<'a>,
) {
    let (name, wants) = (&*field.name, &field.logical);
    let stray = marked(filled.strays.iter().map(|(row, _)| *row), rows);
    if let (Some(before), Some(from)) = (&filled.before, &field.from) {
        let failed = filled.failed.clone();
        violations.of_column(failed, "schema::wrong_type", name, move |row| {
            format!(
                "`{name}` is {}, which is no {wants}",
                value_text(before, row, from)
            )
        });
    }
    violations.of_column(stray.clone(), "schema::wrong_type", name, move |row| {
        let strays = &filled.strays;
        let at = strays.binary_search_by_key(&row, |(row, _)| *row);
        let json = at.map_or("", |at| &strays[at].1);
        format!(
            "`{name}` is {}, which is no {wants}",
            shown(json, &LogicalType::Json)
        )
    });
    let Some(values) = &filled.values else {
        return;
    };
    if field.required {
        let wrong = or(filled.failed.clone(), stray);
        violations.of_column(
            missing(values, wrong),
            "schema::required",
            name,
            move |_| format!("`{name}` has no value, and {} requires one", bound.version),
        );
    }
    for rule in rules {
        violations.of_column(rule.broken(values), rule.code, name, move |row| {
            rule.text(name, values, row, wants)
        });
    }
}

/// What is said of a row whose value an earlier record has.
pub(super) fn earlier(name: &str, values: &ArrayRef, row: usize, logical: &LogicalType) -> String {
    let value = value_text(values, row, logical);
    format!("`{name}` is {value}, which an earlier record has")
}

/// Rows without a value that are not wrong already.
fn missing(values: &ArrayRef, wrong: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let missing = !nulls.inner();
    let missing = match wrong {
        Some(wrong) => &missing & &!&wrong,
        None => missing,
    };
    (missing.count_set_bits() > 0).then_some(missing)
}

/// Marks at these rows; `None` when there are none.
pub(super) fn marked(marks: impl Iterator<Item = usize>, rows: usize) -> Option<BooleanBuffer> {
    let mut found = vec![false; rows];
    let mut any = false;
    for row in marks {
        (found[row], any) = (true, true);
    }
    any.then(|| found.into())
}

/// Adds the rows for which a check is false, or cannot be computed.
fn ask<'a>(
    check: &'a Expression,
    evaluated: &'a Evaluated,
    rows: usize,
    violations: &mut Violations<'a>,
) {
    let violation = |text: String| Violation {
        code: "schema::check",
        columns: check.columns().to_vec(),
        text,
    };
    let text = || super::violations::cut(check.text());
    if let Some(values) = evaluated.values.as_boolean_opt() {
        let is_false = match values.nulls() {
            Some(nulls) => nulls.inner() & &!values.values(),
            None => !values.values(),
        };
        let is_false = (is_false.count_set_bits() > 0).then_some(is_false);
        violations.add(is_false, move |_, told| {
            told.push(violation(format!("`{}` is false", text())));
        });
    }
    let faults = &evaluated.faults;
    let at_fault = marked(faults.iter().map(|fault| fault.row as usize), rows);
    violations.add(at_fault, move |row, told| {
        let at = faults.binary_search_by_key(&(row as u32), |fault| fault.row);
        let why = at.map_or("", |at| &faults[at].message);
        told.push(violation(format!("`{}` cannot be computed: {why}", text())));
    });
}

/// Adds fields of documents that the version does not know.
fn unknown<'a>(rest: &'a Rest, bound: &'a Bound, rows: usize, violations: &mut Violations<'a>) {
    let found = marked(rest.unknown.keys().copied(), rows);
    violations.add(found, move |row, told| {
        for name in rest.unknown.get(&row).into_iter().flatten() {
            let shown = super::violations::cut(&name.escape_debug().to_string());
            told.push(Violation {
                code: "schema::unknown_field",
                columns: vec![name.clone()],
                text: format!("`{shown}` is no field of {}", bound.version),
            });
        }
    });
}
