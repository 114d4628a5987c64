//! A table in the shape of another version of its schema, tried out in memory.
//!
//! Columns are renamed, dropped and added by SQLite's own ALTER TABLE, on an empty copy of the
//! definition, so that what else the definition says stays as it was typed. What ALTER TABLE cannot do
//! – another type, NOT NULL – is changed in the text itself (see [`definition`]).

use dkhost_core::{Error, Field, LogicalType, Reshape, Result, Schema};
use rusqlite::Connection;

use super::ddl::Attached;
use super::{constraint, definition};
use crate::affinity::{Affinity, declare, meant};
use crate::catalog::{ColumnDef, Table};
use crate::fault::{fault, words};
use crate::name::{quote, same};
use crate::place::Place;

/// What becomes of the table.
pub(crate) struct Reshaped {
    /// Its definition, under its own name.
    pub table: Table,
    /// Its indexes and triggers.
    pub attached: Vec<Attached>,
    /// What changes, a sentence each.
    pub effects: Vec<String>,
    /// What it cannot check itself, a sentence each.
    pub notes: Vec<String>,
}

/// Finds out what becomes of `found`, which holds `schema` afterwards.
///
/// *Errors* – `sqlite::cannot_reshape` names what hangs on a column that changes.
pub(super) fn reshape(
    db: &Connection,
    place: &Place,
    found: &Table,
    reshape: &Reshape,
    schema: &Schema,
) -> Result<Reshaped> {
    let changed = reshape
        .renamed
        .iter()
        .map(|(old, _)| old)
        .chain(&reshape.removed);
    for column in changed {
        refuse_dependents(db, found, column)?;
    }
    let mut trial = Trial::of(db, found, &reshape.schema)?;
    let removed = trial.set_aside(reshape)?;
    trial.rename(&reshape.renamed)?;
    let indexes = trial.take_indexes(&reshape.schema)?;
    trial.remove(&removed)?;
    for field in &schema.fields {
        trial.fit(field, reshape.required.contains(&field.name))?;
    }
    trial.finish(place, reshape, indexes, db)
}

/// The empty copy of a table, and what was done to it.
struct Trial {
    db: Connection,
    place: Place,
    name: String,
    effects: Vec<String>,
    notes: Vec<String>,
}

impl Trial {
    fn of(real: &Connection, found: &Table, schema: &str) -> Result<Self> {
        let db = Connection::open_in_memory()
            .map_err(|cause| fault("open a database in memory", cause))?;
        let trial = Trial {
            db,
            place: Place {
                name: "memory".to_owned(),
                path: Default::default(),
                span: 0..0,
            },
            name: found.name.clone(),
            effects: Vec::new(),
            notes: Vec::new(),
        };
        trial.run(
            &constraint::without(&found.sql, schema),
            "copy its definition",
        )?;
        for (_, sql) in indexes(real, &found.name)? {
            trial.run(&sql, "copy its indexes")?;
        }
        Ok(trial)
    }

    fn run(&self, sql: &str, what: &str) -> Result<()> {
        self.db.execute_batch(sql).map_err(|cause| {
            let (table, why) = (&self.name, words(&cause));
            Error::config(
                "sqlite::cannot_reshape",
                format!("table `{table}` cannot be migrated: SQLite cannot {what}: {why}"),
            )
            .help("change the table by hand first, or migrate into another one (a job with a step `migrate`)")
        })
    }

    fn alter(&self, change: &str, what: &str) -> Result<()> {
        let sql = format!("ALTER TABLE {} {change}", quote(&self.name)?);
        self.run(&sql, what)
    }

    fn table(&self) -> Result<Table> {
        Table::find(&self.db, &self.place, &self.name)?
            .ok_or_else(|| Error::bug("a table that is being altered is gone"))
    }

