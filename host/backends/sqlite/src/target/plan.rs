//! Plans a target: finds the table or lays it out, and says all that can be known to go wrong.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use dkhost_core::{
    Conflict, Error, Field, Nulls, OpenTarget, Options, Result, Role, Schema, Span, Stamp,
    TargetPlan, dataknobs,
};
use rusqlite::Connection;

use super::columns::{self, TargetColumn};
use super::layout::Layout;
use super::reshape::{self, Reshaped};
use super::state::Memory;
use super::{Plans, Target, ddl, knobs, stamps};
use crate::catalog::{Kind, OUR_PREFIX, Table};
use crate::fault::{fault, words};
use crate::name::{quote, quote_all, same};
use crate::place::Place;

/// SQLITE_MAX_COLUMN of the SQLite that is linked.
const COLUMNS_MAX: usize = 2000;

/// Plans the target. Nothing is written.
pub(super) fn target(mut options: Options, open: &OpenTarget) -> Result<Target> {
    let place = Place::take(&mut options, &open.base)?;
    let layout = match crate::take_layout(&mut options)? {
        true => Layout::Dataknobs(open.nulls),
        false => Layout::Table,
    };
    let (table, span) = table_name(&mut options, &layout)?;
    check_schema(&layout, &open.schema)?;
    let db = place.exists().then(|| place.open_to_look()).transpose()?;
    let found = match &db {
        Some(db) => Table::find(db, &place, &table)?,
        None => None,
    };
    match &found {
        Some(table) => {
            check_is_table(table, &place).map_err(|error| error.at(span, "name a table"))?
        }
        None if open.create => {}
        None => return Err(absent(db.as_ref(), &place, &table).at_least(span)),
    }
    let create: fn(&Target, &str) -> Result<String> = match layout {
        Layout::Table => |target, name| ddl::create(name, &target.schema),
        Layout::Dataknobs(_) => |_, name| knobs::create(name),
    };
    let reshaped = match (&db, &found, &open.reshape) {
        (Some(db), Some(found), Some(to)) if layout == Layout::Table => {
            Some(reshape::reshape(db, &place, found, to, &open.schema)?)
        }
        _ => None,
    };
    let definition = match (&reshaped, &found) {
        (Some(reshaped), _) => reshaped.table.clone(),
        (None, Some(table)) => table.clone(),
        (None, None) => draft(&layout, &table, &open.schema)?,
    };
    let held = columns::find(&definition, &layout.columns(&open.schema))?;
    let key = key(&definition, &layout, open)?;
    check_writable(&definition, &layout, &held, found.is_some())?;
    let memory = match &db {
        Some(db) => Memory::read(db, &open.job)?,
        None => None,
    };
    let planned = Planned {
        place: &place,
        found: found.as_ref(),
        definition: &definition,
        open,
        layout: &layout,
        held: &held,
        key: &key,
        reshaped: reshaped.as_ref(),
    };
    let plans = planned.plans(db.as_ref(), memory)?;
    Ok(Target {
        table: found.as_ref().map_or(table, |table| table.name.clone()),
        job: open.job.clone(),
        conflict: open.conflict,
        schema: open.schema.clone(),
        found: found.map(|table| table.sql),
        create,
        plans,
        claimed: Mutex::new(None),
        published: AtomicBool::new(false),
        reshaped,
        reshape: open.reshape.clone(),
        place,
        layout,
        key,
    })
}

/// What the database says of the target's records.
pub(super) fn stamp(mut options: Options, base: &Path) -> Result<Option<Stamp>> {
    let place = Place::take(&mut options, base)?;
    let layout = match crate::take_layout(&mut options)? {
        true => Layout::Dataknobs(Nulls::Keep),
        false => Layout::Table,
    };
    let (table, _) = table_name(&mut options, &layout)?;
    match place.exists() {
        true => stamps::read(&place.open_to_look()?, &table),
        false => Ok(None),
    }
}

