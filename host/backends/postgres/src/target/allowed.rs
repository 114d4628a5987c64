//! What stands in the way of writing to a table, told before anything is written: rights that are
//! missing, and rules that would write something else.

use dkhost_core::{Conflict, Error, OpenTarget, Result};
use tokio_postgres::types::Type;

use super::plan::LOOKING;
use super::{shown, stamps};
use crate::catalog::{Name, Table};
use crate::name::quote;
use crate::session::Session;

/// The rights that are missing, as GRANT names them, and on which sequence.
const RIGHTS_SQL: &str = "SELECT right_, sequence FROM (VALUES \
        ('GRANT CREATE ON DATABASE', to_regnamespace('dkhost') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE'), NULL), \
        ('GRANT TEMPORARY ON DATABASE', NOT has_database_privilege(current_database(), 'TEMPORARY'), NULL), \
        ('GRANT CREATE ON SCHEMA', $1 = 0 AND EXISTS (SELECT FROM pg_namespace WHERE nspname = $2) \
           AND NOT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $2), true), NULL), \
        ('GRANT CREATE ON DATABASE', $1 = 0 AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $2) \
           AND NOT has_database_privilege(current_database(), 'CREATE'), NULL), \
        ('GRANT ' || $3 || ' ON TABLE', $1 <> 0 AND EXISTS (SELECT FROM unnest(string_to_array($3, ', ')) AS p \
           WHERE NOT coalesce(has_table_privilege($1::oid, p), true) \
             AND NOT (p IN ('SELECT', 'INSERT', 'UPDATE') AND coalesce(has_any_column_privilege($1::oid, p), true))), NULL) \
      ) AS t(right_, missing, sequence) WHERE missing \
    UNION ALL SELECT 'GRANT SELECT, UPDATE ON SEQUENCE', s FROM ( \
        SELECT pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) AS s \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.oid = $1::oid AND a.attnum > 0 AND a.attname::text = ANY($4)) q \
      WHERE s IS NOT NULL AND NOT (has_sequence_privilege(s, 'SELECT') AND has_sequence_privilege(s, 'UPDATE'))";

/// Asks the server what we may do, so that nothing is refused in the middle or at the end.
///
/// *Errors* – `postgres::denied` with the GRANT that is missing; `postgres::rule`.
pub(super) fn check(
    session: &mut Session,
    found: Option<&Table>,
    name: &Name,
    open: &OpenTarget,
) -> Result<()> {
    if let Some(table) = found {
        check_rules(session, table, open.conflict)?;
    }
    let schema = name.schema.clone().unwrap_or_default();
    let table = found.map_or(0, |table| i64::from(table.oid));
    let needed = match open.conflict {
        Conflict::Upsert => "SELECT, INSERT, UPDATE",
        Conflict::ReplaceAll => "SELECT, INSERT, TRUNCATE",
        Conflict::Insert | Conflict::Skip => "SELECT, INSERT",
    };
    let fields = open.schema.fields.iter();
    let written: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
    let rows = session.rows(
        LOOKING,
        RIGHTS_SQL,
        &[
            (&table, Type::INT8),
            (&schema, Type::TEXT),
            (&needed, Type::TEXT),
            (&written, Type::TEXT_ARRAY),
        ],
    )?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (right, sequence): (&str, Option<&str>) = (row.get(0), row.get(1));
    let on = match (sequence, right.rsplit(' ').next()) {
        (Some(sequence), _) => sequence.to_owned(),
        (None, Some("TABLE")) => format!("{}.{}", quote(&schema)?, quote(&name.name)?),
        (None, Some("SCHEMA")) => quote(&schema)?,
        _ => "…".to_owned(),
    };
    let may_not = match sequence {
        Some(_) => "move the counter of",
        None => "write to",
    };
    Err(Error::config(
        "postgres::denied",
        format!(
            "the user of this connection may not {may_not} `{}`",
            shown(name)
        ),
    )
    .help(format!("{right} {on} TO …")))
}

/// Refuses a user who could not write down, or remove, which version the records are of.
///
/// *Errors* – `postgres::denied` with the GRANT that is missing.
pub(super) fn check_stamps(
    session: &mut Session,
    found: Option<&Table>,
    open: &OpenTarget,
) -> Result<()> {
    if open.conflict != Conflict::ReplaceAll || (open.reshape.is_none() && found.is_none()) {
        return Ok(());
    }
    let help = match (stamps::exist(session)?, &open.reshape) {
        (true, reshape) => {
            let needed = match reshape {
                Some(_) => "SELECT, INSERT, UPDATE, DELETE",
                None => "SELECT, DELETE",
            };
            let sql = "SELECT has_schema_privilege(n.oid, 'USAGE') AND NOT EXISTS (SELECT FROM unnest(string_to_array($1, ', ')) AS p \
                         WHERE NOT has_table_privilege(c.oid, p)) \
                       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                       WHERE n.nspname = 'dkhost' AND c.relname = 'schema_version'";
            let rows = session.rows(LOOKING, sql, &[(&needed, Type::TEXT)])?;
            match rows.first().is_some_and(|row| row.get(0)) {
                true => return Ok(()),
                false => format!(
                    "GRANT USAGE ON SCHEMA dkhost TO …; GRANT {needed} ON {} TO …",
                    stamps::LABEL
                ),
            }
        }
        (false, None) => return Ok(()),
        (false, Some(_)) => {
            let sql = "SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = 'dkhost'), true)";
            let rows = session.rows(LOOKING, sql, &[])?;
            match rows.first().is_some_and(|row| row.get(0)) {
                true => return Ok(()),
                false => "GRANT USAGE, CREATE ON SCHEMA dkhost TO …".to_owned(),
            }
        }
    };
    Err(Error::config(
        "postgres::denied",
        format!(
            "the user of this connection may not write down in {} which version the records are of",
            stamps::LABEL
        ),
    )
    .help(help))
}

/// Refuses a table whose rules put other commands in the place of ours or beside them: COPY does
/// not know of them, and `INSERT` would count what it did not write.
fn check_rules(session: &mut Session, table: &Table, conflict: Conflict) -> Result<()> {
    let sql = "SELECT rulename::text FROM pg_catalog.pg_rewrite \
               WHERE ev_class = $1::oid AND ev_enabled <> 'D' AND (ev_type = '3' OR ev_type = '2' AND $2) ORDER BY 1";
    let oid = i64::from(table.oid);
    let meets = matches!(conflict, Conflict::Upsert | Conflict::Skip);
    let rows = session.rows(LOOKING, sql, &[(&oid, Type::INT8), (&meets, Type::BOOL)])?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let rule: &str = row.get(0);
    Err(Error::config(
        "postgres::rule",
        format!(
            "{} has a rule `{rule}`, which would write something else than the records",
            table.label()
        ),
    )
    .help(format!(
        "ALTER TABLE {} DISABLE RULE {}, or write what it does as a trigger",
        table.sql()?,
        quote(rule)?
    )))
}
