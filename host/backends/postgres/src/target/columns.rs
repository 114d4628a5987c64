//! How each column of the plan is held by its column of the table, and what that may cost.
//!
//! Where a column takes the wire form of the type as it is, rows go to it directly. Elsewhere
//! values are sent in their own form and converted by the server; a value that would not come back
//! the same is refused, row by row, and what can never come back the same is called lossy in the plan.

use arrow::array::{Array, RecordBatch};
use dkhost_core::{Column, Error, Field, Outcome, Result, RowReject};

use super::shape::Shape;
use super::stage::Fates;
use crate::catalog::{ColumnDef, Table};
use crate::kind::{self, Reading, Writing};
use crate::name::quote;

/// A column of the plan at its place in the table.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub field: Field,
    /// Its name in the table, quoted.
    pub quoted: String,
    /// How values get in.
    pub writing: Writing,
    /// How they are read back.
    pub reading: Reading,
    /// ` COLLATE "…"` where equal texts may differ in their bytes.
    pub collate: String,
    /// Whether values that the column calls equal are the same.
    pub equal_is_same: bool,
    /// Whether its type has an order.
    pub is_ordered: bool,
    /// What the plan says about it.
    pub shown: Column,
}

/// The columns of `fields` in `table`, by name.
///
/// *Errors* – `postgres::missing_column`, `postgres::generated_column`, `postgres::wrong_type`.
pub(super) fn find(table: &Table, fields: &[Field]) -> Result<Vec<Held>> {
    fields.iter().map(|field| find_one(table, field)).collect()
}

fn find_one(table: &Table, field: &Field) -> Result<Held> {
    let Some(column) = table.column(&field.name) else {
        return Err(missing(table, field));
    };
    if column.generated {
        return Err(Error::config(
            "postgres::generated_column",
            format!(
                "`{}` of {} is generated from other columns and cannot be written",
                column.name,
                table.label()
            ),
        )
        .help(format!(
            "leave it out with a step: drop = [{:?}]",
            field.name
        )));
    }
    hold(field, column).map_err(|why| {
        Error::config(
            "postgres::wrong_type",
            format!(
                "`{}` of {} is {} and {why}",
                column.name,
                table.label(),
                column.ty.spelled,
            ),
        )
        .help(format!(
            "convert it in a step, as in apply = {{ {:?} = {{ type_cast = {{ to = … }} }} }}",
            field.name
        ))
    })
}

/// Columns an error names.
const NAMED_MAX: usize = 30;

fn missing(table: &Table, field: &Field) -> Error {
    let alter = match (table.sql(), quote(&field.name)) {
        (Ok(table), Ok(column)) => format!(
            "ALTER TABLE {table} ADD COLUMN {column} {}",
            kind::declare(field, None, None)
        ),
        _ => "ALTER TABLE … ADD COLUMN …".to_owned(),
    };
    let mut known: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    if known.len() > NAMED_MAX {
        known.truncate(NAMED_MAX);
        known.push("…");
    }
    Error::config(
        "postgres::missing_column",
        format!("{} has no column `{}`", table.label(), field.name),
    )
    .help(format!(
        "add it (`{alter}`), leave it out with a step (drop = [{:?}]), or rename it to one the table has: {}",
        field.name,
        known.join(", ")
    ))
}

fn hold(field: &Field, column: &ColumnDef) -> Result<Held, String> {
    let bottom = column.ty.bottom();
    let writing = Writing::of(field, &column.ty)?;
    let reading = Reading::declared(&column.ty, &field.logical)?;
    let quoted = quote(&column.name).map_err(|error| error.to_string())?;
    let loose = column
        .collation
        .as_ref()
        .filter(|collation| !collation.deterministic);
    let known = |names: &[&str]| names.contains(&bottom.name.as_str());
    Ok(Held {
        collate: match loose {
            Some(collation) => format!(
                " COLLATE {}",
                quote(&collation.name).map_err(|error| error.to_string())?
            ),
            None => String::new(),
        },
        equal_is_same: loose.is_none()
            && !known(&[
                "numeric", "float4", "float8", "bpchar", "citext", "interval",
            ]),
        is_ordered: !known(&[
            "json", "xml", "point", "polygon", "path", "line", "box", "circle", "lseg",
        ]),
        shown: Column {
            name: field.name.clone(),
            target_type: column.ty.spelled.clone(),
            how: writing.how.clone(),
            lossy: writing.lossy.clone(),
        },
        field: field.clone(),
        quoted,
        writing,
        reading,
    })
}

impl Held {
    /// Whether values are sent in the column's own form.
    pub(super) fn is_direct(&self) -> bool {
        self.writing.direct
    }

    /// The column's value from what was sent.
    pub(super) fn value(&self, sent: &str, table: &str) -> String {
        self.writing.value(sent, table, &self.quoted)
    }

    /// Reads the column of row `t`.
    pub(super) fn read(&self) -> String {
        self.reading.sql(&format!("t.{}", self.quoted))
    }

    /// Whether the column keeps what was sent as it is; `None` where it always does.
    pub(super) fn keeps(&self, sent: &str, table: &str) -> Option<String> {
        self.writing.keeps(sent, table, &self.quoted)
    }

    /// What asks whether the server can make the column's value of what was sent: true or an
    /// error. `None` where it always can.
    pub(super) fn readable(&self, sent: &str, table: &str) -> Option<String> {
        self.writing.readable(sent, table, &self.quoted)
    }

    /// What tries the column's type on what was sent, to see whether it is this column that the
    /// server refuses a row for; `None` where it is sent as that type.
    pub(super) fn trial(&self, sent: &str, table: &str) -> Option<String> {
        let ty = &self.shown.target_type;
        (*ty != self.writing.stage).then(|| format!("({})::{ty}", self.value(sent, table)))
    }
}

impl Shape {
    /// The reject of a row whose value `column` would change.
    pub(super) fn would_change(&self, row: i32, column: i32) -> RowReject {
        let held = &self.held[column as usize];
        RowReject {
            row: row as u32,
            column: Some(held.field.name.clone()),
            code: "postgres::not_representable".to_owned(),
            message: format!(
                "`{}` is {}, which would change the value",
                held.field.name, held.shown.target_type
            ),
        }
    }
}

/// Refuses rows without a value in a key that is to be met: a null meets nothing, not even itself.
pub(super) fn guard(shape: &Shape, records: &RecordBatch, fates: &mut Fates) {
    for index in &shape.key {
        let column = records.column(*index);
        let name = &shape.held[*index].field.name;
        for row in (0..column.len()).filter(|row| column.null_count() > 0 && column.is_null(*row)) {
            if fates.outcomes[row] != Outcome::Rejected {
                fates.reject(RowReject {
                    row: row as u32,
                    column: Some(name.clone()),
                    code: "postgres::null_key".to_owned(),
                    message: format!("`{name}` is part of the key and has no value"),
                });
            }
        }
    }
}
