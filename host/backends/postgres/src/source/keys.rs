//! Whether a key tells every row apart: by an index, else by asking, else while reading.

use dkhost_core::Result;

use super::order::{Order, Part};
use super::read::key_not_unique;
use super::relation::Relation;
use super::since::one;
use crate::catalog::{Kind, Table};
use crate::session::Session;

/// Tables of more rows are not searched before a run for a key that occurs twice.
const SEARCHED_ROWS: u64 = 1_000_000;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// No row shares it with another.
    Unique,
    /// That is seen while reading.
    Unproven,
}

/// Sees whether the key is never null and unique.
///
/// *Errors* – `postgres::bad_key`, `postgres::key_not_unique`.
pub(crate) fn prove(session: &mut Session, relation: &Relation, order: &Order) -> Result<Known> {
    let Order::Key(parts) = order else {
        return Ok(Known::Unique);
    };
    let names = relation.key_names();
    let indexed = relation
        .table
        .as_ref()
        .is_some_and(|table| has_index(table, &names));
    let nullable: Vec<&Part> = parts
        .iter()
        .filter(|part| relation.columns[part.column].nullable)
        .collect();
    let cheap = relation.table.as_ref().is_some_and(is_searched);
    if !nullable.is_empty() && (indexed || cheap) {
        no_nulls(session, relation, &nullable)?;
    }
    // Values that are equal and have other bytes would be lost between two batches.
    let hidden = parts.iter().any(|part| !is_bytewise(relation, part));
    if indexed {
        return Ok(Known::Unique);
    }
    if cheap || hidden {
        no_twins(session, relation, parts)?;
        return Ok(Known::Unique);
    }
    Ok(Known::Unproven)
}

fn has_index(table: &Table, names: &[&str]) -> bool {
    // The rows of tables that inherit from it are not in its index.
    let own = table.children == 0 || table.kind == Kind::Partitioned;
    own && table.unique.iter().any(|unique| {
        // A part of the key that is unique makes the whole so.
        unique
            .plain()
            .is_some_and(|columns| columns.iter().all(|column| names.contains(column)))
    })
}

fn is_searched(table: &Table) -> bool {
    matches!(
        table.kind,
        Kind::Table | Kind::Partitioned | Kind::Materialized
    ) && match table.rows {
        Some(rows) => rows <= SEARCHED_ROWS,
        None => table.pages == 0,
    }
}

/// Whether equal values of a part have equal bytes.
fn is_bytewise(relation: &Relation, part: &Part) -> bool {
    let ty = relation.columns[part.column].ty.bottom();
    ty.kind == 'e'
        || (ty.schema == "pg_catalog"
            && matches!(
                ty.name.as_str(),
                "int2"
                    | "int4"
                    | "int8"
                    | "oid"
                    | "text"
                    | "varchar"
                    | "name"
                    | "uuid"
                    | "bool"
                    | "date"
                    | "time"
                    | "timestamp"
                    | "timestamptz"
                    | "bytea"
            ))
}

fn no_nulls(session: &mut Session, relation: &Relation, parts: &[&Part]) -> Result<()> {
    let conditions: Vec<String> = parts
        .iter()
        .map(|part| format!("{} IS NULL", part.sql))
        .collect();
    let sql = format!(
        "SELECT '' FROM {} WHERE {} LIMIT 1",
        relation.from,
        conditions.join(" OR ")
    );
    match one(session, &sql, "look for rows without a key")? {
        None => Ok(()),
        Some(_) => Err(super::read::bad_key()),
    }
}

fn no_twins(session: &mut Session, relation: &Relation, parts: &[Part]) -> Result<()> {
    let columns: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
    let texts: Vec<String> = columns
        .iter()
        .map(|column| format!("min(({column})::text)"))
        .collect();
    let sql = format!(
        "SELECT concat_ws(', ', {}) FROM {} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        texts.join(", "),
        relation.from,
        columns.join(", ")
    );
    match one(session, &sql, "look for a key that occurs twice")? {
        None => Ok(()),
        Some(key) => Err(key_not_unique(&key)),
    }
}
