//! Which columns a migration drops, renames, retypes and adds, from what is there and what is to
//! be there. What is as it should be is left alone, so that it may be asked again at any time.

use std::collections::{BTreeMap, BTreeSet};

use dkhost_core::{Error, Field, LogicalType, OpenTarget, Reshape, Result};

use super::super::ddl;
use crate::catalog::{ColumnDef, Table};
use crate::kind::Reading;
use crate::name::quote;
use crate::session::Session;

/// One statement, after `ALTER TABLE t`.
pub(super) struct Change {
    /// As it is run.
    pub clause: String,
    /// As people read it; empty for a step that only makes room for others.
    pub told: String,
}

impl Change {
    /// Whether the plan says it.
    pub(super) fn is_told(&self) -> bool {
        !self.told.is_empty()
    }
}

/// What becomes of the columns.
#[derive(Default)]
pub(super) struct Columns {
    /// In order.
    pub changes: Vec<Change>,
    /// Those that go, by the names they have now.
    pub dropped: Vec<String>,
    /// Those that get another type, by the names they have now, and the type.
    pub retyped: Vec<(String, String)>,
    /// Each column's type afterwards, by the name it then has; of added columns too.
    pub types: BTreeMap<String, String>,
    /// The names that columns have now, by those they will have.
    pub before: BTreeMap<String, String>,
}

impl Columns {
    fn push(&mut self, clause: String, told: String) {
        self.changes.push(Change { clause, told });
    }
}

/// A name as people read it: quoted only where SQL would need it.
pub(super) fn plain(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match is_plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// What becomes of the columns of `table`.
///
/// *Errors* – `postgres::name_taken`.
pub(super) fn find(
    session: &mut Session,
    table: &Table,
    reshape: &Reshape,
    open: &OpenTarget,
) -> Result<Columns> {
    let mut columns = Columns::default();
    let renames = renames(table, reshape)?;
    drop_columns(&mut columns, table, reshape, &renames)?;
    rename(&mut columns, &renames)?;
    let mut there: BTreeMap<&str, &ColumnDef> = BTreeMap::new();
    for column in &table.columns {
        let renamed = renames.iter().find(|(old, _)| *old == column.name);
        let name = renamed.map_or(column.name.as_str(), |(_, new)| new);
        if !columns.dropped.contains(&column.name) {
            there.insert(name, column);
            columns
                .types
                .insert(name.to_owned(), column.ty.spelled.clone());
            columns.before.insert(name.to_owned(), column.name.clone());
        }
    }
    let types = ddl::types(session, &open.schema.fields)?;
    let primary: Vec<&str> = table.primary_key();
    for (field, ty) in open.schema.fields.iter().zip(types) {
        let is_required = reshape.required.contains(&field.name);
        match there.get(field.name.as_str()) {
            None => add(&mut columns, field, ty, is_required || field.key.is_some())?,
            Some(column) if column.generated => return Err(generated(table, column)),
            Some(column) => {
                retype(&mut columns, field, column, ty)?;
                let must_be = column.identity.is_some() || primary.contains(&column.name.as_str());
                let stays = must_be || (field.key.is_some() && column.not_null);
                if !stays {
                    null(&mut columns, field, column, is_required)?;
                }
            }
        }
    }
    Ok(columns)
}

fn generated(table: &Table, column: &ColumnDef) -> Error {
    let alter = match (table.sql(), quote(&column.name)) {
        (Ok(table), Ok(column)) => {
            format!("ALTER TABLE {table} ALTER COLUMN {column} DROP EXPRESSION")
        }
        _ => "ALTER TABLE … ALTER COLUMN … DROP EXPRESSION".to_owned(),
    };
    Error::config(
        "postgres::generated_column",
        format!(
            "`{}` of {} is generated from other columns and cannot be written, and it is among the fields of the records",
            column.name,
            table.label()
        ),
    )
    .help(format!("make it a column of its own: {alter}"))
}

/// The renames that are still to be done, old name and new.
fn renames<'a>(table: &Table, reshape: &'a Reshape) -> Result<Vec<(&'a str, &'a str)>> {
    let has = |name: &str| table.column(name).is_some();
    let goes = |name: &str| {
        reshape.removed.iter().any(|removed| removed == name)
            || reshape.renamed.iter().any(|(old, _)| old == name)
    };
    let mut renames = Vec::new();
    for (old, new) in &reshape.renamed {
        if old == new || !has(old) {
            continue;
        }
        if has(new) && !goes(new) {
            return Err(Error::config(
                "postgres::name_taken",
                format!(
                    "`{old}` of {} is to be called `{new}`, and there is a column `{new}` already",
                    table.label()
                ),
            )
            .help(format!(
                "rename or drop the other one first: ALTER TABLE {} RENAME COLUMN {} TO …",
                table.sql()?,
                quote(new)?
            )));
        }
        renames.push((old.as_str(), new.as_str()));
    }
    Ok(renames)
}

