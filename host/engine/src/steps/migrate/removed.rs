//! What a migration takes out of records and keeps: the column `_removed`, an object of values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, new_null_array,
};
use arrow::datatypes::SchemaRef;
use dkhost_core::{
    Changed, Error, Field, LogicalType, Result, Role, RowReject, Schema, Span, Step,
};
use dkhost_schema::REMOVED;
use serde_json::value::RawValue;

use super::kept::Kept;
use crate::expr::Scope;
use crate::expr::convert::{convert, refusal};
use crate::steps::built_in::{Facts, Work, changed, step};
use crate::steps::index_of;
use crate::steps::rest::{are_documents, following};

/// Moves columns into `_removed`.
struct Keep {
    fields: Vec<(usize, Field)>,
    removed: Option<usize>,
    left: Vec<usize>,
    at: usize,
    schema: SchemaRef,
}

/// Moves values of `_removed` into columns of their own.
struct Restore {
    fields: Vec<Field>,
    removed: Option<usize>,
    schema: SchemaRef,
}

/// The step that takes fields out and keeps their values.
pub(super) fn keep(names: &[String], span: &Span, scope: &Scope) -> Result<Box<dyn Step>> {
    let input = scope.input;
    let mut fields = Vec::new();
    for name in names {
        let at = index_of(name, span, scope)?;
        let field = input.fields[at].clone();
        if field.logical != LogicalType::Utf8
            && let Some(why) = refusal(&field.logical, &LogicalType::Json)
        {
            let what = format!("{} cannot keep the values of `{name}`: {why}", scope.reader);
            return Err(Error::config("schema::cannot_keep", what).at(span.clone(), "here"));
        }
        fields.push((at, field));
    }
    let removed = removed_of(span, scope)?;
    let is_left = |at: &usize| fields.iter().all(|(gone, _)| gone != at) && Some(*at) != removed;
    let left: Vec<usize> = (0..input.fields.len()).filter(is_left).collect();
    let mut output: Vec<Field> = left.iter().map(|at| input.fields[*at].clone()).collect();
    let carries = output
        .iter()
        .map(|field| (field.name.clone(), field.name.clone()));
    let carries = carries.collect();
    // Before the reserved columns, where a field would stand.
    let is_last = |field: &Field| matches!(field.role, Some(Role::Meta | Role::Rest));
    let at = output.iter().position(is_last).unwrap_or(output.len());
    let removed_field = Field {
        null_is_absent: are_documents(input),
        ..Field::new(REMOVED, LogicalType::Json)
    };
    output.insert(at, removed_field);
    let facts = Facts {
        output: Schema::new(output),
        reads: names.to_vec(),
        carries,
        summary: format!("without {} (kept in {REMOVED})", names.join(", ")),
        ..Facts::default()
    };
    let schema = facts.output.to_arrow();
    let work = Keep {
        fields,
        removed,
        left,
        at,
        schema,
    };
    Ok(following(step(facts, work), input))
}

/// The step that puts values back into fields of these types, behind the others; null where nothing
/// was kept.
pub(super) fn restore(fields: Vec<Field>, span: &Span, scope: &Scope) -> Result<Box<dyn Step>> {
    let input = scope.input;
    for field in &fields {
        if input.index_of(&field.name).is_some() {
            let what = format!("{} restores `{}`, which is there", scope.reader, field.name);
            return Err(Error::config("plan::name_taken", what).at(span.clone(), "here"));
        }
        if let Some(why) = refusal(&LogicalType::Json, &field.logical) {
            let what = format!("{} cannot restore `{}`: {why}", scope.reader, field.name);
            return Err(Error::config("schema::cannot_keep", what).at(span.clone(), "here"));
        }
    }
    let removed = removed_of(span, scope)?;
    let carried = input.names().filter(|name| *name != REMOVED);
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let mut output = input.fields.clone();
    output.extend(fields.iter().map(|field| Field {
        null_is_absent: are_documents(input),
        ..field.clone()
    }));
    let facts = Facts {
        reads: removed.map(|_| REMOVED.to_owned()).into_iter().collect(),
        carries: carried
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect(),
        summary: format!("{} out of {REMOVED}", names.join(", ")),
        output: Schema::new(output),
        ..Facts::default()
    };
    let schema = facts.output.to_arrow();
    let work = Restore {
        fields,
        removed,
        schema,
    };
    Ok(following(step(facts, work), input))
}

