//! Planning: which column is which field, what is converted, and what cannot be.

mod refusals;

use arrow::array::ArrayRef;
use dkhost_core::{Field, LogicalType, Node, NodeKind, Result, Role, Schema, Span};
use dkhost_schema::rule::Rules;
use dkhost_schema::{FieldVersion, RESERVED, SchemaVersion};

use super::rules::native;
use crate::expr::convert::refusal;
use crate::expr::{Expression, Scope};

/// What is done besides checking rules.
#[derive(Clone, Copy)]
pub(super) enum Mode<'a> {
    /// Columns must be the version's fields.
    Check,
    /// Values of other types are converted, defaults filled in.
    Coerce,
    /// Only the rules of these fields.
    Only(&'a [String]),
}

/// A version bound to an input.
pub(super) struct Bound {
    /// The version: `user@2.0.0`.
    pub(super) version: String,
    /// Its fields, or those that are asked for.
    pub(super) fields: Vec<BoundField>,
    /// Expressions that must not be false, bound to `checked`.
    pub(super) checks: Vec<Expression>,
    /// What checks see: the output, nulls allowed, then optional fields that are no columns.
    pub(super) checked: Schema,
    /// The step's output: the input's columns, then fields that were none.
    pub(super) output: Schema,
    /// Indices of the step's columns among the input's and those that were none; documents' columns
    /// that the version does not know are left out.
    pub(super) kept: Vec<usize>,
    /// Indices and names of the others: a document with a value there is refused.
    pub(super) unknown: Vec<(usize, String)>,
    /// The input column of what documents hold besides columns.
    pub(super) rest: Option<usize>,
    /// Whether values are converted.
    pub(super) coerces: bool,
    /// Names of columns that go on and are no fields; `None` where any may.
    known: Option<Vec<String>>,
    pub(super) reads: Vec<String>,
    pub(super) summary: String,
}

/// A field of a version bound to a column.
pub(super) struct BoundField {
    pub(super) name: String,
    pub(super) logical: LogicalType,
    /// Index of its column in the input.
    pub(super) column: Option<usize>,
    /// Index of its column among the input's and those that were none.
    pub(super) output: Option<usize>,
    /// The type of the column, where it is another.
    pub(super) from: Option<LogicalType>,
    /// One row, for records without a value.
    pub(super) default: Option<ArrayRef>,
    pub(super) required: bool,
    pub(super) rules: Rules,
}

impl Bound {
    /// Binds a version.
    pub(super) fn of(
        version: &SchemaVersion,
        mode: Mode<'_>,
        span: &Span,
        scope: &Scope,
    ) -> Result<Bound> {
        let binding = Binding {
            version,
            mode,
            span,
            scope,
        };
        let fields = binding.fields()?;
        binding.refuse_unknown()?;
        let unknown = binding.unknown();
        let mut output = binding.output(&fields);
        let checked = checked(&output, &fields);
        let is_kept = |at: &usize| !unknown.contains(at);
        let kept: Vec<usize> = (0..output.fields.len()).filter(is_kept).collect();
        let columns = kept.iter().map(|at| output.fields[*at].clone());
        output = Schema::new(columns.collect());
        let name = |at: &usize| (*at, scope.input.fields[*at].name.clone());
        let unknown = unknown.iter().map(name).collect();
        let checks = match mode {
            Mode::Only(_) => Vec::new(),
            Mode::Check | Mode::Coerce => binding.checks(&checked)?,
        };
        let mut bound = Bound {
            version: version.id.to_string(),
            rest: scope.input.role(Role::Rest),
            coerces: matches!(mode, Mode::Coerce),
            known: binding.known(),
            kept,
            unknown,
            reads: Vec::new(),
            summary: binding.summary(),
            fields,
            checks,
            checked,
            output,
        };
        bound.reads = bound.reads(scope.input);
        Ok(bound)
    }

    /// Whether a field of a document is one that may not be there.
    pub(super) fn is_unknown(&self, name: &str) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| !known.iter().any(|one| one == name))
    }

    /// Columns with their values untouched.
    pub(super) fn carries(&self) -> Vec<(String, String)> {
        let is_filled = |field: &BoundField| {
            field.from.is_some() || field.default.is_some() || (self.coerces && self.rest.is_some())
        };
        let filled = |name: &str| {
            let mut fields = self.fields.iter();
            fields.any(|field| field.name == name && is_filled(field))
        };
        let names = self.output.names().filter(|name| !filled(name));
        names
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect()
    }

    /// Columns in which a null that stands for a value would be taken for one. The rest says which
    /// those are, where there is one; without it every field's column is.
    fn reads(&self, input: &Schema) -> Vec<String> {
        let is_field = |name: &str| self.fields.iter().any(|field| field.name == name);
        let is_read = |name: &&str| match is_field(name) {
            true => self.rest.is_none(),
            false => {
                let mut read = self.checks.iter().flat_map(|check| check.columns());
                read.any(|column| column == name)
            }
        };
        input.names().filter(is_read).map(str::to_owned).collect()
    }
}

/// What checks see.
fn checked(output: &Schema, fields: &[BoundField]) -> Schema {
    // Rows that are refused may hold nulls where the output has none.
    let columns = output.fields.iter().map(|field| Field {
        nullable: true,
        ..field.clone()
    });
    let absent = fields.iter().filter(|field| field.output.is_none());
    let absent = absent.map(|field| Field::new(field.name.clone(), field.logical.clone()));
    Schema::new(columns.chain(absent).collect())
}

