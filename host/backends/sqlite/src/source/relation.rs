//! What is read, and the SELECT that reads it from a position on.
//!
//! A table is read by rowid, because every table has one, it never is NULL, and it never changes
//! its order; one WITHOUT ROWID by its primary key, which cannot be NULL there. A view or query is
//! read by the declared key. What has neither is read in one pass.

use dkhost_core::error::nearest;
use dkhost_core::{Error, OpenSource, Position, Result, Span};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::{Value as Json, json};

use crate::affinity::Affinity;
use crate::catalog::{self, Kind, Table};
use crate::fault::{fault, words};
use crate::name::{quote, quote_all, same};
use crate::place::Place;
use crate::value;

/// A table, view or query.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// The table's name, or `query`; names the place of a record.
    pub name: String,
    /// For people: "table `movies`".
    pub label: String,
    /// Precedes SELECT.
    with: String,
    /// What stands after FROM.
    from: String,
    /// The columns there are, in order.
    pub columns: Vec<Column>,
    /// How rows are ordered and found again.
    pub order: Order,
    /// Names of the columns that tell records apart, in key order; empty when nothing does.
    pub key: Vec<String>,
    /// Its definition, for the fingerprint.
    pub definition: Json,
    /// Whether it is a table of its own, so that counting it is a scan of its rows.
    pub is_table: bool,
}

/// A column of a relation.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub declared: String,
    pub affinity: Affinity,
    /// Whether it is the rowid, which is always an integer.
    pub is_rowid: bool,
}

/// How the rows of a relation are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// By this expression.
    Rowid(String),
    /// By these expressions.
    Key(Vec<String>),
    /// As SQLite gives them.
    None,
}

impl Order {
    /// How many columns precede the data columns of a SELECT.
    pub(crate) fn width(&self) -> usize {
        match self {
            Order::Rowid(_) => 1,
            Order::Key(parts) => parts.len(),
            Order::None => 0,
        }
    }
}

impl Relation {
    /// The table or view called `name`.
    pub(crate) fn table(
        db: &Connection,
        place: &Place,
        name: &str,
        span: Span,
        open: &OpenSource,
    ) -> Result<Self> {
        let found = Table::find(db, place, name)?;
        let is_ours = |table: &Table| table.name.starts_with(catalog::OUR_PREFIX);
        let Some(table) = found.filter(|table| !is_ours(table)) else {
            return Err(catalog::no_table(db, place, name, span));
        };
        let declared = declared_key(
            &open.key,
            &table
                .columns
                .iter()
                .map(|c| c.name.as_str())
                .collect::<Vec<_>>(),
            &table.name,
        )?;
        let primary: Vec<&str> = table
            .primary_key()
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        let order = match (&table.rowid, table.kind) {
            (Some(rowid), _) => Order::Rowid(rowid.clone()),
            (None, Kind::Table) if table.without_rowid => Order::Key(parts(&primary, "")?),
            (None, _) if !declared.is_empty() => Order::Key(parts(&declared, " COLLATE BINARY")?),
            (None, _) => Order::None,
        };
        let rowid_column = table.rowid_column().map(|column| column.name.clone());
        let columns = table.columns.iter().map(|column| Column {
            name: column.name.clone(),
            declared: column.declared.clone(),
            affinity: column.affinity,
            is_rowid: Some(&column.name) == rowid_column.as_ref(),
        });
        let what = if table.kind == Kind::View {
            "view"
        } else {
            "table"
        };
        let key = if declared.is_empty() {
            &primary
        } else {
            &declared
        };
        Ok(Relation {
            label: format!("{what} `{}`", table.name),
            with: String::new(),
            from: quote(&table.name)?,
            columns: columns.collect(),
            order,
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            definition: json!({ "table": table.name, "sql": table.sql }),
            is_table: table.kind == Kind::Table,
            name: table.name,
        })
    }

