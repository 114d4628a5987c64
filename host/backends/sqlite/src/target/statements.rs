//! The statements of a writer, for the table as it is and the columns a batch has.

use dkhost_core::{Conflict, Error, Result, Schema};
use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};
use serde_json::Value as Json;

use super::columns::{self, TargetColumn};
use super::layout::Layout;
use super::{Target, knobs};
use crate::catalog::Table;
use crate::name::{quote, same};
use crate::value::{from_json, write_json};

/// How a row of the target is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RowId {
    Rowid(i64),
    /// The primary key of a row of a table WITHOUT ROWID, as JSON.
    Key(String),
}

impl RowId {
    /// The row whose identity stands in the first columns of `row`.
    pub(crate) fn of(row: &Row<'_>, statements: &Statements) -> rusqlite::Result<Self> {
        if statements.without_rowid.is_empty() {
            return Ok(RowId::Rowid(row.get(0)?));
        }
        let mut key = vec![b'['];
        for part in 0..statements.without_rowid.len() {
            if part > 0 {
                key.push(b',');
            }
            write_json(row.get_ref(part).unwrap_or(ValueRef::Null), &mut key);
        }
        key.push(b']');
        Ok(RowId::Key(String::from_utf8_lossy(&key).into_owned()))
    }

    /// The values that find it.
    pub(crate) fn values(&self) -> Vec<Value> {
        match self {
            RowId::Rowid(rowid) => vec![Value::Integer(*rowid)],
            RowId::Key(key) => match serde_json::from_str(key) {
                Ok(Json::Array(parts)) => parts.iter().map(from_json).collect(),
                _ => Vec::new(),
            },
        }
    }
}

/// The SQL of a writer for batches of one schema.
pub(crate) struct Statements {
    /// What was asked for: the columns of a batch.
    pub schema: Schema,
    /// The table's columns, in the order in which they are bound.
    pub columns: Vec<TargetColumn>,
    /// Inserts a row; under `upsert` and `skip` one that meets another is not inserted. In a table
    /// WITHOUT ROWID it returns the key.
    pub insert: String,
    /// Selects identity and columns of the row with a key.
    pub lookup: String,
    /// The bound columns that are the key, in the order of `lookup`'s parameters.
    pub key: Vec<usize>,
    /// Replaces the row with an identity, which is bound after all columns.
    pub update: String,
    /// Selects what reads a row of the plan's schema back, by identity.
    pub read_back: String,
    /// The primary key of a table WITHOUT ROWID; empty in others.
    pub without_rowid: Vec<String>,
    /// Whether triggers run for every row, and may fail or ignore one halfway.
    pub has_triggers: bool,
}

impl Statements {
    /// For batches of `schema` into `table`.
    pub(crate) fn new(target: &Target, table: &Table, schema: &Schema) -> Result<Self> {
        let columns = columns::find(table, &target.layout.columns(schema))?;
        let without_rowid: Vec<String> = match table.without_rowid {
            true => table
                .primary_key()
                .iter()
                .map(|column| quote(&column.name))
                .collect::<Result<_>>()?,
            false => Vec::new(),
        };
        let name = quote(&table.name)?;
        let (identity, is_row) = identity(table, &without_rowid, 1)?;
        let selected = |schema: &Schema| -> Result<String> {
            let names = target.layout.selected(schema);
            let columns: Vec<String> = names
                .iter()
                .map(|name| quote(name))
                .collect::<Result<_>>()?;
            Ok([vec![identity.clone()], columns].concat().join(", "))
        };
        let key = key(target, &columns)?;
        Ok(Statements {
            insert: insert(target, &name, &columns, &without_rowid)?,
            lookup: format!(
                "SELECT {} FROM {name} WHERE {}",
                selected(schema)?,
                by_key(target, table)?
            ),
            update: update(
                target,
                &name,
                &columns,
                &super::statements::identity(table, &without_rowid, columns.len() + 1)?.1,
            ),
            read_back: format!(
                "SELECT {} FROM {name} WHERE {is_row}",
                selected(&target.schema)?
            ),
            schema: schema.clone(),
            without_rowid,
            has_triggers: table.triggers > 0,
            columns,
            key,
        })
    }

