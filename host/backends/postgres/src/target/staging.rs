//! The table a result is collected in before it replaces what is in the target.
//!
//! It refuses what the target will refuse, so that a bad record is known as one and not as the
//! failure of the whole: it has the target's checks, keys, defaults and computed columns, its
//! foreign keys, and the bounds of its partitions.

use dkhost_core::Result;
use tokio_postgres::types::Type;

use super::sql;
use crate::catalog::{Kind, Name, Table};
use crate::name::{quote, quote_all};
use crate::session::Session;

/// Creates it after `old`.
pub(super) fn create(
    session: &mut Session,
    doing: &str,
    old: &Table,
    staging: &Name,
) -> Result<()> {
    let name = sql(staging)?;
    let create = format!(
        "CREATE TABLE {name} (LIKE {} INCLUDING ALL EXCLUDING COMMENTS EXCLUDING STATISTICS)",
        old.sql()?
    );
    session.run(doing, &create)?;
    for key in foreign_keys(session, doing, old, &name)? {
        session.run(doing, &format!("ALTER TABLE {name} ADD {key}"))?;
    }
    if old.kind == Kind::Partitioned
        && let Some(bounds) = bounds(session, doing, old)?
    {
        session.run(doing, &format!("ALTER TABLE {name} ADD CHECK ({bounds})"))?;
    }
    Ok(())
}

/// Foreign keys of a table, for another that stands in for it; those to itself refer to the other.
fn foreign_keys(
    session: &mut Session,
    doing: &str,
    old: &Table,
    staging: &str,
) -> Result<Vec<String>> {
    let sql = "SELECT c.confrelid = c.conrelid, n.nspname::text, f.relname::text, c.confmatchtype = 'f', \
                 (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(c.conkey) WITH ORDINALITY AS k(num, at) \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num), \
                 (SELECT array_agg(a.attname::text ORDER BY k.at) FROM unnest(c.confkey) WITH ORDINALITY AS k(num, at) \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num) \
               FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class f ON f.oid = c.confrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace \
               WHERE c.contype = 'f' AND c.convalidated AND c.conrelid = $1::oid";
    let oid = i64::from(old.oid);
    let rows = session.rows(doing, sql, &[(&oid, Type::INT8)])?;
    let keys = rows.iter().map(|row| {
        let (own, theirs): (Vec<String>, Vec<String>) = (row.get(4), row.get(5));
        let to = match row.get::<_, bool>(0) {
            true => staging.to_owned(),
            false => format!("{}.{}", quote(row.get(1))?, quote(row.get(2))?),
        };
        let full = if row.get(3) { " MATCH FULL" } else { "" };
        Ok(format!(
            "FOREIGN KEY ({}) REFERENCES {to} ({}){full}",
            quote_all(own.iter().map(String::as_str))?,
            quote_all(theirs.iter().map(String::as_str))?
        ))
    });
    keys.collect()
}

/// What a row must be to have a partition; `None` where any row has one.
fn bounds(session: &mut Session, doing: &str, old: &Table) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.pg_get_partition_constraintdef(t.relid::oid) FROM pg_catalog.pg_partition_tree($1::oid::regclass) t \
               WHERE t.isleaf AND t.level > 0";
    let oid = i64::from(old.oid);
    let rows = session.rows(doing, sql, &[(&oid, Type::INT8)])?;
    let bounds: Option<Vec<String>> = rows.iter().map(|row| row.get(0)).collect();
    Ok(bounds.map(|bounds| match bounds.is_empty() {
        true => "false".to_owned(),
        false => bounds
            .iter()
            .map(|bound| format!("({bound})"))
            .collect::<Vec<_>>()
            .join(" OR "),
    }))
}