    /// The columns that go, by what they are called now and by their names: one whose name another
    /// one gets makes room for it.
    fn set_aside(&self, reshape: &Reshape) -> Result<Vec<(String, String)>> {
        let table = self.table()?;
        let mut removed = Vec::new();
        for (at, name) in reshape.removed.iter().enumerate() {
            if table.column(name).is_none() {
                continue;
            }
            let newcomer = reshape.renamed.iter().find(|(_, new)| same(new, name));
            let Some((old, _)) = newcomer else {
                removed.push((name.clone(), name.clone()));
                continue;
            };
            // Without its old name it has arrived: nothing is left of the one that goes.
            if table.column(old).is_some() {
                let aside = format!("dkhost_removed_{at}");
                let change = format!("RENAME COLUMN {} TO {aside}", quote(name)?);
                self.alter(&change, &format!("drop column `{name}`"))?;
                removed.push((aside, name.clone()));
            }
        }
        Ok(removed)
    }

    /// All at once, so that two can be swapped.
    fn rename(&mut self, names: &[(String, String)]) -> Result<()> {
        let table = self.table()?;
        let there: Vec<_> = names
            .iter()
            .filter(|(old, _)| table.column(old).is_some())
            .collect();
        for (at, (old, _)) in there.iter().enumerate() {
            let change = format!("RENAME COLUMN {} TO dkhost_renamed_{at}", quote(old)?);
            self.alter(&change, &format!("rename column `{old}`"))?;
        }
        for (at, (old, new)) in there.iter().enumerate() {
            let change = format!("RENAME COLUMN dkhost_renamed_{at} TO {}", quote(new)?);
            self.alter(&change, &format!("rename column `{old}`"))?;
            self.effects.push(format!("renames column {old} to {new}"));
        }
        Ok(())
    }

    /// The indexes as they are now; without them columns can be dropped.
    fn take_indexes(&mut self, schema: &str) -> Result<Vec<(String, String)>> {
        let all = indexes(&self.db, &self.name)?;
        for (name, _) in &all {
            self.run(&format!("DROP INDEX {}", quote(name)?), "drop an index")?;
        }
        let is_theirs = |(name, sql): &(String, String)| !constraint::is_ours(name, sql, schema);
        Ok(all.into_iter().filter(is_theirs).collect())
    }

    fn remove(&mut self, columns: &[(String, String)]) -> Result<()> {
        for (column, name) in columns {
            let change = format!("DROP COLUMN {}", quote(column)?);
            self.alter(&change, &format!("drop column `{name}`"))?;
            self.effects.push(format!("drops column {name}"));
        }
        Ok(())
    }

    /// Sees that a field has a column of its type.
    fn fit(&mut self, field: &Field, required: bool) -> Result<()> {
        let table = self.table()?;
        let declared = declared(&field.logical, table.strict);
        let Some(column) = table.column(&field.name) else {
            self.add(&field.name, &declared, required)?;
            self.effects.push(format!(
                "adds column {} {}",
                field.name,
                shown(&declared, required)
            ));
            return Ok(());
        };
        let has_type = holds(column, &field.logical, table.strict);
        let has_nulls = column.not_null == required || column.primary > 0;
        if has_type && has_nulls || column.generated {
            return Ok(());
        }
        if column.primary > 0 {
            return Err(Error::config(
                "sqlite::cannot_reshape",
                format!(
                    "`{}` of table `{}` is {} and part of the primary key: it cannot become {declared} in place",
                    column.name, table.name, column.declared
                ),
            )
            .help("migrate into another table: a job with a step `migrate`"));
        }
        let type_now = match has_type {
            true => column.declared.clone(),
            false => declared,
        };
        self.redefine(&table, column, &type_now, required)?;
        let now = match column.not_null && !required {
            true => format!("{type_now}, no longer NOT NULL"),
            false => shown(&type_now, required),
        };
        self.effects
            .push(format!("changes column {} to {now}", column.name));
        Ok(())
    }