    /// The rows of a query.
    pub(crate) fn query(db: &Connection, sql: &str, span: Span, open: &OpenSource) -> Result<Self> {
        let refuse = |message: String, label: &str| {
            Error::config("sqlite::bad_query", message).at(span.clone(), label)
        };
        let sql = sql.trim().trim_end_matches(';').trim_end();
        let statement = db.prepare(sql).map_err(|cause| {
            refuse(
                format!("the query cannot be read: {}", words(&cause)),
                "here",
            )
        })?;
        if statement.column_count() == 0 || !statement.readonly() {
            return Err(refuse(
                "the query gives no rows".to_owned(),
                "a SELECT is needed here",
            ));
        }
        let columns: Vec<Column> = unique_names(&statement.column_names())
            .into_iter()
            .zip(statement.columns())
            .map(|(name, column)| {
                let declared = column.decl_type().unwrap_or("").to_owned();
                Column {
                    name,
                    affinity: Affinity::of(&declared, false),
                    declared,
                    is_rowid: false,
                }
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let key = declared_key(&open.key, &names, "the query")?;
        let order = match key.is_empty() {
            true => Order::None,
            false => Order::Key(parts(&key, " COLLATE BINARY")?),
        };
        // On lines of its own, because a comment may end it.
        let with = format!(
            "WITH \"query\"({}) AS (\n{sql}\n) ",
            quote_all(names.iter().copied())?
        );
        let checked = format!("{with}SELECT * FROM \"query\" LIMIT 0");
        db.prepare(&checked).map_err(|cause| {
            refuse(
                format!("the query cannot be read: {}", words(&cause)),
                "a SELECT is needed here",
            )
        })?;
        let types: Vec<&str> = columns
            .iter()
            .map(|column| column.declared.as_str())
            .collect();
        Ok(Relation {
            name: "query".to_owned(),
            label: "the query".to_owned(),
            with,
            from: "\"query\"".to_owned(),
            definition: json!({ "query": sql, "columns": names, "types": types }),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            order,
            is_table: false,
            columns,
        })
    }

    /// The SELECT of some columns, its order's columns first, and the values to bind.
    pub(crate) fn select(
        &self,
        columns: &[usize],
        order: &Order,
        slice: &Json,
        from: &Position,
    ) -> Result<(String, Vec<Value>)> {
        let mut selected: Vec<String> = match order {
            Order::Rowid(rowid) => vec![rowid.clone()],
            Order::Key(parts) => parts.clone(),
            Order::None => Vec::new(),
        };
        for column in columns {
            selected.push(quote(&self.columns[*column].name)?);
        }
        if selected.is_empty() {
            selected.push("NULL".to_owned());
        }
        let (conditions, values) = bounds(order, slice, from)?;
        let mut sql = format!(
            "{}SELECT {} FROM {}",
            self.with,
            selected.join(", "),
            self.from
        );
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        match order {
            Order::Rowid(rowid) => sql.push_str(&format!(" ORDER BY {rowid}")),
            Order::Key(parts) => sql.push_str(&format!(" ORDER BY {}", parts.join(", "))),
            Order::None => (),
        }
        Ok((sql, values))
    }

    /// A number about the whole relation, such as `count(*)` or `max(rowid)`.
    pub(crate) fn ask(&self, db: &Connection, expression: &str) -> Result<Option<i64>> {
        let sql = format!("{}SELECT {expression} FROM {}", self.with, self.from);
        db.query_row(&sql, [], |row| row.get(0))
            .map_err(|cause| fault(format!("read {}", self.label), cause))
    }
}

/// The part of a slice and position that a WHERE says.
fn bounds(order: &Order, slice: &Json, from: &Position) -> Result<(Vec<String>, Vec<Value>)> {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    let mut bind = |value| {
        values.push(value);
        format!("?{}", values.len())
    };
    match order {
        Order::Rowid(rowid) => {
            let after = if from.is_start() {
                &slice["after"]
            } else {
                &from.0["rowid"]
            };
            if !from.is_start() && after.as_i64().is_none() {
                return Err(other_position());
            }
            if let Some(after) = after.as_i64() {
                conditions.push(format!("{rowid} > {}", bind(Value::Integer(after))));
            }
            if let Some(through) = slice["through"].as_i64() {
                conditions.push(format!("{rowid} <= {}", bind(Value::Integer(through))));
            }
        }
        Order::Key(parts) if !from.is_start() => {
            let key = from.0["key"]
                .as_array()
                .filter(|key| key.len() == parts.len())
                .ok_or_else(other_position)?;
            let bound: Vec<String> = key
                .iter()
                .map(|part| bind(value::from_json(part)))
                .collect();
            conditions.push(format!("({}) > ({})", parts.join(", "), bound.join(", ")));
        }
        Order::Key(_) | Order::None => (),
    }
    Ok((conditions, values))
}

fn other_position() -> Error {
    Error::state(
        "source::changed",
        "the position to go on from was made for another table or key",
    )
    .help("start anew with `dkhost run --no-resume`")
}

fn parts(names: &[&str], collate: &str) -> Result<Vec<String>> {
    names
        .iter()
        .map(|name| Ok(format!("{}{collate}", quote(name)?)))
        .collect()
}

/// The declared key in the relation's own spelling.
fn declared_key<'a>(wanted: &[String], names: &[&'a str], label: &str) -> Result<Vec<&'a str>> {
    let find = |name: &String| {
        let exact = names.iter().find(|known| **known == name.as_str());
        exact
            .or_else(|| names.iter().find(|known| same(known, name)))
            .copied()
            .ok_or_else(|| no_column("key", name, names, label))
    };
    wanted.iter().map(find).collect()
}

/// The error for a column that is not there, with those that are.
pub(crate) fn no_column(option: &str, name: &str, names: &[&str], label: &str) -> Error {
    let near = nearest(name, names.iter().copied());
    let meant = near
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    Error::config(
        "sqlite::no_column",
        format!("`{option}` names the column `{name}`, which {label} does not have{meant}"),
    )
    .help(format!("it has: {}", names.join(", ")))
}

/// Names made unique as SQLite compares them: `id`, `id_2`.
pub(crate) fn unique_names(names: &[&str]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut candidate = (*name).to_owned();
        let mut count = 1;
        while unique.iter().any(|known| same(known, &candidate))
            || (count > 1 && names.iter().any(|known| same(known, &candidate)))
        {
            count += 1;
            candidate = format!("{name}_{count}");
        }
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_query_become_unique() {
        assert_eq!(
            unique_names(&["id", "ID", "id_2", "id"]),
            ["id", "ID_3", "id_2", "id_4"]
        );
    }
}