impl Work for Keep {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let mut rejects = Vec::new();
        let mut kept: Vec<(&str, ArrayRef)> = Vec::new();
        for (at, field) in &self.fields {
            let values = as_json(records.column(*at), field, &mut rejects)?;
            kept.push((&field.name, values));
        }
        let mut objects = StringBuilder::new();
        for row in 0..records.num_rows() {
            let before = self.removed.map(|at| records.column(at));
            let mut all = kept_before(before, row, &mut rejects);
            for (name, values) in &kept {
                let values = values.as_string::<i32>();
                let value = values.is_valid(row).then(|| raw(values.value(row)));
                all.push(name, value.transpose()?);
            }
            objects.append_option(all.text()?);
        }
        let mut columns: Vec<ArrayRef> = self
            .left
            .iter()
            .map(|at| records.column(*at).clone())
            .collect();
        columns.insert(self.at, Arc::new(objects.finish()));
        changed(self.schema.clone(), columns, records.num_rows(), rejects)
    }
}

impl Work for Restore {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let rows = records.num_rows();
        let mut columns = records.columns().to_vec();
        let mut rejects = Vec::new();
        let Some(at) = self.removed else {
            let nothing = self
                .fields
                .iter()
                .map(|field| new_null_array(&field.logical.arrow(), rows));
            columns.extend(nothing);
            return changed(self.schema.clone(), columns, rows, rejects);
        };
        let mut left = StringBuilder::new();
        let mut found: Vec<StringBuilder> =
            self.fields.iter().map(|_| StringBuilder::new()).collect();
        for row in 0..rows {
            let mut all = kept_before(Some(records.column(at)), row, &mut rejects);
            for (field, found) in self.fields.iter().zip(&mut found) {
                found.append_option(all.pop(&field.name).map(RawValue::get));
            }
            left.append_option(all.text()?);
        }
        columns[at] = Arc::new(left.finish());
        for (field, mut found) in self.fields.iter().zip(found) {
            let json: ArrayRef = Arc::new(found.finish());
            columns.push(converted(&json, &LogicalType::Json, field, &mut rejects)?);
        }
        changed(self.schema.clone(), columns, rows, rejects)
    }
}

/// What a record has kept before; a record whose `_removed` is something else is refused.
fn kept_before<'a>(
    column: Option<&'a ArrayRef>,
    row: usize,
    rejects: &mut Vec<RowReject>,
) -> Kept<'a> {
    let texts = column.map(|column| column.as_string::<i32>());
    let Some(texts) = texts.filter(|texts| texts.is_valid(row)) else {
        return Kept::default();
    };
    Kept::read(texts.value(row)).unwrap_or_else(|| {
        rejects.push(RowReject {
            row: row as u32,
            column: Some(REMOVED.to_owned()),
            code: "schema::cannot_keep".to_owned(),
            message: format!("`{REMOVED}` is no object of kept values"),
        });
        Kept::default()
    })
}

/// Where records have what was kept before.
///
/// *Errors* – `schema::cannot_keep` for a column of another type.
fn removed_of(span: &Span, scope: &Scope) -> Result<Option<usize>> {
    let Some(at) = scope.input.index_of(REMOVED) else {
        return Ok(None);
    };
    let logical = &scope.input.fields[at].logical;
    if [LogicalType::Json, LogicalType::Utf8].contains(logical) {
        return Ok(Some(at));
    }
    let what = format!(
        "{} keeps values in `{REMOVED}`, which is {logical} here and not json",
        scope.reader
    );
    Err(Error::config("schema::cannot_keep", what)
        .at(span.clone(), "here")
        .help(format!(
            "rename that column in a step before this one: rename = {{ {REMOVED} = \"removed\" }}"
        )))
}

/// A column's values as JSON text.
fn as_json(values: &ArrayRef, field: &Field, rejects: &mut Vec<RowReject>) -> Result<ArrayRef> {
    if field.logical == LogicalType::Utf8 {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let texts = values
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(quoted));
        return Ok(Arc::new(texts.collect::<StringArray>()));
    }
    let json = Field {
        logical: LogicalType::Json,
        ..field.clone()
    };
    converted(values, &field.logical, &json, rejects)
}

fn converted(
    values: &ArrayRef,
    from: &LogicalType,
    to: &Field,
    rejects: &mut Vec<RowReject>,
) -> Result<ArrayRef> {
    let converted =
        convert(values, from, &to.logical).map_err(|fault| Error::bug(fault.message))?;
    rejects.extend(converted.failed.iter().map(|row| RowReject {
        row: *row,
        column: Some(to.name.clone()),
        code: "schema::cannot_keep".to_owned(),
        message: converted.reason(values, *row as usize, from, &to.logical),
    }));
    Ok(converted.values)
}

fn raw(json: &str) -> Result<&RawValue> {
    serde_json::from_str(json).map_err(|cause| Error::bug("a value is no JSON").caused_by(cause))
}
