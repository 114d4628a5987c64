//! Why the server refuses a row, and which column it is about.
//!
//! The server names a column only where it is missing a value. Of a constraint the catalogue knows
//! the columns; of a value that its type does not take, the column is found by trying each.

use std::collections::BTreeMap;

use dkhost_core::{Result, RowReject};
use tokio_postgres::types::Type;

use super::shape::Shape;
use super::stage::Stage;
use crate::fault::Refusal;
use crate::name::literal;

/// Rows that were left to the writer to say why: `k` for those a trigger kept out.
pub(super) struct Told {
    pub row: i32,
    pub fate: char,
    pub changed: Option<i32>,
    pub why: Refusal,
    /// The columns of the constraint, where it has several.
    pub columns: Vec<String>,
}

/// Finds out, in a block, which column a row is refused for: the one whose type cannot be made of
/// what was sent. Constraints of the table know their columns.
pub(super) fn blame(shape: &Shape, table: &str, number: &str) -> String {
    let tries = shape.trials().map(|(name, trial)| {
        format!(
            "IF dk_column = '' THEN BEGIN PERFORM {trial} FROM {table} s WHERE s.{number} = dk_lo; \
             EXCEPTION WHEN OTHERS THEN dk_column := {}; END; END IF; ",
            literal(name)
        )
    });
    let tries: String = tries.collect();
    match tries.is_empty() {
        true => tries,
        false => format!(
            "IF dk_state NOT IN ('23503', '23505', '23P01', '42501', 'P0001') THEN {tries} END IF; "
        ),
    }
}

/// The rows of [`super::culprits`]' table, each with its group.
pub(super) fn outcomes(stage: &mut Stage<'_>, sql: &str) -> Result<Vec<(Told, Option<i32>)>> {
    let rows = stage.session.rows(stage.doing, sql, &[])?;
    let mut all: Vec<(Told, Option<i32>)> =
        rows.iter().map(|row| (told(row), row.get(2))).collect();
    let nameless = |told: &Told| told.why.column.is_none();
    let mut constraints: Vec<String> = all
        .iter()
        .filter(|(told, _)| nameless(told))
        .filter_map(|(told, _)| told.why.constraint.clone())
        .collect();
    constraints.sort();
    constraints.dedup();
    let columns = columns_of(stage, constraints)?;
    for (told, _) in all.iter_mut().filter(|(told, _)| nameless(told)) {
        let named = told.why.constraint.as_ref();
        match named.and_then(|name| columns.get(name)).map(Vec::as_slice) {
            Some([column]) => told.why.column = Some(column.clone()),
            Some(several) => told.columns = several.to_vec(),
            None => {}
        }
    }
    Ok(all)
}

/// The columns of constraints of the table, and of unique indexes, which are named in their place.
fn columns_of(
    stage: &mut Stage<'_>,
    constraints: Vec<String>,
) -> Result<BTreeMap<String, Vec<String>>> {
    if constraints.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "WITH RECURSIVE tree(oid) AS ( \
          SELECT pg_catalog.to_regclass($2)::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON t.oid = i.inhparent), \
        named(name, relation, keys) AS ( \
          SELECT c.conname, c.conrelid, c.conkey FROM pg_catalog.pg_constraint c JOIN tree t ON t.oid = c.conrelid WHERE c.conname = ANY($1) \
          UNION SELECT x.relname, i.indrelid, i.indkey::int2[] FROM pg_catalog.pg_index i JOIN tree t ON t.oid = i.indrelid \
            JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE x.relname = ANY($1)) \
        SELECT DISTINCT ON (n.name) n.name::text, array_agg(a.attname::text ORDER BY k.place) FROM named n \
          CROSS JOIN LATERAL unnest(n.keys) WITH ORDINALITY AS k(number, place) \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = n.relation AND a.attnum = k.number \
         GROUP BY n.name, n.relation, n.keys ORDER BY n.name";
    let table = stage.shape.table.clone();
    let rows = stage.session.rows(
        stage.doing,
        sql,
        &[(&constraints, Type::TEXT_ARRAY), (&table, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn told(row: &tokio_postgres::Row) -> Told {
    let text = |column| row.get::<_, Option<String>>(column);
    let state = text(4).unwrap_or_default();
    let named = |column| text(column).filter(|name| !name.is_empty());
    Told {
        row: row.get(0),
        fate: text(1).and_then(|fate| fate.chars().next()).unwrap_or('x'),
        changed: row.get(3),
        why: Refusal {
            state: tokio_postgres::error::SqlState::from_code(&state),
            message: text(5).unwrap_or_default(),
            detail: named(6),
            hint: None,
            constraint: named(7),
            column: named(8),
            by_policy: state == "42501",
        },
        columns: Vec::new(),
    }
}

/// The refusal of a row as a reject. Under `replace-all` rows go to a table beside the target;
/// whoever reads this knows the target.
pub(super) fn reject(stage: &Stage<'_>, told: Told) -> RowReject {
    if let Some(column) = told.changed {
        return stage.shape.would_change(told.row, column);
    }
    let code = code(&told.why);
    let staging = stage.target.staging_table().name;
    let mut message = told.why.to_string();
    if !told.columns.is_empty() {
        message = format!("{message}; columns {}", told.columns.join(", "));
    }
    RowReject {
        row: told.row as u32,
        column: told.why.column.clone(),
        code: code.to_owned(),
        message: message.replace(&staging, &stage.target.name.name),
    }
}

/// The code of a record that the server refused so.
pub(super) fn code(why: &Refusal) -> &'static str {
    match &why.state.code()[..2] {
        "23" | "27" | "44" => "postgres::constraint",
        "42" if why.by_policy => "postgres::row_security",
        _ => "postgres::refused_value",
    }
}
