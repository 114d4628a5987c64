//! What hangs on a table whose columns change: the server keeps it, drops it along with a column
//! (then the plan says so), or would refuse (then the plan refuses and names it).

use dkhost_core::{Error, Result};
use tokio_postgres::types::Type;

use super::super::plan::LOOKING;
use super::changes::{Columns, plain};
use super::rules::{Known, Rule};
use crate::catalog::{Kind, Table};
use crate::name::quote;
use crate::session::Session;

/// What depends on columns of a table: which column, how, what kind of thing, and its name.
///
/// Indexes and constraints of the table itself go along with a column; a default of the column's
/// own is the column's. Of a view its name is wanted and not that of its rule.
const DEPENDENTS_SQL: &str = "\
SELECT a.attname::text, CASE
         WHEN d.classid = 'pg_catalog.pg_rewrite'::regclass THEN 'view'
         WHEN d.classid = 'pg_catalog.pg_attrdef'::regclass THEN 'generated'
         WHEN d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = d.refobjid THEN 'generated'
         WHEN d.classid = 'pg_catalog.pg_constraint'::regclass AND f.contype = 'f' AND d.deptype = 'n' THEN 'referring'
         WHEN d.classid = 'pg_catalog.pg_constraint'::regclass AND f.contype = 'f' THEN 'foreign'
         WHEN d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass) THEN 'own'
         WHEN d.classid::regclass::text LIKE '%pg_statistic_ext' THEN 'own'
         ELSE 'other' END AS kind,
       CASE
         WHEN r.ev_class IS NOT NULL AND r.ev_class <> d.refobjid THEN
           (SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || c.oid::regclass::text
              FROM pg_catalog.pg_class c WHERE c.oid = r.ev_class)
         WHEN e.adnum IS NOT NULL THEN
           (SELECT 'generated column ' || g.attname FROM pg_catalog.pg_attribute g WHERE g.attrelid = e.adrelid AND g.attnum = e.adnum)
         WHEN d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = d.refobjid THEN
           (SELECT 'generated column ' || g.attname FROM pg_catalog.pg_attribute g WHERE g.attrelid = d.objid AND g.attnum = d.objsubid)
         WHEN f.oid IS NOT NULL THEN
           CASE f.contype WHEN 'f' THEN 'foreign key ' ELSE 'constraint ' END || quote_ident(f.conname)
         ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END,
       f.oid::int8
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_catalog.pg_attrdef e ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND e.oid = d.objid
  LEFT JOIN pg_catalog.pg_constraint f ON d.classid = 'pg_catalog.pg_constraint'::regclass AND f.oid = d.objid
 WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::oid AND a.attname::text = ANY($2)
   AND NOT (e.adrelid IS NOT DISTINCT FROM d.refobjid AND e.adnum IS NOT DISTINCT FROM d.refobjsubid)
 ORDER BY a.attnum, 2, 3";

/// Looks at everything that hangs on columns that go or get another type: what goes along with
/// them, a line each for the plan.
///
/// *Errors* – `postgres::depends` with the object's name; `postgres::inherits`.
pub(super) fn check(
    session: &mut Session,
    table: &Table,
    columns: &Columns,
) -> Result<Vec<String>> {
    if columns.changes.is_empty() {
        return Ok(Vec::new());
    }
    check_family(session, table)?;
    let retyped: Vec<String> = columns
        .retyped
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    check_partitioning(session, table, columns, &retyped)?;
    let concerned: Vec<String> = [columns.dropped.as_slice(), retyped.as_slice()].concat();
    if concerned.is_empty() {
        return Ok(Vec::new());
    }
    check_row_type(session, table, &retyped)?;
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] = [
        (&i64::from(table.oid), Type::INT8),
        (&concerned, Type::TEXT_ARRAY),
    ];
    let rows = session.rows(LOOKING, DEPENDENTS_SQL, &parameters)?;
    let mut goes_along = Vec::new();
    for row in &rows {
        let (column, kind, what): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let is_dropped = columns.dropped.iter().any(|dropped| dropped == column);
        match (kind, is_dropped) {
            ("own" | "foreign", true) => {
                let told = format!("drops {what} along with column {}", plain(column));
                // A key over two columns that go is one thing.
                if !goes_along
                    .iter()
                    .any(|known: &String| known.starts_with(&format!("drops {what} ")))
                {
                    goes_along.push(told);
                }
            }
            ("own", false) => {}
            ("foreign" | "referring", false) => check_key(session, table, columns, row)?,
            _ => return Err(depends(table, column, what, is_dropped)),
        }
    }
    Ok(goes_along)
}

