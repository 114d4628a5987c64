//! Plans a target: finds the table or lays it out, and says all that can be known to go wrong.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use dkhost_core::{Conflict, Error, OpenTarget, Options, Result, Role, Schema, Span};
use tokio_postgres::types::Type;

use super::allowed;
use super::columns::{self, Held};
use super::knobs::{self, Store};
use super::reshape::Reshaped;
use super::words::Planned;
use super::{Target, ddl};
use crate::catalog::{Kind, Name, OUR_SCHEMA, Table, no_table};
use crate::name::quote_all;
use crate::server::Server;
use crate::session::Session;

/// Columns that a table can have.
///
/// *Source* – PostgreSQL 15, `access/htup_details.h`, `MaxHeapAttributeNumber`.
const SERVER_COLUMNS_MAX: usize = 1600;

/// Columns that can be written: temporary tables add some of their own.
const COLUMNS_MAX: usize = SERVER_COLUMNS_MAX - 10;

pub(super) const LOOKING: &str = "look at the target";

/// Plans the target. Nothing is written.
pub(super) fn target(mut options: Options, open: &OpenTarget) -> Result<Target> {
    let server = Server::take(&mut options, &open.base)?;
    let span = options.span_of("table");
    let store = match crate::backend::take_layout(&mut options)? {
        true => Some(Store::new(open)?),
        false => None,
    };
    let text = table_text(&mut options, store.is_some())?;
    let planned = open;
    let open = &OpenTarget {
        schema: match store {
            Some(_) => Schema::new(knobs::columns()),
            None => planned.schema.clone(),
        },
        ..planned.clone()
    };
    let name = Name::parse(&text, span.clone())?;
    check_name(&name, &span)?;
    check_schema(&open.schema)?;
    let mut session = Session::open(&server)?;
    check_language(&mut session, &server)?;
    let found = Table::find(&mut session, &name)?;
    if let Some(table) = &found {
        check_kind(table, open, &mut session).map_err(|error| error.at_least(span))?;
    } else if !open.create {
        return Err(no_table(&mut session, &server.name, &text, span));
    }
    laid_out(server, &mut session, &name, found, store, open)
}

/// The table's name as the job has it.
pub(super) fn table_text(options: &mut Options, is_store: bool) -> Result<String> {
    match options.take("table")? {
        None if is_store => Ok(crate::backend::DATAKNOBS_TABLE.to_owned()),
        Some(text) => Ok(text),
        None => options.require("table"),
    }
}

/// The target over a table that was found, or as it will be created.
fn laid_out(
    server: Server,
    session: &mut Session,
    name: &Name,
    found: Option<Table>,
    store: Option<Store>,
    open: &OpenTarget,
) -> Result<Target> {
    let name = match &found {
        Some(table) => Name::of(&table.schema, &table.name),
        None => placed(session, name)?,
    };
    let (reshaped, after) = reshaped(session, found.as_ref(), store.is_some(), open)?;
    let create = match (&store, &found) {
        (Some(_), _) => knobs::BODY.to_owned(),
        (None, Some(_)) => String::new(),
        (None, None) => body(session, open, reshaped.as_ref())?,
    };
    let definition = match (after, &found) {
        (Some(after), _) => after,
        (None, Some(table)) => table.clone(),
        (None, None) => draft(session, &name, &create)?,
    };
    let held = columns::find(&definition, &open.schema.fields)?;
    let key = key(&definition, open)?;
    check_writable(&definition, &held, found.is_some())?;
    allowed::check(session, found.as_ref(), &name, open)?;
    allowed::check_stamps(session, found.as_ref(), open)?;
    let planned = Planned {
        server: &server,
        found: found.as_ref(),
        definition: &definition,
        name: &name,
        open,
        held: &held,
        key: &key,
        reshaped: reshaped.as_ref(),
    };
    let mut plans = planned.plans(session)?;
    let store = store.map(|store| store.within(&definition));
    if let Some(store) = &store {
        store.shown(&mut plans.planned);
        store.shown(&mut plans.shared);
    }
    Ok(Target {
        job: open.job.clone(),
        conflict: open.conflict,
        schema: open.schema.clone(),
        store: store.map(Arc::new),
        found: found.as_ref().map(fingerprint),
        content: open.content,
        create,
        shape: shape_of(&definition),
        reshaped,
        plans,
        claimed: Mutex::new(None),
        guard: Mutex::new(None),
        published: AtomicBool::new(false),
        server,
        name,
        key,
    })
}