    /// How many columns precede the selected ones.
    pub(crate) fn identity_width(&self) -> usize {
        self.without_rowid.len().max(1)
    }
}

/// The identity's columns, and the condition that finds a row by it from parameter `first` on.
fn identity(table: &Table, without_rowid: &[String], first: usize) -> Result<(String, String)> {
    if !without_rowid.is_empty() {
        let equal = without_rowid
            .iter()
            .enumerate()
            .map(|(i, name)| format!("{name} = ?{}", first + i));
        return Ok((
            without_rowid.join(", "),
            equal.collect::<Vec<_>>().join(" AND "),
        ));
    }
    let rowid = table
        .rowid
        .as_deref()
        .ok_or_else(|| Error::bug(format!("table `{}` has no rowid to go by", table.name)))?;
    Ok((rowid.to_owned(), format!("{rowid} = ?{first}")))
}

fn insert(
    target: &Target,
    name: &str,
    columns: &[TargetColumn],
    without_rowid: &[String],
) -> Result<String> {
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column.quoted.as_str())
        .collect();
    let values: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| match target.layout {
            Layout::Table => format!("?{}", i + 1),
            Layout::Dataknobs(_) => knobs::inserted(&column.field.name, &format!("?{}", i + 1)),
        })
        .collect();
    // ABORT, so that ON CONFLICT clauses in the table's own definition replace or ignore nothing.
    let mut sql = match names.is_empty() {
        true => format!("INSERT OR ABORT INTO {name} DEFAULT VALUES"),
        false => format!(
            "INSERT OR ABORT INTO {name} ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        ),
    };
    if matches!(target.conflict, Conflict::Upsert | Conflict::Skip) {
        let key: Vec<String> = target
            .key
            .iter()
            .map(|name| quote(name))
            .collect::<Result<_>>()?;
        sql.push_str(&format!(" ON CONFLICT ({}) DO NOTHING", key.join(", ")));
    }
    if !without_rowid.is_empty() {
        sql.push_str(&format!(" RETURNING {}", without_rowid.join(", ")));
    }
    Ok(sql)
}

fn update(target: &Target, name: &str, columns: &[TargetColumn], is_row: &str) -> String {
    let set: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let parameter = format!("?{}", i + 1);
            let value = match target.layout {
                Layout::Table => parameter,
                Layout::Dataknobs(_) => knobs::replaced(&column.field.name, &parameter),
            };
            format!("{} = {value}", column.quoted)
        })
        .collect();
    format!(
        "UPDATE OR ABORT {name} SET {} WHERE {is_row}",
        set.join(", ")
    )
}

/// The condition that finds a row by the target's key, compared as its unique index compares.
fn by_key(target: &Target, table: &Table) -> Result<String> {
    let names: Vec<&str> = target.key.iter().map(String::as_str).collect();
    let unique = table.unique_on(&names);
    let mut conditions = Vec::new();
    for (i, name) in target.key.iter().enumerate() {
        let collation =
            unique.and_then(|unique| unique.columns.iter().find(|(column, _)| same(column, name)));
        let collate = match collation.map(|(_, collation)| collation.as_str()) {
            None | Some("rowid" | "BINARY") => String::new(),
            Some(collation) => format!(" COLLATE {}", quote(collation)?),
        };
        conditions.push(format!("{} = ?{}{collate}", quote(name)?, i + 1));
    }
    Ok(if conditions.is_empty() {
        "FALSE".to_owned()
    } else {
        conditions.join(" AND ")
    })
}

fn key(target: &Target, columns: &[TargetColumn]) -> Result<Vec<usize>> {
    let find = |name: &String| {
        let index = columns
            .iter()
            .position(|column| same(&column.field.name, name));
        index.ok_or_else(|| Error::bug(format!("a batch without the key column `{name}`")))
    };
    target.key.iter().map(find).collect()
}
