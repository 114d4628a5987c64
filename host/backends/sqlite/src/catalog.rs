//! What a database says about its tables: columns, keys, unique indexes, how rows are addressed.
//!
//! *Source* – <https://sqlite.org/pragma.html> (table_list, table_xinfo, index_list, index_xinfo).

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result, Span};
use rusqlite::Connection;

use crate::affinity::Affinity;
use crate::fault::fault;
use crate::name::{quote, same};
use crate::place::Place;

/// The table our checkpoints are in; never offered as a source or target.
pub(crate) const CHECKPOINT_TABLE: &str = "dkhost_checkpoint";

/// The prefix of every table of ours.
pub(crate) const OUR_PREFIX: &str = "dkhost_";

/// What kind of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    View,
    Virtual,
}

/// A column as declared.
#[derive(Debug, Clone)]
pub(crate) struct ColumnDef {
    pub name: String,
    pub declared: String,
    pub affinity: Affinity,
    pub not_null: bool,
    pub has_default: bool,
    /// Place in the primary key, from 1; 0 outside of it.
    pub primary: u32,
    pub generated: bool,
}

/// A set of columns whose values together occur once.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    /// The columns and the collation they are compared by.
    pub columns: Vec<(String, String)>,
    /// Whether it is the primary key.
    pub primary: bool,
}

/// A table or view.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub name: String,
    pub kind: Kind,
    pub strict: bool,
    pub without_rowid: bool,
    /// Its definition.
    pub sql: String,
    pub columns: Vec<ColumnDef>,
    /// The name by which rowids are reached; `None` where there are none, or every name for them
    /// is taken by a column.
    pub rowid: Option<String>,
    /// Unique constraints and full unique indexes, the primary key first.
    pub unique: Vec<Unique>,
    pub triggers: u32,
}

impl Table {
    /// The table called `name`; `None` when there is none.
    pub(crate) fn find(db: &Connection, place: &Place, name: &str) -> Result<Option<Self>> {
        find(db, name).map_err(|cause| {
            fault(
                format!("read the definition of table `{name}` in {}", place.name),
                cause,
            )
        })
    }

    /// The column called `name`, as SQLite compares names.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnDef> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact.or_else(|| self.columns.iter().find(|column| same(&column.name, name)))
    }

    /// The primary key's columns, in key order.
    pub(crate) fn primary_key(&self) -> Vec<&ColumnDef> {
        let mut key: Vec<&ColumnDef> = self.columns.iter().filter(|c| c.primary > 0).collect();
        key.sort_by_key(|column| column.primary);
        key
    }

    /// The column that is the rowid itself (`INTEGER PRIMARY KEY`).
    pub(crate) fn rowid_column(&self) -> Option<&ColumnDef> {
        let key = self.primary_key();
        let alone = key
            .first()
            .filter(|_| key.len() == 1 && !self.without_rowid)?;
        // `INTEGER PRIMARY KEY DESC` is the one exception; it gets an index of its own.
        let has_index = self.unique.iter().any(|unique| {
            unique.primary && !unique.columns.is_empty() && unique.columns[0].1 != "rowid"
        });
        (alone.declared.eq_ignore_ascii_case("INTEGER") && !has_index).then_some(*alone)
    }

    /// The unique columns that are exactly `names`, in any order.
    pub(crate) fn unique_on(&self, names: &[&str]) -> Option<&Unique> {
        self.unique.iter().find(|unique| {
            unique.columns.len() == names.len()
                && unique
                    .columns
                    .iter()
                    .all(|(column, _)| names.iter().any(|name| same(name, column)))
        })
    }
}