/// What the migration that is asked for makes of the table, and how a table that is there looks
/// afterwards.
fn reshaped(
    session: &mut Session,
    found: Option<&Table>,
    is_store: bool,
    open: &OpenTarget,
) -> Result<(Option<Reshaped>, Option<Table>)> {
    // Records that join others find the table as it was brought to the version before.
    let replaces = open.conflict == Conflict::ReplaceAll;
    let Some(reshape) = open.reshape.as_ref().filter(|_| replaces) else {
        return Ok((None, None));
    };
    match found {
        _ if is_store => Ok((Some(Reshaped::of_documents(reshape)), None)),
        None => Ok((Some(Reshaped::of_new(reshape, open)?), None)),
        Some(table) => {
            let (reshaped, after) = Reshaped::of_table(session, table, reshape, open)?;
            Ok((Some(reshaped), Some(after)))
        }
    }
}

/// What stands between the parentheses of CREATE TABLE, from the plan's schema.
fn body(session: &mut Session, open: &OpenTarget, reshaped: Option<&Reshaped>) -> Result<String> {
    let types = ddl::types(session, &open.schema.fields)?;
    let (Some(reshape), Some(reshaped)) = (&open.reshape, reshaped) else {
        return ddl::body(&open.schema, &types);
    };
    let mut schema = open.schema.clone();
    for field in &mut schema.fields {
        field.nullable = !reshape.required.contains(&field.name);
    }
    Ok(ddl::body(&schema, &types)? + &reshaped.in_create()?)
}

/// Names and types of the columns, to know again the table that rows are collected in.
pub(super) fn shape_of(table: &Table) -> Vec<(String, String)> {
    let columns = table.columns.iter();
    let mut shape: Vec<(String, String)> = columns
        .map(|column| (column.name.clone(), column.ty.spelled.clone()))
        .collect();
    shape.sort();
    shape
}

/// What must not change between plan and claim.
pub(super) fn fingerprint(table: &Table) -> String {
    format!("{} {:?} {:?}", table.oid, table.columns, table.unique)
}

fn check_name(name: &Name, span: &Span) -> Result<()> {
    let schema = name.schema.as_deref().unwrap_or_default();
    if schema != OUR_SCHEMA && !schema.starts_with("pg_") && schema != "information_schema" {
        return Ok(());
    }
    Err(Error::config(
        "postgres::reserved_name",
        format!("a target cannot be in the schema `{schema}`"),
    )
    .at(span.clone(), "another schema")
    .help("schemas that begin with `pg_` are the server's own, `dkhost` is ours"))
}

fn check_schema(schema: &Schema) -> Result<()> {
    if let Some(rest) = schema.role(Role::Rest) {
        return Err(Error::config(
            "postgres::no_rest",
            format!(
                "a table has no place for the fields in `{}`",
                schema.fields[rest].name
            ),
        )
        .help("choose what becomes of them with run.schema_drift, or use layout = \"dataknobs\""));
    }
    if schema.fields.len() > COLUMNS_MAX {
        return Err(Error::config(
            "postgres::too_many_columns",
            format!(
                "{} columns are to be written, and of the {SERVER_COLUMNS_MAX} that a table of PostgreSQL can have dkhost can write {COLUMNS_MAX}",
                schema.fields.len()
            ),
        )
        .help("choose columns with a step: keep = [\"…\"]"));
    }
    Ok(())
}

