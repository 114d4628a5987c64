//! Which columns are read, as what, and what is selected beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dkhost_core::{Error, Field, LogicalType, OpenSource, Result, Span};

use super::filter::Filterable;
use super::order::Order;
use super::relation::{Column, Relation, no_column};
use super::rows::{KeyAt, KeyForm, Layout};
use crate::copy::{Decoder, Wire};
use crate::kind::Reading;
use crate::name::quote;

/// What is selected of each row.
pub(crate) struct Selection {
    /// The schema's columns.
    pub fields: Vec<Field>,
    /// What stands after SELECT: the columns, then the extras.
    pub expressions: Vec<String>,
    pub layout: Arc<Layout>,
    pub notes: Vec<String>,
    /// The fields and the extras, as they are decoded.
    decoded: Vec<Field>,
    wires: Vec<Wire>,
}

impl Selection {
    /// The wanted columns, and what else is needed to find a row again.
    ///
    /// *Errors* – `postgres::no_column`, `postgres::bad_type`; `postgres::unreadable` for a column
    /// of a type that cannot be read.
    pub(crate) fn of(
        relation: &Relation,
        order: &Order,
        open: &OpenSource,
        declared: &BTreeMap<String, String>,
        span: Span,
    ) -> Result<Self> {
        for name in declared.keys() {
            if !relation.columns.iter().any(|column| column.name == *name) {
                let error = no_column("fields", name, &relation.columns, &relation.label);
                return Err(error.at(span, "here"));
            }
        }
        let wanted: Vec<usize> = match &open.columns {
            None => (0..relation.columns.len()).collect(),
            Some(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                relation.places("columns", &names)?
            }
        };
        let mut selection = Selection {
            fields: Vec::new(),
            expressions: Vec::new(),
            layout: Arc::new(Layout::default()),
            notes: Vec::new(),
            decoded: Vec::new(),
            wires: Vec::new(),
        };
        let mut forms = Vec::with_capacity(wanted.len());
        for place in &wanted {
            let column = &relation.columns[*place];
            let reading = reading(column, declared).map_err(|e| e.at_least(span.clone()))?;
            forms.push(selection.add(column, &reading)?);
        }
        selection.mark_key(relation);
        let layout = selection.extend(relation, order, &wanted, &forms)?;
        selection.layout = Arc::new(layout);
        Ok(selection)
    }

    /// A decoder of everything that is selected.
    pub(crate) fn decoder(&self) -> Result<Decoder> {
        Decoder::new(&self.decoded, &self.wires)
    }

    /// Adds a column; how a part of a key in it comes, if a position can carry it as it comes.
    fn add(&mut self, column: &Column, reading: &Reading) -> Result<Option<KeyForm>> {
        let quoted = quote(&column.name)?;
        let mut field = Field::new(&column.name, reading.logical.clone());
        field.nullable = column.nullable;
        field.source_type = Some(column.ty.spelled.clone());
        field.left_behind = column.left_behind.clone();
        if let Some(how) = &reading.how {
            self.notes.push(format!(
                "`{}` ({}) is read {how}",
                column.name, column.ty.spelled
            ));
        }
        let expression = reading.sql(&quoted);
        let form = match reading.wire {
            _ if expression != quoted => None,
            Wire::Int2 | Wire::Int4 | Wire::Int8 => Some(KeyForm::Integer),
            Wire::Uuid => Some(KeyForm::Uuid),
            // Blanks at the end of a char(n) do not count when it is compared, but cost.
            Wire::Text => Some(KeyForm::Text),
            _ => None,
        };
        self.expressions.push(expression);
        self.wires.push(reading.wire);
        self.decoded.push(field.clone());
        self.fields.push(field);
        Ok(form)
    }

    /// Marks the key, if all of it is read.
    fn mark_key(&mut self, relation: &Relation) {
        let names = relation.key_names();
        let places: Option<Vec<usize>> = names
            .iter()
            .map(|name| self.fields.iter().position(|field| field.name == *name))
            .collect();
        for (place, index) in places.into_iter().flatten().enumerate() {
            self.fields[index].key = Some(place as u32);
        }
    }

    /// Adds what a position needs and the columns do not have, as text.
    fn extend(
        &mut self,
        relation: &Relation,
        order: &Order,
        wanted: &[usize],
        forms: &[Option<KeyForm>],
    ) -> Result<Layout> {
        let mut key = Vec::new();
        let parts: Vec<(String, Option<usize>)> = match order {
            Order::Key(parts) => parts
                .iter()
                .map(|part| {
                    let column = &relation.columns[part.column].name;
                    Ok((quote(column)?, Some(part.column)))
                })
                .collect::<Result<_>>()?,
            Order::Ctid => vec![("ctid".to_owned(), None)],
            Order::None => Vec::new(),
        };
        for (expression, column) in parts {
            let read = wanted.iter().position(|place| Some(*place) == column);
            let known = read.and_then(|at| {
                Some(KeyAt {
                    at,
                    form: forms[at]?,
                })
            });
            key.push(match known {
                Some(known) => known,
                None => self.extra(&expression),
            });
        }
        Ok(Layout {
            relation: Arc::from(relation.name.as_str()),
            fields: self.fields.clone(),
            key,
            is_ctid: *order == Order::Ctid,
            is_store: false,
        })
    }

    fn extra(&mut self, expression: &str) -> KeyAt {
        let at = self.expressions.len();
        self.expressions.push(format!("{expression}::text"));
        self.wires.push(Wire::Text);
        let name = expression.trim_matches('"');
        self.decoded
            .push(Field::new(format!("{name} (key)"), LogicalType::Utf8));
        KeyAt {
            at,
            form: KeyForm::Text,
        }
    }
}

/// How a column is read.
fn reading(column: &Column, declared: &BTreeMap<String, String>) -> Result<Reading> {
    let reading = match declared.get(&column.name) {
        None => Reading::of(&column.ty),
        Some(wanted) => {
            let logical: LogicalType = wanted.parse().map_err(|why: String| {
                Error::config(
                    "postgres::bad_type",
                    format!("`fields.{}`: {why}", column.name),
                )
            })?;
            Reading::declared(&column.ty, &logical)
        }
    };
    reading.map_err(|why| {
        Error::config(
            "postgres::unreadable",
            format!("the column `{}` ({}) {why}", column.name, column.ty.spelled),
        )
        .help(format!(
            "leave it out with `columns = […]`, or read it as text with `fields = {{ {} = \"utf8\" }}`",
            column.name
        ))
    })
}

/// A column as conditions may name it.
pub(crate) fn filterable<'a>(
    column: &'a Column,
    declared: &BTreeMap<String, String>,
) -> Result<Filterable<'a>> {
    let reading = reading(column, declared)?;
    let quoted = quote(&column.name)?;
    Ok(Filterable {
        column,
        itself: reading.sql(&quoted) == quoted,
        logical: reading.logical,
    })
}
