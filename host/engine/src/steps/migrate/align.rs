//! Columns brought to the fields of a version: its order, its types, nothing it does not know.
//!
//! A column of another type is converted value by value, as `type_cast` does: exactly, or the record
//! is refused. A field that is no column is looked for in the rest of the document.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::SchemaRef;
use dkhost_core::error::nearest;
use dkhost_core::{
    Changed, Error, Field, LogicalType, Result, Role, RowReject, Schema, Span, Step,
};
use dkhost_schema::{FieldVersion, REMOVED, SchemaVersion};

use super::VERSION_FIELD;
use crate::expr::Scope;
use crate::expr::convert::{convert, refusal};
use crate::steps::built_in::{Facts, Work, changed, step};
use crate::steps::rest::{are_documents, entries, following};

/// Where a column of the version comes from.
enum From {
    /// A column as it is.
    Column(usize),
    /// A column of another type.
    Converted(usize),
    /// A field of the rest.
    Rest,
    /// Nowhere: null.
    Nothing,
}

struct Align {
    input: Schema,
    output: Schema,
    schema: SchemaRef,
    columns: Vec<From>,
    rest: Option<usize>,
    /// Columns that the version does not know, where only records without a value in them go on.
    unknown: Vec<usize>,
    version: String,
}

/// What is said of columns that a version needs and does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The columns are those of the version, or the plan is refused.
    Plan,
    /// The columns are of many records: what one of them has too much or lacks is its own fault.
    Records,
}

/// The step that brings the input to a version's fields; `None` if they are that already.
///
/// *Errors* – `schema::missing_field`, `schema::wrong_type` where nothing converts, and
/// `schema::unknown_field`, at `span`.
pub(super) fn align(
    version: &SchemaVersion,
    strictness: Strictness,
    span: &Span,
    scope: &Scope,
) -> Result<Option<Box<dyn Step>>> {
    let documents = are_documents(scope.input);
    let strictness = match documents {
        true => Strictness::Records,
        false => strictness,
    };
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let mut take = |field: Field, from| {
        fields.push(field);
        columns.push(from);
    };
    let input = scope.input;
    let is_field = |field: &Field| version.field(&field.name).is_some();
    let reserved = |role: Role| input.role(role).filter(|at| !is_field(&input.fields[*at]));
    if let Some(id) = reserved(Role::Id) {
        take(input.fields[id].clone(), From::Column(id));
    }
    for wanted in &version.fields {
        let (field, from) = source_of(wanted, version, strictness, documents, span, scope)?;
        take(field, from);
    }
    let mut unknown = Vec::new();
    for (at, field) in input.data_fields().filter(|(_, field)| !is_field(field)) {
        match version.open || is_ours(&field.name) {
            true => take(field.clone(), From::Column(at)),
            false if strictness == Strictness::Records => unknown.push(at),
            false => return Err(surplus(field, version, span, scope)),
        }
    }
    for at in [reserved(Role::Meta), reserved(Role::Rest)]
        .into_iter()
        .flatten()
    {
        take(input.fields[at].clone(), From::Column(at));
    }
    let is_same = |(at, from): (usize, &From)| matches!(from, From::Column(index) if *index == at);
    if columns.len() == input.fields.len() && columns.iter().enumerate().all(is_same) {
        return Ok(None);
    }
    Ok(Some(bound(version, input, fields, columns, unknown)))
}

/// Columns that hold what a version does not say.
fn is_ours(name: &str) -> bool {
    name == REMOVED || name == VERSION_FIELD
}

fn bound(
    version: &SchemaVersion,
    input: &Schema,
    fields: Vec<Field>,
    columns: Vec<From>,
    unknown: Vec<usize>,
) -> Box<dyn Step> {
    let name = |at: &usize| input.fields[*at].name.clone();
    let mut facts = Facts {
        output: Schema::new(fields),
        reads: unknown.iter().map(name).collect(),
        ..Facts::default()
    };
    for (field, from) in facts.output.fields.iter().zip(&columns) {
        match from {
            From::Column(at) => facts.carries.push((name(at), field.name.clone())),
            From::Converted(at) => {
                facts.reads.push(name(at));
                let (from, to) = (&input.fields[*at].logical, &field.logical);
                facts.summary += &format!("{} from {from} to {to}; ", field.name);
            }
            From::Rest | From::Nothing => (),
        }
    }
    facts.summary = facts.summary.trim_end_matches("; ").to_owned();
    let work = Align {
        input: input.clone(),
        schema: facts.output.to_arrow(),
        output: facts.output.clone(),
        rest: input.role(Role::Rest),
        version: version.id.to_string(),
        columns,
        unknown,
    };
    following(step(facts, work), input)
}

