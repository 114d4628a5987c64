//! Which version of a schema the records of a table are of: rows of `dkhost.schema_version`, in the
//! database of the data, so that they change in the data's own transactions.
//!
//! A row is kept by the table itself (`regclass`) and not by its name: it goes along when the table
//! is renamed, is written as the name into a dump, and is nobody's once the table is dropped.

use std::path::Path;

use dkhost_core::{Error, Options, Result, Stamp};
use tokio_postgres::types::Type;

use super::plan;
use crate::catalog::{Name, OUR_SCHEMA};
use crate::server::Server;
use crate::session::Session;

const READING: &str = "read the version of the records";
const WRITING: &str = "write down the version of the records";

/// What the table is called; the schema is ours.
const TABLE: &str = "schema_version";

/// Both, for people.
pub(super) const LABEL: &str = "dkhost.schema_version";

/// By this comment the table is known as one that we made, and may remove.
const COMMENT: &str = "dkhost: which version of a schema the records of a table are of";

/// The stamp of the table that a target's options name.
///
/// *Errors* – those of a connection; `postgres::denied` where it may not be read.
pub(crate) fn of(mut options: Options, base: &Path) -> Result<Option<Stamp>> {
    let server = Server::take(&mut options, base)?;
    let layout = crate::backend::take_layout(&mut options)?;
    let span = options.span_of("table");
    let name = Name::parse(&plan::table_text(&mut options, layout)?, span)?;
    let mut session = Session::open(&server)?;
    match name.resolve(&mut session)? {
        Some(oid) => read(&mut session, oid),
        None => Ok(None),
    }
}

/// Whether there is anything written down in this database.
pub(super) fn exist(session: &mut Session) -> Result<bool> {
    // Not to_regclass: it is an error for who may not use the schema.
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
               ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&OUR_SCHEMA, Type::TEXT), (&TABLE, Type::TEXT)];
    let rows = session.rows(READING, sql, &parameters)?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The stamp of the table with this oid.
pub(super) fn read(session: &mut Session, oid: u32) -> Result<Option<Stamp>> {
    if !exist(session)? {
        return Ok(None);
    }
    let sql = "SELECT schema, version, run FROM dkhost.schema_version WHERE target = $1::oid";
    let rows = session
        .rows(READING, sql, &[(&i64::from(oid), Type::INT8)])
        .map_err(|error| match error.code() {
            "postgres::denied" => error.help(
                "GRANT USAGE ON SCHEMA dkhost TO …; GRANT SELECT ON dkhost.schema_version TO …",
            ),
            _ => error,
        })?;
    let column = |row: &tokio_postgres::Row, at: usize| {
        row.try_get::<_, String>(at).map_err(|cause| {
            Error::state(
                "state::corrupt",
                "the table dkhost.schema_version has columns of other types than ours",
            )
            .help("rename it; `dkhost schema apply` makes one of its own")
            .caused_by(cause)
        })
    };
    let stamp = rows.first().map(|row| {
        Ok(Stamp {
            schema: column(row, 0)?,
            version: column(row, 1)?,
            run: column(row, 2)?,
        })
    });
    stamp.transpose()
}

/// Creates the table unless it is there. Whoever calls is alone with the state.
pub(super) fn create(session: &mut Session) -> Result<()> {
    if exist(session)? {
        return Ok(());
    }
    let create = format!(
        "CREATE TABLE dkhost.schema_version (target regclass PRIMARY KEY, schema text NOT NULL, \
           version text NOT NULL, run text NOT NULL, at timestamptz NOT NULL); \
         COMMENT ON TABLE dkhost.schema_version IS '{COMMENT}'"
    );
    session.run("create the table of versions", &create)
}

/// Writes the stamp of a table, in the transaction that brings its records there.
pub(super) fn write(session: &mut Session, oid: u32, stamp: &Stamp) -> Result<()> {
    let sql = "INSERT INTO dkhost.schema_version (target, schema, version, run, at) VALUES ($1::oid, $2, $3, $4, now()) \
               ON CONFLICT (target) DO UPDATE SET schema = excluded.schema, version = excluded.version, \
               run = excluded.run, at = excluded.at";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&i64::from(oid), Type::INT8),
        (&stamp.schema, Type::TEXT),
        (&stamp.version, Type::TEXT),
        (&stamp.run, Type::TEXT),
    ];
    session.execute(WRITING, sql, &parameters).map(drop)
}

/// Removes the stamp of a table whose records are others from now on, and those of tables that
/// were dropped.
pub(super) fn remove(session: &mut Session, oid: u32) -> Result<()> {
    if !exist(session)? {
        return Ok(());
    }
    let sql = "DELETE FROM dkhost.schema_version v WHERE target = $1::oid \
               OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v.target)";
    session
        .execute(WRITING, sql, &[(&i64::from(oid), Type::INT8)])
        .map(drop)
}

/// Drops the table where it is ours and says nothing.
pub(super) fn drop_empty(session: &mut Session) -> Result<()> {
    if !exist(session)? {
        return Ok(());
    }
    let sql = format!(
        "SELECT pg_has_role(c.relowner, 'USAGE') AND coalesce(obj_description(c.oid, 'pg_class'), '') = '{COMMENT}' \
         FROM pg_catalog.pg_class c WHERE c.oid = 'dkhost.schema_version'::regclass"
    );
    let rows = session.rows(WRITING, &sql, &[])?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    let sql = "SELECT NOT EXISTS (SELECT FROM dkhost.schema_version)";
    let rows = session.rows(WRITING, sql, &[])?;
    match rows.first().is_some_and(|row| row.get(0)) {
        true => session.run(WRITING, "DROP TABLE dkhost.schema_version"),
        false => Ok(()),
    }
}