fn drop_columns(
    columns: &mut Columns,
    table: &Table,
    reshape: &Reshape,
    renames: &[(&str, &str)],
) -> Result<()> {
    for name in &reshape.removed {
        let is_renamed = renames.iter().any(|(old, _)| old == name);
        // It has its new name already: the column of that name is not the one that goes.
        let arrived = reshape
            .renamed
            .iter()
            .any(|(old, new)| new == name && table.column(old).is_none());
        if is_renamed || arrived || table.column(name).is_none() {
            continue;
        }
        let told = format!("DROP COLUMN {}", plain(name));
        columns.push(format!("DROP COLUMN {}", quote(name)?), told);
        columns.dropped.push(name.clone());
    }
    Ok(())
}

/// Renames all at once: what has a name that another one gets makes room first.
fn rename(columns: &mut Columns, renames: &[(&str, &str)]) -> Result<()> {
    let wanted: BTreeSet<&str> = renames.iter().map(|(_, new)| *new).collect();
    let mut aside = BTreeMap::new();
    for (at, (old, _)) in renames.iter().enumerate() {
        if wanted.contains(old) {
            let room = format!("dkhost renames {at}");
            let clause = format!("RENAME COLUMN {} TO {}", quote(old)?, quote(&room)?);
            columns.push(clause, String::new());
            aside.insert(*old, room);
        }
    }
    for (old, new) in renames {
        let from = aside.get(old).map_or(*old, String::as_str);
        let told = format!("RENAME COLUMN {} TO {}", plain(old), plain(new));
        columns.push(
            format!("RENAME COLUMN {} TO {}", quote(from)?, quote(new)?),
            told,
        );
    }
    Ok(())
}

fn add(columns: &mut Columns, field: &Field, ty: String, is_required: bool) -> Result<()> {
    let not_null = if is_required { " NOT NULL" } else { "" };
    let told = format!("ADD COLUMN {} {ty}{not_null}", plain(&field.name));
    columns.push(
        format!("ADD COLUMN {} {ty}{not_null}", quote(&field.name)?),
        told,
    );
    columns.types.insert(field.name.clone(), ty);
    Ok(())
}

fn retype(columns: &mut Columns, field: &Field, column: &ColumnDef, ty: String) -> Result<()> {
    if suits(field, column) || column.ty.spelled == ty {
        return Ok(());
    }
    let told = format!("ALTER COLUMN {} TYPE {ty}", plain(&field.name));
    // There are no rows to convert by then.
    let clause = format!(
        "ALTER COLUMN {} TYPE {ty} USING NULL::{ty}",
        quote(&field.name)?
    );
    columns.push(clause, told);
    columns.types.insert(field.name.clone(), ty.clone());
    columns.retyped.push((column.name.clone(), ty));
    Ok(())
}

/// Whether the column's type is the field's, however it is declared.
fn suits(field: &Field, column: &ColumnDef) -> bool {
    let Ok(reading) = Reading::of(&column.ty) else {
        return false;
    };
    match (&field.logical, &reading.logical) {
        (LogicalType::Null, _) => true,
        (LogicalType::Timestamp(zone), LogicalType::Timestamp(other)) => {
            zone.is_some() == other.is_some()
        }
        (LogicalType::UInt64, LogicalType::Decimal(20, 0)) => true,
        (wanted, there) => wanted == there,
    }
}

fn null(columns: &mut Columns, field: &Field, column: &ColumnDef, is_required: bool) -> Result<()> {
    if column.not_null == is_required {
        return Ok(());
    }
    let verb = if is_required { "SET" } else { "DROP" };
    columns.push(
        format!("ALTER COLUMN {} {verb} NOT NULL", quote(&field.name)?),
        format!("ALTER COLUMN {} {verb} NOT NULL", plain(&field.name)),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(renames: &[(&str, &str)]) -> Vec<String> {
        let mut columns = Columns::default();
        rename(&mut columns, renames).unwrap();
        columns
            .changes
            .into_iter()
            .map(|change| change.clause)
            .collect()
    }

    #[test]
    fn columns_that_swap_their_names_make_room_for_each_other() {
        assert_eq!(told(&[("a", "b")]), ["RENAME COLUMN \"a\" TO \"b\""]);
        assert_eq!(
            told(&[("a", "b"), ("b", "a")]),
            [
                "RENAME COLUMN \"a\" TO \"dkhost renames 0\"",
                "RENAME COLUMN \"b\" TO \"dkhost renames 1\"",
                "RENAME COLUMN \"dkhost renames 0\" TO \"b\"",
                "RENAME COLUMN \"dkhost renames 1\" TO \"a\"",
            ]
        );
    }

    #[test]
    fn a_name_is_quoted_for_people_only_where_it_must_be() {
        assert_eq!(plain("first_name2"), "first_name2");
        assert_eq!(plain("Odd \"x\""), "\"Odd \"\"x\"\"\"");
        assert_eq!(plain("2nd"), "\"2nd\"");
    }
}
