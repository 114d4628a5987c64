//! Columns brought to the fields of a version: its order, its types, nothing it does not know.
//!
//! A column of another type is converted value by value, as `type_cast` does: exactly, or the record
//! is refused. A field that is no column is looked for in the rest of the document.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::SchemaRef;
use dkhost_core::error::nearest;
use dkhost_core::{
    Changed, Error, Field, LogicalType, Result, Role, RowReject, Schema, Span, Step,
};
use dkhost_schema::{FieldVersion, REMOVED, RESERVED, SchemaVersion};
use serde_json::value::RawValue;

use super::VERSION_FIELD;
use super::stamp::StampAt;
use crate::expr::Scope;
use crate::expr::convert::{convert, refusal};
use crate::expr::fault::tidy;
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

/// The fields that a record has beside its columns, values as they are written.
type Beside<'a> = Vec<(String, &'a RawValue)>;

struct Align {
    input: Schema,
    output: Schema,
    schema: SchemaRef,
    columns: Vec<From>,
    rest: Option<usize>,
    /// Columns that the version does not know, where only records without a value in them go on.
    unknown: Vec<usize>,
    /// The version they cannot pass.
    closed: String,
    /// Fields beside the columns that cannot pass, of an open version; of a closed one none can.
    made: Option<Vec<String>>,
    /// Whether a record that says its version was not asked for it.
    is_told: bool,
}

/// What columns are brought to.
pub(super) struct Target<'a> {
    /// The version whose fields they become.
    pub(super) version: &'a SchemaVersion,
    /// What is said of columns that it needs or does not know.
    pub(super) strictness: Strictness,
    /// The version that does not let fields pass which it does not know: this one, or one later on
    /// the way.
    pub(super) closed: Option<&'a SchemaVersion>,
    /// Fields that are made on the way: nothing else passes under these names.
    pub(super) made: &'a [&'a str],
}

impl<'a> Target<'a> {
    /// A version whose fields are there.
    pub(super) fn of(version: &'a SchemaVersion) -> Self {
        Target {
            version,
            strictness: Strictness::Plan,
            closed: closed(version),
            made: &[],
        }
    }
}

/// The version, if it does not let fields pass that it does not know.
pub(super) fn closed(version: &SchemaVersion) -> Option<&SchemaVersion> {
    (!version.open).then_some(version)
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
    target: &Target<'_>,
    span: &Span,
    scope: &Scope,
) -> Result<Option<Box<dyn Step>>> {
    let version = target.version;
    let documents = are_documents(scope.input);
    let strictness = match documents {
        true => Strictness::Records,
        false => target.strictness,
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
        let name = field.name.as_str();
        match target.closed {
            None if strictness == Strictness::Plan || !target.made.contains(&name) => {
                take(field.clone(), From::Column(at));
            }
            _ if RESERVED.contains(&name) => take(field.clone(), From::Column(at)),
            _ if strictness == Strictness::Records => unknown.push(at),
            closed => return Err(surplus(field, closed.unwrap_or(version), span, scope)),
        }
    }
    if documents && target.made.contains(&REMOVED) && input.index_of(REMOVED).is_none() {
        let kept = Field {
            null_is_absent: true,
            ..Field::new(REMOVED, LogicalType::Json)
        };
        take(kept, From::Rest);
    }
    for at in [reserved(Role::Meta), reserved(Role::Rest)]
        .into_iter()
        .flatten()
    {
        take(input.fields[at].clone(), From::Column(at));
    }
    let is_same = |(at, from): (usize, &From)| matches!(from, From::Column(index) if *index == at);
    let is_all = columns.len() == input.fields.len() && columns.iter().enumerate().all(is_same);
    let may_stand_beside = documents && (target.closed.is_some() || !target.made.is_empty());
    if is_all && !may_stand_beside {
        return Ok(None);
    }
    Ok(Some(bound(target, input, fields, columns, unknown)))
}