/// Refuses a database in which bad rows of a batch could not be found ([`super::culprits`]).
fn check_language(session: &mut Session, server: &Server) -> Result<()> {
    let sql = "SELECT coalesce((SELECT CASE WHEN NOT has_language_privilege(oid, 'USAGE') \
               THEN 'GRANT USAGE ON LANGUAGE plpgsql TO' ELSE '' END \
               FROM pg_catalog.pg_language WHERE lanname = 'plpgsql'), 'CREATE EXTENSION plpgsql')";
    let rows = session.rows(LOOKING, sql, &[])?;
    let missing: &str = rows.first().map(|row| row.get(0)).unwrap_or_default();
    // Sent without a character that the database's encoding may not have.
    let missing = missing.replace(" TO", " TO …");
    match missing.as_str() {
        "" => Ok(()),
        missing => Err(Error::config(
            "postgres::no_plpgsql",
            format!(
                "{} does not let us use its language plpgsql, without which records that it refuses could not be told from the others",
                server.name
            ),
        )
        .help(missing)),
    }
}

fn check_kind(table: &Table, open: &OpenTarget, session: &mut Session) -> Result<()> {
    if !matches!(table.kind, Kind::Table | Kind::Partitioned) {
        return Err(Error::config(
            "postgres::not_a_table",
            format!("{} cannot be a target", table.label()),
        )
        .help("name the table behind it"));
    }
    if let Some(unlogged) = &table.unlogged {
        return Err(Error::config(
            "postgres::unlogged",
            format!(
                "a crash of the server empties {unlogged}, as it is unlogged, and records that were counted as written would be gone"
            ),
        )
        .help(format!("ALTER TABLE {unlogged} SET LOGGED")));
    }
    if open.conflict != Conflict::ReplaceAll {
        return Ok(());
    }
    if table.row_security {
        return Err(Error::config(
            "postgres::row_security",
            format!(
                "row security hides rows of {} from this user, and they would be emptied away with the others",
                table.label()
            ),
        )
        .help("connect as the owner or a role with BYPASSRLS, or use on_conflict = \"upsert\""));
    }
    let sql = "SELECT conrelid::regclass::text FROM pg_catalog.pg_constraint \
               WHERE contype = 'f' AND confrelid = $1::oid AND conrelid <> confrelid AND conparentid = 0";
    let oid = i64::from(table.oid);
    let rows = session.rows(LOOKING, sql, &[(&oid, Type::INT8)])?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let other: &str = row.get(0);
    Err(Error::config(
        "postgres::referred_to",
        format!(
            "rows of {other} refer to rows of {}, so these cannot be replaced all at once",
            table.label()
        ),
    )
    .help("use on_conflict = \"upsert\", or drop the foreign key for the time of the run"))
}

/// A new table's name with the schema it will be in.
fn placed(session: &mut Session, name: &Name) -> Result<Name> {
    if let Some(schema) = &name.schema {
        return Ok(Name::of(schema, &name.name));
    }
    let rows = session.rows(LOOKING, "SELECT current_schema()::text", &[])?;
    match rows.first().and_then(|row| row.get::<_, Option<String>>(0)) {
        Some(schema) => Ok(Name::of(&schema, &name.name)),
        None => Err(Error::config(
            "postgres::no_schema",
            format!("there is no schema to create `{}` in", name.name),
        )
        .help(format!("name one: table = \"public.{}\"", name.name))),
    }
}

/// The table as it will be, tried out as a temporary one: what the server refuses is known now.
fn draft(session: &mut Session, name: &Name, body: &str) -> Result<Table> {
    let create = format!("BEGIN; CREATE TEMPORARY TABLE dkhost_draft ({body}) ON COMMIT DROP");
    let drafted = session
        .run(&format!("create a table such as `{}`", name.name), &create)
        .and_then(|()| {
            let sql = "SELECT 'pg_temp.dkhost_draft'::regclass::oid::int8";
            let rows = session.rows(LOOKING, sql, &[])?;
            let oid = rows.first().map_or(0, |row| row.get::<_, i64>(0));
            Table::by_oid(session, oid as u32)
        });
    session.run(LOOKING, "ROLLBACK")?;
    let mut table =
        drafted?.ok_or_else(|| Error::bug("a table that was just created is not there"))?;
    table.schema = name.schema.clone().unwrap_or_default();
    table.name = name.name.clone();
    Ok(table)
}