fn depends(table: &Table, column: &str, what: &str, is_dropped: bool) -> Error {
    let why = match is_dropped {
        true => "goes",
        false => "gets another type",
    };
    Error::config(
        "postgres::depends",
        format!(
            "{what} uses column `{column}` of {}, which {why}",
            table.label()
        ),
    )
    .help("drop it before the migration and create it anew afterwards")
}

/// Refuses what shares its columns with another table, or takes them from a type.
fn check_family(session: &mut Session, table: &Table) -> Result<()> {
    if table.kind == Kind::Table && table.children > 0 {
        let sql = "SELECT inhrelid::regclass::text FROM pg_catalog.pg_inherits WHERE inhparent = $1::oid ORDER BY 1";
        let child = first(session, sql, table)?.unwrap_or_default();
        return Err(inherits(table, &format!("{child} inherits from it")));
    }
    let sql = "SELECT inhparent::regclass::text FROM pg_catalog.pg_inherits WHERE inhrelid = $1::oid ORDER BY 1";
    if let Some(parent) = first(session, sql, table)? {
        return Err(inherits(
            table,
            &format!("it takes its columns from {parent}"),
        ));
    }
    let sql = "SELECT reloftype::regtype::text FROM pg_catalog.pg_class WHERE oid = $1::oid AND reloftype <> 0";
    match first(session, sql, table)? {
        Some(ty) => Err(inherits(
            table,
            &format!("it takes its columns from the type {ty}"),
        )),
        None => Ok(()),
    }
}

fn inherits(table: &Table, why: &str) -> Error {
    Error::config(
        "postgres::inherits",
        format!("the columns of {} cannot be changed alone: {why}", table.label()),
    )
    .help("bring a table to the new version that stands for itself, or a partitioned table as a whole")
}

/// Refuses to change the columns that say which partition a row is in.
fn check_partitioning(
    session: &mut Session,
    table: &Table,
    columns: &Columns,
    retyped: &[String],
) -> Result<()> {
    if table.kind != Kind::Partitioned {
        return Ok(());
    }
    // An expression's columns depend on the table, and not the other way round.
    let sql = "SELECT a.attname::text FROM pg_catalog.pg_partitioned_table p \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY(p.partattrs::int2[]) \
               WHERE p.partrelid = $1::oid \
               UNION SELECT a.attname::text FROM pg_catalog.pg_depend d \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid \
               WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = d.classid AND d.deptype = 'i' \
                 AND d.objid = $1::oid AND d.objsubid > 0 AND d.refobjid = $1::oid AND d.refobjsubid = 0";
    let rows = session.rows(LOOKING, sql, &[(&i64::from(table.oid), Type::INT8)])?;
    for row in &rows {
        let name: String = row.get(0);
        let is_dropped = columns.dropped.contains(&name);
        if is_dropped || retyped.contains(&name) {
            return Err(depends(table, &name, "the partitioning", is_dropped));
        }
    }
    Ok(())
}

/// Refuses another type where somebody has the whole row as a column's type.
fn check_row_type(session: &mut Session, table: &Table, retyped: &[String]) -> Result<()> {
    let sql = "SELECT a.attrelid::regclass::text || '.' || quote_ident(a.attname) FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_type t ON t.oid = c.reltype \
               JOIN pg_catalog.pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND a.atttypid <> 0 AND NOT a.attisdropped \
               JOIN pg_catalog.pg_class o ON o.oid = a.attrelid AND o.relkind IN ('r', 'm', 'p') \
               WHERE c.oid = $1::oid ORDER BY 1";
    match (retyped.first(), first(session, sql, table)?) {
        (Some(column), Some(user)) => {
            let what = format!("column {user}, which has whole rows,");
            Err(depends(table, column, &what, false))
        }
        _ => Ok(()),
    }
}