struct Binding<'a> {
    version: &'a SchemaVersion,
    mode: Mode<'a>,
    span: &'a Span,
    scope: &'a Scope<'a>,
}

impl Binding<'_> {
    fn fields(&self) -> Result<Vec<BoundField>> {
        let is_asked = |field: &&FieldVersion| match self.mode {
            Mode::Only(names) => names.contains(&field.name),
            Mode::Check | Mode::Coerce => true,
        };
        let mut appended = self.scope.input.fields.len();
        let mut bound = Vec::new();
        for field in self.version.fields.iter().filter(is_asked) {
            let mut field = self.field(field)?;
            if field.column.is_none() && self.appends(&field) {
                field.output = Some(appended);
                appended += 1;
            }
            bound.push(field);
        }
        Ok(bound)
    }

    /// Whether a field that is no column becomes one: its default fills it, or what documents say
    /// of it is converted.
    fn appends(&self, field: &BoundField) -> bool {
        let converts = matches!(self.mode, Mode::Coerce);
        field.default.is_some() || (converts && self.scope.input.role(Role::Rest).is_some())
    }

    fn field(&self, field: &FieldVersion) -> Result<BoundField> {
        let column = self.column(&field.name);
        let default = match (&self.mode, &field.default) {
            (Mode::Coerce, Some(default)) => Some(native([default], &field.logical)?),
            _ => None,
        };
        let required = self.version.needs(field);
        let from = match column {
            None if required && default.is_none() => return Err(self.missing(field)),
            None => None,
            Some(column) => self.converted(field, &self.scope.input.fields[column])?,
        };
        let mut rules = field.rules.clone();
        rules.unique &= !matches!(self.mode, Mode::Only(_));
        Ok(BoundField {
            name: field.name.clone(),
            logical: field.logical.clone(),
            output: column,
            rules,
            column,
            from,
            default,
            required,
        })
    }

    /// Index of the column of a field; metadata and rest are none.
    fn column(&self, name: &str) -> Option<usize> {
        let fields = &self.scope.input.fields;
        fields.iter().position(|field| {
            field.name == name && !matches!(field.role, Some(Role::Meta | Role::Rest))
        })
    }

    /// The type a column is converted from, if it is.
    fn converted(&self, field: &FieldVersion, column: &Field) -> Result<Option<LogicalType>> {
        if column.logical == field.logical {
            return Ok(None);
        }
        let impossible = match column.role {
            None => refusal(&column.logical, &field.logical),
            Some(_) => Some("a record's id is text".to_owned()),
        };
        match (impossible, self.mode) {
            (None, Mode::Coerce) => Ok(Some(column.logical.clone())),
            (impossible, _) => Err(self.wrong_type(field, column, impossible)),
        }
    }

    /// What may be there besides fields; `None` where anything may.
    fn known(&self) -> Option<Vec<String>> {
        let is_closed = !self.version.open && !matches!(self.mode, Mode::Only(_));
        let reserved = self
            .scope
            .input
            .fields
            .iter()
            .filter(|field| field.role.is_some());
        let names = reserved.map(|field| field.name.as_str()).chain(RESERVED);
        is_closed.then(|| names.map(str::to_owned).collect())
    }

    /// Columns that the version does not know and does not allow.
    fn unknown(&self) -> Vec<usize> {
        if self.known().is_none() {
            return Vec::new();
        }
        let is_unknown =
            |name: &str| self.version.field(name).is_none() && !RESERVED.contains(&name);
        let columns = self.scope.input.data_fields();
        let unknown = columns.filter(|(_, field)| is_unknown(&field.name));
        unknown.map(|(at, _)| at).collect()
    }

    fn output(&self, bound: &[BoundField]) -> Schema {
        let mut output = self.scope.input.clone();
        for field in bound
            .iter()
            .filter(|field| field.column.is_none() && field.output.is_some())
        {
            output.fields.push(Field {
                null_is_absent: field.default.is_none(),
                ..Field::new(field.name.clone(), field.logical.clone())
            });
        }
        for field in bound {
            let Some(column) = field.output else { continue };
            let column = &mut output.fields[column];
            if column.logical != field.logical {
                column.logical = field.logical.clone();
                column.source_type = None;
                // A value that is none of the type is refused, but json has a null of its own.
                column.nullable |= field.from == Some(LogicalType::Json);
            }
            column.nullable &= !field.required;
        }
        if !matches!(self.mode, Mode::Only(_)) && !self.version.key.is_empty() {
            for column in &mut output.fields {
                let place = self
                    .version
                    .key
                    .iter()
                    .position(|name| *name == column.name);
                column.key = place.map(|place| place as u32);
            }
        }
        output
    }

    fn checks(&self, checked: &Schema) -> Result<Vec<Expression>> {
        let scope = Scope {
            reader: self.scope.reader.clone(),
            input: checked,
            now: self.scope.now,
        };
        let checks = self.version.checks.iter().map(|text| {
            let node = Node {
                kind: NodeKind::Text(text.clone()),
                span: self.span.clone(),
            };
            Expression::parse_condition(&node, &scope)
                .map_err(|error| self.wrong_check(text, &error))
        });
        checks.collect()
    }

    fn summary(&self) -> String {
        let id = &self.version.id;
        match self.mode {
            Mode::Check => id.to_string(),
            Mode::Coerce => format!("{id}, values converted"),
            Mode::Only(fields) => format!("{} as in {id}", fields.join(", ")),
        }
    }
}
