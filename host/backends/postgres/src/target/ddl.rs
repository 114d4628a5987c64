//! The tables we create: from the plan's schema, and anew beside one that is to be replaced.

use dkhost_core::{Field, Result, Schema};
use tokio_postgres::types::Type;

use crate::catalog::{Table, TypeDef, types as types_of};
use crate::kind;
use crate::name::{quote, quote_all};
use crate::session::Session;

/// The types of new columns: the source's where the server knows them and they fit the plan's.
pub(super) fn types(session: &mut Session, fields: &[Field]) -> Result<Vec<String>> {
    let vector = vector(session)?;
    let declared = fields.iter().map(|field| {
        let known = match &field.source_type {
            Some(source) => known(session, source)?,
            None => None,
        };
        Ok(kind::declare(field, known.as_ref(), vector.as_deref()))
    });
    declared.collect()
}

/// pgvector's type as it stands in SQL, where it is installed.
fn vector(session: &mut Session) -> Result<Option<String>> {
    let sql = "SELECT quote_ident(n.nspname) || '.vector' FROM pg_catalog.pg_type t \
               JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
               JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' \
               JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'vector' \
               WHERE t.typname = 'vector'";
    let rows = session.rows("look for pgvector", sql, &[])?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// The type that a source spells so, if this server has it and spells it the same way.
fn known(session: &mut Session, source: &str) -> Result<Option<TypeDef>> {
    let spelled = numbered(source);
    let (bare, modifiers) = match spelled.split_once('(') {
        Some((bare, rest)) => match rest.split_once(')') {
            Some((modifiers, after)) => (format!("{bare}{after}"), modifiers),
            None => return Ok(None),
        },
        None => (spelled.clone(), ""),
    };
    // What `format_type` puts between parentheses; the rest of a name never has any.
    if !modifiers
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, ',' | '-' | ' '))
    {
        return Ok(None);
    }
    // A name that is no type's may be no name at all: the server's answer is an error then.
    let asked = session.rows(
        "look for a type",
        "SELECT t.oid::int8, CASE WHEN t.typmodin <> 0 THEN t.typmodin::regproc::text END FROM pg_catalog.pg_type t \
         WHERE t.oid = pg_catalog.to_regtype($1) AND pg_catalog.format_type(t.oid, NULL) = $1",
        &[(&bare, Type::TEXT)],
    );
    let Some((oid, function)) = asked.ok().and_then(|rows| {
        let row = rows.first()?;
        Some((row.get::<_, i64>(0), row.get::<_, Option<String>>(1)))
    }) else {
        return Ok(None);
    };
    let Some(modifier) = modifier(session, modifiers, function) else {
        return Ok(None);
    };
    let found = types_of(session, &[(oid as u32, modifier)])?;
    Ok(found.into_iter().find(|ty| ty.spelled == source))
}

/// `interval year to month` with its words as the number that the type's own function takes:
/// `interval(6)`. Any other type is left as it is.
///
/// *Source* – PostgreSQL 15, `utils/timestamp.h` (INTERVAL_MASK) and `utils/datetime.h`.
fn numbered(source: &str) -> String {
    let bits = [
        ("year", 2),
        ("month", 1),
        ("day", 3),
        ("hour", 10),
        ("minute", 11),
        ("second", 12),
    ];
    let place = |word: &str| bits.iter().position(|(name, _)| *name == word);
    let Some(words) = source.strip_prefix("interval ") else {
        return source.to_owned();
    };
    let (words, precision) = match words.split_once('(') {
        Some((words, rest)) => (words, rest.trim_end_matches(')')),
        None => (words, ""),
    };
    let (first, last) = words.split_once(" to ").unwrap_or((words, words));
    let (Some(first), Some(last)) = (place(first), place(last)) else {
        return source.to_owned();
    };
    let mask = bits[first..=last.max(first)]
        .iter()
        .fold(0, |mask, (_, bit)| mask | 1 << bit);
    let comma = if precision.is_empty() { "" } else { "," };
    format!("interval({mask}{comma}{precision})")
}

/// What the type's own function makes of its modifiers; -1 for none.
fn modifier(session: &mut Session, modifiers: &str, function: Option<String>) -> Option<i32> {
    if modifiers.is_empty() {
        return Some(-1);
    }
    let sql = format!("SELECT {}($1::text::cstring[])", function?);
    let modifiers = format!("{{{modifiers}}}");
    let asked = session.rows("look for a type", &sql, &[(&modifiers, Type::TEXT)]);
    Some(asked.ok()?.first()?.get(0))
}

/// What stands between the parentheses of CREATE TABLE.
pub(super) fn body(schema: &Schema, types: &[String]) -> Result<String> {
    let mut lines = Vec::new();
    for (field, ty) in schema.fields.iter().zip(types) {
        let not_null = field.key.is_some() || !field.nullable;
        let null = if not_null { " NOT NULL" } else { "" };
        lines.push(format!("{} {ty}{null}", quote(&field.name)?));
    }
    let key: Vec<&str> = schema
        .key()
        .into_iter()
        .map(|index| schema.fields[index].name.as_str())
        .collect();
    if !key.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", quote_all(key.into_iter())?));
    }
    Ok(lines.join(", "))
}

/// Adds columns to a table; `None` where there are none to add.
pub(super) fn add_columns(table: &Table, columns: &[Field]) -> Result<Option<String>> {
    let adds = columns.iter().map(|column| {
        Ok(format!(
            "ADD COLUMN IF NOT EXISTS {} {}",
            quote(&column.name)?,
            kind::declare(column, None, None)
        ))
    });
    let adds = adds.collect::<Result<Vec<String>>>()?;
    if adds.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "ALTER TABLE {} {}",
        table.sql()?,
        adds.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_its_columns_are() {
        let key = |place, name: &str, logical: &str| Field {
            key: Some(place),
            ..Field::new(name, logical.parse().unwrap())
        };
        let schema = Schema::new(vec![
            key(1, "b", "utf8"),
            key(0, "a \"x\"", "int32"),
            Field::new("seen", "timestamp(UTC)".parse().unwrap()),
        ]);
        let types: Vec<String> = vec![
            "text".to_owned(),
            "integer".to_owned(),
            "timestamp with time zone".to_owned(),
        ];
        assert_eq!(
            body(&schema, &types).unwrap(),
            "\"b\" text NOT NULL, \"a \"\"x\"\"\" integer NOT NULL, \"seen\" timestamp with time zone, \
             PRIMARY KEY (\"a \"\"x\"\"\", \"b\")"
        );
    }
}