/// The table that is named, else the one of a dataknobs store, and its place in the job.
fn table_name(options: &mut Options, layout: &Layout) -> Result<(String, Span)> {
    let span = options.span_of("table");
    let named: Option<String> = options.take("table")?;
    let usual = || (*layout != Layout::Table).then(|| crate::DATAKNOBS_TABLE.to_owned());
    let Some(table) = named.or_else(usual) else {
        return Err(Error::config("job::missing_key", "[target] needs `table`")
            .at(span, "`table` is missing here"));
    };
    check_name(&table).map_err(|error| error.at_least(span.clone()))?;
    Ok((table, span))
}

fn check_is_table(table: &Table, place: &Place) -> Result<()> {
    let what = match table.kind {
        Kind::Table => return Ok(()),
        Kind::View => "a view",
        Kind::Virtual => "a virtual table",
    };
    Err(Error::config(
        "sqlite::not_a_table",
        format!(
            "`{}` in {} is {what}, which cannot be a target",
            table.name, place.name
        ),
    ))
}

fn check_name(table: &str) -> Result<()> {
    quote(table)?;
    let lower = table.to_ascii_lowercase();
    if lower.starts_with("sqlite_") || lower.starts_with(OUR_PREFIX) || table.is_empty() {
        return Err(Error::config(
            "sqlite::reserved_name",
            format!("a table cannot be called `{table}`"),
        )
        .help("names that begin with `sqlite_` are SQLite's own, those with `dkhost_` ours"));
    }
    Ok(())
}

fn check_schema(layout: &Layout, schema: &Schema) -> Result<()> {
    if *layout != Layout::Table {
        let has_id = schema.role(Role::Id).is_some()
            || !schema.key().is_empty()
            || schema.index_of("id").is_some();
        if !has_id {
            return Err(Error::config(
                "dataknobs::no_id",
                "records for a dataknobs store need an id, and none of these has one",
            )
            .help("set `key` in [source] to the column that tells records apart"));
        }
        return Ok(());
    }
    if let Some(rest) = schema.role(Role::Rest) {
        return Err(Error::config(
            "sqlite::no_rest",
            format!(
                "a table has no place for the fields in `{}`",
                schema.fields[rest].name
            ),
        )
        .help("choose what becomes of them with run.schema_drift, or use layout = \"dataknobs\""));
    }
    if schema.fields.len() > COLUMNS_MAX {
        return Err(Error::config(
            "sqlite::too_many_columns",
            format!(
                "{} columns are to be written, and a table of SQLite has at most {COLUMNS_MAX}",
                schema.fields.len()
            ),
        )
        .help("choose columns with a step (keep = [\"…\"]), or keep records whole with layout = \"dataknobs\""));
    }
    for (i, field) in schema.fields.iter().enumerate() {
        if let Some(other) = schema.fields[..i]
            .iter()
            .find(|other| same(&other.name, &field.name))
        {
            return Err(Error::config(
                "sqlite::same_name",
                format!(
                    "`{}` and `{}` are the same column for SQLite",
                    other.name, field.name
                ),
            )
            .help(format!(
                "rename one of them in a step: rename = {{ {:?} = \"…\" }}",
                field.name
            )));
        }
    }
    Ok(())
}

fn absent(db: Option<&Connection>, place: &Place, table: &str) -> Error {
    let error = Error::config(
        "target::absent",
        format!("there is no table `{table}` in {}", place.name),
    );
    let names = db.map(crate::catalog::names).unwrap_or_default();
    match dkhost_core::error::nearest(table, names.iter().map(String::as_str)) {
        Some(near) => error.help(format!(
            "did you mean `{near}`? `create = true` creates a new one"
        )),
        None => error.help("`create = true` creates it"),
    }
}