fn bound(
    target: &Target<'_>,
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
        closed: target.closed.unwrap_or(target.version).id.to_string(),
        made: target
            .closed
            .is_none()
            .then(|| target.made.iter().map(|name| (*name).to_owned()).collect()),
        is_told: StampAt::of(input).is_none(),
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
        let beside = self.beside(records)?;
        self.too_much_beside(&beside, &mut rejects);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (field, from) in self.output.fields.iter().zip(&self.columns) {
            columns.push(self.column(records, &beside, field, from, &mut rejects)?);
        }
        changed(self.schema.clone(), columns, records.num_rows(), rejects)
    }
}

impl Align {
    fn column(
        &self,
        records: &RecordBatch,
        beside: &[Beside<'_>],
        field: &Field,
        from: &From,
        rejects: &mut Vec<RowReject>,
    ) -> Result<ArrayRef> {
        let nothing = || Ok(new_null_array(&field.logical.arrow(), records.num_rows()));
        let (values, logical) = match from {
            From::Column(at) => return Ok(records.column(*at).clone()),
            From::Nothing => return nothing(),
            From::Converted(at) => (records.column(*at).clone(), &self.input.fields[*at].logical),
            From::Rest if beside.is_empty() => return nothing(),
            From::Rest => (found(beside, &field.name), &LogicalType::Json),
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

    /// What the rest of each record holds; nothing at all where no record has a rest.
    fn beside<'r>(&self, records: &'r RecordBatch) -> Result<Vec<Beside<'r>>> {
        let rest = self.rest.map(|at| records.column(at).as_string::<i32>());
        let rest = rest.filter(|rest| rest.null_count() < rest.len());
        let texts = rest.into_iter().flatten();
        texts
            .map(|text| Ok(text.map(entries).transpose()?.unwrap_or_default()))
            .collect()
    }

    /// Records with a value in a column that cannot pass.
    fn too_much(&self, records: &RecordBatch) -> Vec<RowReject> {
        let mut rejects = Vec::new();
        for at in &self.unknown {
            let column = records.column(*at);
            if column.logical_null_count() == column.len() {
                continue;
            }
            let name = &self.input.fields[*at].name;
            let nulls = column.logical_nulls();
            let has_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
            let rows = (0..column.len()).filter(has_value);
            rejects.extend(rows.map(|row| self.unknown(row, name)));
        }
        rejects
    }

    /// Documents with a field that is no column and cannot pass: a step behind this one may make a
    /// column of its name.
    fn too_much_beside(&self, beside: &[Beside<'_>], rejects: &mut Vec<RowReject>) {
        let passes = |name: &str| match &self.made {
            _ if self.output.field(name).is_some() || RESERVED.contains(&name) => true,
            Some(made) => made.iter().all(|made| made != name),
            None => false,
        };
        for (row, entries) in beside.iter().enumerate() {
            let mut unknown = entries
                .iter()
                .filter(|(name, value)| value.get() != "null" && !passes(name));
            if let Some((name, _)) = unknown.next() {
                rejects.push(self.unknown(row, name));
            } else if self.is_told && entries.iter().any(|(name, _)| name == VERSION_FIELD) {
                rejects.push(unasked(row));
            }
        }
    }

    fn unknown(&self, row: usize, name: &str) -> RowReject {
        RowReject {
            row: row as u32,
            column: Some(name.to_owned()),
            code: "schema::unknown_field".to_owned(),
            message: format!("{} has no field `{}`", self.closed, tidy(name)),
        }
    }
}

/// A field's values in the rest, as JSON; a null is none.
fn found(beside: &[Beside<'_>], name: &str) -> ArrayRef {
    let values = beside.iter().map(|entries| {
        let (_, value) = entries.iter().find(|(entry, _)| entry == name)?;
        Some(value.get()).filter(|value| *value != "null")
    });
    Arc::new(values.collect::<StringArray>())
}

/// Taken for what other records are, it would be migrated a second time.
fn unasked(row: usize) -> RowReject {
    RowReject {
        row: row as u32,
        column: Some(VERSION_FIELD.to_owned()),
        code: "schema::no_version".to_owned(),
        message: format!(
            "the record says its version, and others do not: declare it in the source, fields = {{ {VERSION_FIELD} = \"utf8\" }}"
        ),
    }
}