/// The tables and views a user may name, in the order of the catalog.
pub(crate) fn names(db: &Connection) -> Vec<String> {
    let list = || -> rusqlite::Result<Vec<String>> {
        let mut statement = db.prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'dkhost\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    list().unwrap_or_default()
}

/// The error for a table that is not there, with those that are.
pub(crate) fn no_table(db: &Connection, place: &Place, name: &str, span: Span) -> Error {
    let names = names(db);
    let error = Error::config(
        "sqlite::no_table",
        format!("there is no table `{name}` in {}", place.name),
    );
    let known = match names.len() {
        0 => "the database has no tables".to_owned(),
        _ => format!("the database has: {}", names.join(", ")),
    };
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.at(span, format!("did you mean `{near}`?")),
        None => error.at(span, "no such table or view"),
    }
    .help(known)
}

fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<Table>> {
    let sql = "SELECT l.name, l.type, l.wr, l.strict, coalesce(s.sql, '') FROM pragma_table_list l \
               LEFT JOIN sqlite_schema s ON s.name = l.name AND s.type IN ('table', 'view') \
               WHERE l.schema = 'main' AND l.name = ?1 COLLATE NOCASE AND l.type <> 'shadow'";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([name])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let kind = match row.get_ref(1)?.as_str()? {
        "view" => Kind::View,
        "virtual" => Kind::Virtual,
        _ => Kind::Table,
    };
    let strict = row.get(3)?;
    let name: String = row.get(0)?;
    let mut table = Table {
        kind,
        strict,
        without_rowid: row.get(2)?,
        sql: row.get(4)?,
        columns: columns(db, &name, strict)?,
        rowid: None,
        unique: unique(db, &name)?,
        triggers: triggers(db, &name)?,
        name,
    };
    table.rowid = rowid(db, &table);
    if let Some(column) = table.rowid_column() {
        let alias = Unique {
            columns: vec![(column.name.clone(), "rowid".to_owned())],
            primary: true,
        };
        table.unique.insert(0, alias);
    }
    Ok(Some(table))
}

fn columns(db: &Connection, table: &str, strict: bool) -> rusqlite::Result<Vec<ColumnDef>> {
    let mut statement = db.prepare(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden \
         FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let columns = statement.query_map([table], |row| {
        let declared: String = row.get(1)?;
        Ok(ColumnDef {
            name: row.get(0)?,
            affinity: Affinity::of(&declared, strict),
            declared,
            not_null: row.get(2)?,
            has_default: row.get(3)?,
            primary: row.get(4)?,
            generated: row.get::<_, u32>(5)? >= 2,
        })
    })?;
    columns.collect()
}

fn unique(db: &Connection, table: &str) -> rusqlite::Result<Vec<Unique>> {
    let mut statement = db.prepare(
        "SELECT name, origin FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial ORDER BY origin <> 'pk', seq DESC",
    )?;
    let indexes = statement.query_map([table], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)? == "pk"))
    })?;
    let indexes: Vec<(String, bool)> = indexes.collect::<rusqlite::Result<_>>()?;
    let mut columns =
        db.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
    let mut found = Vec::new();
    for (index, primary) in indexes {
        let names = columns.query_map([&index], |row| {
            Ok((row.get::<_, Option<String>>(0)?, row.get(1)?))
        })?;
        let names: Vec<(Option<String>, String)> = names.collect::<rusqlite::Result<_>>()?;
        // An index over an expression has no name there; it is no key of columns.
        if let Some(columns) = names
            .into_iter()
            .map(|(name, coll)| Some((name?, coll)))
            .collect()
        {
            found.push(Unique { columns, primary });
        }
    }
    Ok(found)
}

fn triggers(db: &Connection, table: &str) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE";
    db.query_row(sql, [table], |row| row.get(0))
}

fn rowid(db: &Connection, table: &Table) -> Option<String> {
    if table.kind == Kind::View || table.without_rowid {
        return None;
    }
    if let Some(column) = table.rowid_column() {
        return quote(&column.name).ok();
    }
    let free = ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| table.column(name).is_none())?;
    let sql = format!("SELECT {free} FROM {} LIMIT 0", quote(&table.name).ok()?);
    db.prepare(&sql).is_ok().then(|| free.to_owned())
}