/// The table as it will be, tried out in memory: what SQLite refuses is known now.
fn draft(layout: &Layout, table: &str, schema: &Schema) -> Result<Table> {
    let sql = match layout {
        Layout::Table => ddl::create(table, schema)?,
        Layout::Dataknobs(_) => knobs::create(table)?,
    };
    let db =
        Connection::open_in_memory().map_err(|cause| fault("open a database in memory", cause))?;
    db.execute_batch(&sql).map_err(|cause| {
        Error::config(
            "sqlite::cannot_create",
            format!("SQLite cannot create table `{table}`: {}", words(&cause)),
        )
        .help("rename, drop or convert columns in a step")
    })?;
    let place = Place {
        name: "memory".to_owned(),
        path: Default::default(),
        span: 0..0,
    };
    Table::find(&db, &place, table)?
        .ok_or_else(|| Error::bug("a table that was just created is not there"))
}

/// The table's columns that the conflict mode goes by.
fn key(table: &Table, layout: &Layout, open: &OpenTarget) -> Result<Vec<String>> {
    let declared: Vec<&str> = match layout {
        Layout::Table => open
            .key()
            .into_iter()
            .map(|field| field.name.as_str())
            .collect(),
        Layout::Dataknobs(_) => vec!["id"],
    };
    let fields = layout.columns(&open.schema);
    let has_all = |columns: &[(String, String)]| {
        columns
            .iter()
            .all(|(name, _)| fields.iter().any(|field| same(&field.name, name)))
    };
    let unique = match declared.is_empty() {
        true => table.unique.iter().find(|unique| has_all(&unique.columns)),
        false => table.unique_on(&declared),
    };
    match unique {
        Some(unique) => Ok(unique
            .columns
            .iter()
            .map(|(name, _)| name.clone())
            .collect()),
        None if matches!(open.conflict, Conflict::Insert | Conflict::ReplaceAll) => Ok(Vec::new()),
        None => Err(no_key(table, &declared, open.conflict)),
    }
}

fn no_key(table: &Table, declared: &[&str], conflict: Conflict) -> Error {
    let mode = conflict.word();
    let error = Error::config(
        "sqlite::no_key",
        format!(
            "on_conflict = \"{mode}\" needs a key, and table `{}` has none for these columns",
            table.name
        ),
    );
    if declared.is_empty() {
        return error.help("set `key` in [source] to the columns that tell records apart");
    }
    let name = quote(&format!("{}_{}", table.name, declared.join("_"))).unwrap_or_default();
    error.help(format!(
        "CREATE UNIQUE INDEX {name} ON {} ({})",
        quote(&table.name).unwrap_or_default(),
        quote_all(declared.iter().copied()).unwrap_or_default()
    ))
}

fn check_writable(
    table: &Table,
    layout: &Layout,
    held: &[TargetColumn],
    exists: bool,
) -> Result<()> {
    let is_written = |name: &str| held.iter().any(|column| same(&column.field.name, name));
    let needed = table.columns.iter().find(|column| {
        let fills_itself = column.has_default
            || column.generated
            || table
                .rowid_column()
                .is_some_and(|rowid| rowid.name == column.name);
        column.not_null && !fills_itself && !is_written(&column.name)
    });
    if let Some(column) = needed {
        return Err(Error::config("sqlite::not_null_column", format!("`{}` of table `{}` must have a value, and no column of the job has its name", column.name, table.name))
            .help(format!("give it one in a step, as in set = {{ {:?} = \"…\" }}, or give it a default in the table", column.name)));
    }
    if exists && *layout == Layout::Table && held.is_empty() {
        return Err(Error::config(
            "sqlite::no_columns",
            format!("there is nothing to write into table `{}`", table.name),
        ));
    }
    if !table.without_rowid && table.rowid.is_none() {
        return Err(Error::config(
            "sqlite::no_rowid",
            format!(
                "columns of table `{}` hide its rowid under all of its names",
                table.name
            ),
        )
        .help("rename one of the columns rowid, _rowid_ and oid"));
    }
    Ok(())
}

/// What is known when the plan is written down.
struct Planned<'a> {
    place: &'a Place,
    found: Option<&'a Table>,
    definition: &'a Table,
    open: &'a OpenTarget,
    layout: &'a Layout,
    held: &'a [TargetColumn],
    key: &'a [String],
    reshaped: Option<&'a Reshaped>,
}