    /// Puts another table in its place, in which a column is declared otherwise.
    fn redefine(
        &self,
        table: &Table,
        old: &ColumnDef,
        declared: &str,
        required: bool,
    ) -> Result<()> {
        let column = old.name.as_str();
        let doing = format!("change column `{column}`");
        let typed = match old.declared == declared {
            true => Some(table.sql.clone()),
            false => definition::with_type(&table.sql, column, declared),
        };
        let changed = typed.and_then(|sql| definition::with_not_null(&sql, column, required));
        if let Some(sql) = changed {
            self.run(&format!("DROP TABLE {}", quote(&self.name)?), &doing)?;
            self.run(&sql, &doing)?;
        }
        // What was read wrongly would not be what is wanted.
        let now = self.table()?;
        let is_so = now.column(column).is_some_and(|now| {
            now.declared.eq_ignore_ascii_case(declared) && now.not_null == required
        });
        match is_so && now.columns.len() == table.columns.len() {
            true => Ok(()),
            false => Err(Error::config(
                "sqlite::cannot_reshape",
                format!(
                    "column `{column}` of table `{}` cannot become {declared}: its definition cannot be read",
                    self.name
                ),
            )
            .help("change the column by hand first")),
        }
    }

    fn add(&self, name: &str, declared: &str, required: bool) -> Result<()> {
        let change = format!("ADD COLUMN {} {}", quote(name)?, shown(declared, required));
        self.alter(&change, &format!("add column `{name}`"))
    }

    fn finish(
        mut self,
        place: &Place,
        reshape: &Reshape,
        indexes: Vec<(String, String)>,
        real: &Connection,
    ) -> Result<Reshaped> {
        let mut checks = Vec::new();
        let mut unique = Vec::new();
        for wanted in &reshape.constraints {
            if wanted.rule == dkhost_core::ConstraintRule::Unique {
                unique.push((wanted.name.clone(), constraint::index(wanted, &self.name)?));
                continue;
            }
            match constraint::check(wanted)? {
                Some(check) => checks.push((wanted.name.clone(), check)),
                None => self.notes.push(format!(
                    "the table itself does not check {}: SQLite compares {} in another way",
                    wanted.name, wanted.logical
                )),
            }
        }
        self.effects.extend(
            checks
                .iter()
                .map(|(name, _)| format!("adds the check {name}")),
        );
        self.effects.extend(
            unique
                .iter()
                .map(|(name, _)| format!("adds the unique index {name}")),
        );
        let checks: Vec<String> = checks.into_iter().map(|(_, check)| check).collect();
        let sql = constraint::with(&self.table()?.sql, &checks)
            .ok_or_else(|| Error::bug("the definition of a table has no end"))?;
        self.run(
            &format!("DROP TABLE {}", quote(&self.name)?),
            "put it together",
        )?;
        self.run(&sql, "check what the schema asks")?;
        for (name, sql) in indexes {
            match self.db.execute_batch(&sql) {
                Err(cause) if words(&cause).contains("no such column") => self
                    .effects
                    .push(format!("drops index {name}, whose column goes")),
                Err(_) => self.run(&sql, &format!("create index `{name}` again"))?,
                Ok(()) => (),
            }
        }
        for (name, sql) in unique {
            refuse_taken(real, &self.name, &name)?;
            self.run(&sql, &format!("create index `{name}`"))?;
        }
        let reading = |cause| fault(format!("read the indexes of {}", place.name), cause);
        let mut attached = super::ddl::attached(&self.db, &self.name).map_err(reading)?;
        let kept = super::ddl::attached(real, &self.name).map_err(reading)?;
        attached.extend(kept.into_iter().filter(|one| is_trigger(&one.sql)));
        Ok(Reshaped {
            table: self.table()?,
            attached,
            effects: self.effects,
            notes: self.notes,
        })
    }
}

fn is_trigger(sql: &str) -> bool {
    let start: String = sql.chars().take(40).collect();
    start.to_ascii_uppercase().contains("TRIGGER")
}

fn shown(declared: &str, required: bool) -> String {
    match required {
        true => format!("{declared} NOT NULL"),
        false => declared.to_owned(),
    }
}

/// The type a column of this kind is declared with.
fn declared(logical: &LogicalType, strict: bool) -> String {
    let declared = declare(logical, false);
    match (strict, Affinity::of(&declared, false)) {
        (false, _) => declared,
        (true, Affinity::Numeric) => "ANY".to_owned(),
        (true, affinity) => affinity.word().to_owned(),
    }
}