fn source_of(
    wanted: &FieldVersion,
    version: &SchemaVersion,
    strictness: Strictness,
    documents: bool,
    span: &Span,
    scope: &Scope,
) -> Result<(Field, From)> {
    let key = version.key.iter().position(|name| *name == wanted.name);
    let typed = |field: Field| Field {
        key: key.map_or(field.key, |place| Some(place as u32)),
        logical: wanted.logical.clone(),
        ..field
    };
    let Some(at) = scope.input.index_of(&wanted.name) else {
        if strictness == Strictness::Plan {
            return Err(lacking(wanted, version, span, scope));
        }
        let fresh = Field {
            null_is_absent: documents,
            ..Field::new(wanted.name.clone(), wanted.logical.clone())
        };
        let from = match documents {
            true => From::Rest,
            false => From::Nothing,
        };
        return Ok((typed(fresh), from));
    };
    let old = &scope.input.fields[at];
    if old.logical == wanted.logical {
        return Ok((typed(old.clone()), From::Column(at)));
    }
    if let Some(why) = refusal(&old.logical, &wanted.logical) {
        let what = format!(
            "{} needs `{}` as {} for {}: {why}",
            scope.reader, wanted.name, wanted.logical, version.id
        );
        return Err(Error::config("schema::wrong_type", what)
            .at(
                span.clone(),
                format!("`{}` is {}", wanted.name, old.logical),
            )
            .help(
                "convert it in a step before this one, or declare its type in the source: fields",
            ));
    }
    let converted = Field {
        source_type: None,
        nullable: true,
        ..old.clone()
    };
    Ok((typed(converted), From::Converted(at)))
}

fn lacking(wanted: &FieldVersion, version: &SchemaVersion, span: &Span, scope: &Scope) -> Error {
    let label = match nearest(&wanted.name, scope.input.names()) {
        Some(near) => format!("there is `{near}`"),
        None => "not there".to_owned(),
    };
    let message = format!(
        "{} needs the field `{}` of {}",
        scope.reader, wanted.name, version.id
    );
    let null = "null";
    Error::config("schema::missing_field", message)
        .at(span.clone(), label)
        .help(format!(
            "compute it in a step before this one: set = {{ {} = \"{null}\" }}; or name the version that the records are of",
            wanted.name
        ))
}

fn surplus(field: &Field, version: &SchemaVersion, span: &Span, scope: &Scope) -> Error {
    let name = &field.name;
    let message = format!(
        "{} gets the field `{name}`, which {} does not know",
        scope.reader, version.id
    );
    let known = version.fields.iter().map(|field| field.name.as_str());
    let label = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "no such field".to_owned(),
    };
    Error::config("schema::unknown_field", message)
        .at(span.clone(), label)
        .help(format!(
            "leave it out: drop = [\"{name}\"]; or say open = true in the schema"
        ))
}

impl Work for Align {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let mut rejects = self.too_much(records);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (field, from) in self.output.fields.iter().zip(&self.columns) {
            columns.push(self.column(records, field, from, &mut rejects)?);
        }
        changed(self.schema.clone(), columns, records.num_rows(), rejects)
    }
}

impl Align {
    fn column(
        &self,
        records: &RecordBatch,
        field: &Field,
        from: &From,
        rejects: &mut Vec<RowReject>,
    ) -> Result<ArrayRef> {
        let nothing = || Ok(new_null_array(&field.logical.arrow(), records.num_rows()));
        let (values, logical) = match from {
            From::Column(at) => return Ok(records.column(*at).clone()),
            From::Nothing => return nothing(),
            From::Converted(at) => (records.column(*at).clone(), &self.input.fields[*at].logical),
            From::Rest => match self.in_rest(records, &field.name)? {
                Some(values) => (values, &LogicalType::Json),
                None => return nothing(),
            },
        };
        let converted =
            convert(&values, logical, &field.logical).map_err(|fault| Error::bug(fault.message))?;
        rejects.extend(converted.failed.iter().map(|row| RowReject {
            row: *row,
            column: Some(field.name.clone()),
            code: "schema::wrong_type".to_owned(),
            message: converted.reason(&values, *row as usize, logical, &field.logical),
        }));
        Ok(converted.values)
    }

    /// A field's values in the rest, as JSON; `None` if no record has it.
    fn in_rest(&self, records: &RecordBatch, name: &str) -> Result<Option<ArrayRef>> {
        let Some(rest) = self.rest.map(|at| records.column(at)) else {
            return Ok(None);
        };
        if rest.null_count() == rest.len() {
            return Ok(None);
        }
        let mut found = StringBuilder::new();
        for text in rest.as_string::<i32>() {
            let entries = text.map(entries).transpose()?.unwrap_or_default();
            let value = entries.iter().find(|(entry, _)| entry == name);
            let value = value.map(|(_, value)| value.get());
            found.append_option(value.filter(|value| *value != "null"));
        }
        Ok(Some(Arc::new(found.finish())))
    }

    fn too_much(&self, records: &RecordBatch) -> Vec<RowReject> {
        let mut rejects = Vec::new();
        for at in &self.unknown {
            let column = records.column(*at);
            if column.logical_null_count() == column.len() {
                continue;
            }
            let name = &self.input.fields[*at].name;
            let version = &self.version;
            let nulls = column.logical_nulls();
            let has_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
            rejects.extend((0..column.len()).filter(has_value).map(|row| RowReject {
                row: row as u32,
                column: Some(name.clone()),
                code: "schema::unknown_field".to_owned(),
                message: format!("{version} has no field `{name}`"),
            }));
        }
        rejects
    }
}