impl Planned<'_> {
    fn plans(&self, db: Option<&Connection>, memory: Option<Memory>) -> Result<Plans> {
        let name = &self.definition.name;
        let columns = match self.layout {
            Layout::Table => self
                .held
                .iter()
                .map(|column| column.shown.clone())
                .collect(),
            Layout::Dataknobs(_) => knobs::shown(&self.open.schema),
        };
        // A run that goes on finds its own rows; whose they are was written down when it began.
        let own = memory.filter(|memory| memory.owner.table == *name && !memory.owner.published);
        let fresh = self.open.conflict == Conflict::ReplaceAll
            || match own {
                Some(memory) => memory.owner.fresh,
                None => match (db, self.found) {
                    (Some(db), Some(_)) => is_empty(db, name)?,
                    _ => true,
                },
            };
        let planned = TargetPlan {
            label: format!("table {name} in {}", self.place.name),
            promise: "effectively-once".to_owned(),
            mechanism: "rows and checkpoint in one transaction of the database".to_owned(),
            effects: self.effects()?,
            notes: self.notes(),
            columns,
            fresh,
            concurrent: false,
        };
        let shared = TargetPlan {
            fresh: false,
            ..planned.clone()
        };
        Ok(Plans {
            planned,
            shared,
            is_shared: AtomicBool::new(false),
        })
    }

    fn effects(&self) -> Result<Vec<String>> {
        let name = &self.definition.name;
        let mut effects = Vec::new();
        if !self.place.exists() {
            effects.push(format!("creates the database {}", self.place.name));
        }
        effects.push(match (self.found, self.open.conflict) {
            (None, _) => format!("creates table {name} ({} columns)", self.definition.columns.len()),
            (Some(_), Conflict::ReplaceAll) => format!("builds table {name} anew beside the old one, with its definition and indexes, and swaps the two at the end"),
            (Some(_), Conflict::Insert) => format!("adds rows to table {name}"),
            (Some(_), Conflict::Upsert) => format!("adds rows to table {name} and replaces those with the same {}", self.key.join(", ")),
            (Some(_), Conflict::Skip) => format!("adds rows to table {name} and keeps those with the same {}", self.key.join(", ")),
        });
        effects.extend(
            self.reshaped
                .into_iter()
                .flat_map(|reshaped| reshaped.effects.clone()),
        );
        if let Some(to) = &self.open.reshape {
            let (schema, version) = (&to.schema, &to.version);
            effects.push(format!(
                "says in table dkhost_schema_version that its records are of {schema}@{version}"
            ));
        }
        effects
            .push("keeps checkpoints in table dkhost_checkpoint until the run is done".to_owned());
        Ok(effects)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .reshaped
            .map(|reshaped| reshaped.notes.clone())
            .unwrap_or_default();
        let table = self.definition;
        if self.found.is_some() && table.triggers > 0 {
            notes.push(format!(
                "table {} has triggers, which run for every row",
                table.name
            ));
        }
        let declared = self.open.key();
        if self.key.is_empty() && !declared.is_empty() {
            let names: Vec<&str> = declared
                .iter()
                .map(|field: &&Field| field.name.as_str())
                .collect();
            notes.push(format!("table {} has no unique index on {}: a record whose key is there already is added beside it", table.name, names.join(", ")));
        }
        if let Layout::Dataknobs(_) = self.layout {
            notes.extend(dataknobs::lost_when_flat(&self.open.schema));
            let told = match self.open.reshape.is_some() && self.found.is_some() {
                true => {
                    "updated_at is set to the time of writing; the other columns of the store stay as they are"
                }
                false => {
                    "created_at and updated_at are set to the time of writing, unless the records bring them"
                }
            };
            notes.push(told.to_owned());
        }
        notes
    }
}

fn is_empty(db: &Connection, table: &str) -> Result<bool> {
    let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {})", quote(table)?);
    db.query_row(&sql, [], |row| row.get(0))
        .map_err(|cause| fault(format!("look into table `{table}`"), cause))
}