/// Whether a column is declared as what a source reads as this type.
fn holds(column: &ColumnDef, logical: &LogicalType, strict: bool) -> bool {
    if column
        .declared
        .eq_ignore_ascii_case(&declared(logical, strict))
    {
        return true;
    }
    match meant(&column.declared).first() {
        Some(meant) => meant == logical,
        None => match column.affinity {
            Affinity::Integer => *logical == LogicalType::Int64,
            Affinity::Text => *logical == LogicalType::Utf8,
            Affinity::Real => *logical == LogicalType::Float64,
            // Anything is held there as it is; but for json, which is written as its text.
            Affinity::Blob | Affinity::Numeric => *logical != LogicalType::Json,
        },
    }
}

/// Names and definitions of a table's own indexes.
fn indexes(db: &Connection, table: &str) -> Result<Vec<(String, String)>> {
    let list = || -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = db.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
             AND tbl_name = ?1 COLLATE NOCASE ORDER BY rowid",
        )?;
        statement
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    list().map_err(|cause| fault(format!("read the indexes of table `{table}`"), cause))
}

/// Refuses a change to a column that a trigger, a view or a foreign key speaks of: what they would
/// mean afterwards nobody can say for them.
fn refuse_dependents(db: &Connection, table: &Table, column: &str) -> Result<()> {
    let list = || -> rusqlite::Result<Vec<(String, String, String)>> {
        let mut statement = db.prepare(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL \
             AND type IN ('view', 'trigger', 'table') ORDER BY rowid",
        )?;
        statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let all = list().map_err(|cause| fault("read what hangs on the table", cause))?;
    let refers = |kind: &str, name: &str, sql: &str| match kind {
        "table" => refers_to(db, name, &table.name, column),
        _ => Ok(mentions(sql, &table.name) && mentions(sql, column)),
    };
    for (kind, name, sql) in all {
        let is_bound = refers(&kind, &name, &sql)
            .map_err(|cause| fault(format!("read the foreign keys of `{name}`"), cause))?;
        if is_bound {
            let how = match kind.as_str() {
                "table" => "a foreign key of table",
                other => other,
            };
            return Err(Error::config(
                "sqlite::cannot_reshape",
                format!(
                    "column `{column}` of table `{}` changes, and {how} `{name}` speaks of it",
                    table.name
                ),
            )
            .help(format!(
                "drop `{name}`, apply the schema, and create it again as the new version needs it"
            )));
        }
    }
    Ok(())
}

/// Refuses a name for an index that something else in the database has.
fn refuse_taken(db: &Connection, table: &str, name: &str) -> Result<()> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND tbl_name <> ?2 COLLATE NOCASE";
    let others: i64 = db
        .query_row(sql, [name, table], |row| row.get(0))
        .map_err(|cause| fault("look for the names of indexes", cause))?;
    if others == 0 {
        return Ok(());
    }
    Err(Error::config(
        "sqlite::cannot_reshape",
        format!("table `{table}` is to get a unique index `{name}`, and something else in the database is called so"),
    )
    .help(format!("give the other `{name}` another name first")))
}

/// One that names no column goes along with the primary key.
fn refers_to(db: &Connection, from: &str, table: &str, column: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM pragma_foreign_key_list(?1) WHERE \"table\" = ?2 COLLATE NOCASE \
               AND \"to\" = ?3 COLLATE NOCASE";
    let found: i64 = db.query_row(sql, [from, table, column], |row| row.get(0))?;
    Ok(found > 0)
}

/// Whether a text has a name in it, as a word.
fn mentions(sql: &str, name: &str) -> bool {
    let (sql, name) = (sql.to_lowercase(), name.to_lowercase());
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    sql.match_indices(&name).any(|(at, _)| {
        let (before, behind) = (&sql[..at], &sql[at + name.len()..]);
        !before.ends_with(is_part) && !behind.starts_with(is_part)
    }) && !same(&name, "")
}