/// The table's columns that the conflict mode goes by.
fn key(table: &Table, open: &OpenTarget) -> Result<Vec<String>> {
    let declared: Vec<&str> = open
        .key()
        .into_iter()
        .map(|field| field.name.as_str())
        .collect();
    let given = |name: &&str| open.schema.index_of(name).is_some();
    let meets = matches!(open.conflict, Conflict::Upsert | Conflict::Skip);
    let usable = |unique: &&crate::catalog::Unique| {
        !(unique.deferrable && meets)
            && unique
                .plain()
                .is_some_and(|columns| columns.iter().all(given))
    };
    let unique = match declared.is_empty() {
        true => table.unique.iter().find(usable),
        false => table.unique_on(&declared).filter(|unique| usable(unique)),
    };
    match unique.and_then(crate::catalog::Unique::plain) {
        Some(columns) => Ok(columns.into_iter().map(str::to_owned).collect()),
        None if !meets => Ok(Vec::new()),
        None => Err(no_key(table, &declared, open)),
    }
}

/// What to do where the table has no index that `ON CONFLICT` could go by.
fn no_key(table: &Table, declared: &[&str], open: &OpenTarget) -> Error {
    let (mode, label) = (open.conflict.word(), table.label());
    let given = |columns: &Vec<&str>| {
        let mut all = columns.iter();
        all.all(|name| open.schema.index_of(name).is_some())
    };
    let plain = |deferrable: bool| {
        let of_kind = table.unique.iter();
        of_kind
            .filter(move |unique| unique.deferrable == deferrable)
            .filter_map(|unique| unique.plain().filter(given))
    };
    let wanted = |columns: &Vec<&str>| {
        let mut all = columns.iter();
        declared.is_empty()
            || (columns.len() == declared.len() && all.all(|name| declared.contains(name)))
    };
    let error = |why: &str| {
        let message = format!("on_conflict = \"{mode}\" needs a key, and {label} {why}");
        Error::config("postgres::no_key", message)
    };
    if let Some(columns) = plain(true).find(wanted) {
        return error("has only a deferrable index on these columns, which ON CONFLICT cannot use")
            .help(create_index(table, &columns));
    }
    let error = error("has no unique index on these columns that can be met");
    match plain(false).next() {
        Some(columns) => error.help(format!("set key = {columns:?} in [source]")),
        None if table.kind == Kind::Partitioned => error.help(
            "create a unique index that has all columns that the table is partitioned by, \
             and set key = […] in [source] to its columns",
        ),
        None if declared.is_empty() => {
            error.help("set `key` in [source] to the columns that tell records apart")
        }
        None => error.help(create_index(table, declared)),
    }
}

fn create_index(table: &Table, columns: &[&str]) -> String {
    format!(
        "CREATE UNIQUE INDEX ON {} ({})",
        table.sql().unwrap_or_default(),
        quote_all(columns.iter().copied()).unwrap_or_default()
    )
}

fn check_writable(table: &Table, held: &[Held], exists: bool) -> Result<()> {
    let is_written = |name: &str| held.iter().any(|held| held.field.name == name);
    let needed = table.columns.iter().find(|column| {
        let fills_itself = column.has_default || column.generated || column.identity.is_some();
        column.not_null && !fills_itself && !is_written(&column.name)
    });
    if let Some(column) = needed {
        return Err(Error::config(
            "postgres::not_null_column",
            format!(
                "`{}` of {} must have a value, and no column of the job has its name",
                column.name,
                table.label()
            ),
        )
        .help(format!(
            "give it one in a step, as in set = {{ {:?} = \"…\" }}, or give it a default in the table",
            column.name
        )));
    }
    if exists && held.is_empty() {
        return Err(Error::config(
            "postgres::no_columns",
            format!("there is nothing to write into {}", table.label()),
        ));
    }
    Ok(())
}

/// Whether a table has no rows that we see.
pub(super) fn is_empty(session: &mut Session, table: &str) -> Result<bool> {
    let sql = format!("SELECT NOT EXISTS (SELECT FROM {table})");
    let rows = session.rows(LOOKING, &sql, &[])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether the name's schema is there.
pub(super) fn has_schema(session: &mut Session, name: &Name) -> Result<bool> {
    let schema = name.schema.clone().unwrap_or_default();
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    let rows = session.rows(LOOKING, sql, &[(&schema, Type::TEXT)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