/// Refuses a foreign key that could not compare its columns any more.
fn check_key(
    session: &mut Session,
    table: &Table,
    columns: &Columns,
    key: &tokio_postgres::Row,
) -> Result<()> {
    let (column, what, oid): (&str, &str, Option<i64>) = (key.get(0), key.get(2), key.get(3));
    let sql = "SELECT o.attname::text, format_type(o.atttypid, o.atttypmod), f.attname::text, \
                 format_type(f.atttypid, f.atttypmod), c.conrelid = c.confrelid \
               FROM pg_catalog.pg_constraint c CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(own, theirs) \
               JOIN pg_catalog.pg_attribute o ON o.attrelid = c.conrelid AND o.attnum = k.own \
               JOIN pg_catalog.pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs \
               WHERE c.oid = $1::oid";
    let pairs = session.rows(LOOKING, sql, &[(&oid.unwrap_or_default(), Type::INT8)])?;
    for pair in &pairs {
        let now = |name: &str, ty: &str| {
            let retyped = columns.retyped.iter().find(|(column, _)| column == name);
            retyped.map_or(ty.to_owned(), |(_, ty)| ty.clone())
        };
        let (own, theirs): (&str, &str) = (pair.get(0), pair.get(2));
        let own_type = now(own, pair.get(1));
        let their_type = match pair.get(4) {
            true => now(theirs, pair.get(3)),
            false => pair.get::<_, String>(3),
        };
        // Asked of values that are not there: whether there is an operator.
        let compare = format!("SELECT NULL::{own_type} = NULL::{their_type}");
        if session.run(LOOKING, &compare).is_err() {
            return Err(depends(table, column, what, false));
        }
    }
    Ok(())
}

/// Refuses rules whose names other things in the table's schema have, and unique rules that a
/// partitioned table cannot have.
pub(super) fn check_names(
    session: &mut Session,
    table: &Table,
    rules: &[Rule],
    gone: &[Known],
) -> Result<()> {
    for rule in rules.iter().filter(|rule| rule.is_unique()) {
        if table.kind == Kind::Partitioned {
            return Err(Error::config(
                "postgres::unique_in_partitions",
                format!(
                    "{} is partitioned, and a unique rule of `{}` alone cannot be checked across its partitions",
                    table.label(),
                    rule.column
                ),
            )
            .help("leave `unique` out of the schema, or use a table that is not partitioned"));
        }
        let sql = "SELECT c.oid::regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
                   ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&table.schema, Type::TEXT), (&rule.name, Type::TEXT)];
        let rows = session.rows(LOOKING, sql, &parameters)?;
        let is_ours = gone.iter().any(|known| known.name == rule.name);
        if let Some(row) = rows.first().filter(|_| !is_ours) {
            let other: &str = row.get(0);
            return Err(Error::config(
                "postgres::name_taken",
                format!(
                    "there is {other} already, and the index of the unique rule of `{}` would have its name",
                    rule.column
                ),
            )
            .help(format!("rename it: ALTER INDEX {other} RENAME TO …")));
        }
    }
    Ok(())
}

/// Refuses a user who may not alter the table, each of its partitions, or make an index there.
pub(super) fn check_owner(session: &mut Session, table: &Table, makes_index: bool) -> Result<()> {
    let sql = "SELECT t.relid::regclass::text, pg_get_userbyid(c.relowner)::text \
               FROM (SELECT $1::oid AS relid UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass)) t \
               JOIN pg_catalog.pg_class c ON c.oid = t.relid WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1";
    let rows = session.rows(LOOKING, sql, &[(&i64::from(table.oid), Type::INT8)])?;
    if let Some(row) = rows.first() {
        let (name, owner): (&str, &str) = (row.get(0), row.get(1));
        return Err(Error::config(
            "postgres::denied",
            format!("only the owner of table `{name}` may alter it, and that is {owner}"),
        )
        .help(format!(
            "GRANT {} TO …, or ALTER TABLE {name} OWNER TO …",
            plain(owner)
        )));
    }
    let sql = "SELECT has_schema_privilege(c.relnamespace, 'CREATE')::text FROM pg_catalog.pg_class c WHERE c.oid = $1::oid";
    match first(session, sql, table)?.as_deref() {
        Some("false") if makes_index => Err(Error::config(
            "postgres::denied",
            format!(
                "the user of this connection may not make the index of a unique rule in schema `{}`",
                table.schema
            ),
        )
        .help(format!("GRANT CREATE ON SCHEMA {} TO …", quote(&table.schema)?))),
        _ => Ok(()),
    }
}

/// The first name that a question about the table is answered with.
fn first(session: &mut Session, sql: &str, table: &Table) -> Result<Option<String>> {
    let rows = session.rows(LOOKING, sql, &[(&i64::from(table.oid), Type::INT8)])?;
    Ok(rows.first().map(|row| row.get(0)))
}
