//! A table's name as a job file has it: `customers`, `crm.customers`, `crm."Odd.Name"`.

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result, Span};
use tokio_postgres::types::Type;

use super::{DOING, OUR_SCHEMA, get, oid};
use crate::name::quote;
use crate::session::Session;

/// How many names a message lists.
const LISTED: usize = 30;

/// A name that may say its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub schema: Option<String>,
    pub name: String,
    /// Whether a part stood without quotes, so that SQL would have folded it to lower case.
    bare: bool,
}

impl Name {
    /// A name that is known: both parts as the catalogue has them.
    pub(crate) fn of(schema: &str, name: &str) -> Self {
        Name {
            schema: Some(schema.to_owned()),
            name: name.to_owned(),
            bare: false,
        }
    }

    /// Reads a name: parts are separated by a dot and may be quoted, with `""` for a quote.
    /// A part without quotes is taken as it is; one that is not found is looked for in lower case.
    ///
    /// *Errors* – `postgres::bad_table` pointing at `span`.
    pub(crate) fn parse(text: &str, span: Span) -> Result<Self> {
        let refuse = |label: &str| {
            Error::config(
                "postgres::bad_table",
                format!("`{text}` is no name of a table"),
            )
            .at(span.clone(), label)
            .help(
                "write `customers`, `crm.customers` or `crm.\"Odd.Name\"`; the database is in `url`",
            )
        };
        let Some(mut parts) = parts(text) else {
            return Err(refuse("a quote is missing or out of place"));
        };
        let bare = parts.iter().any(|(_, quoted)| !quoted);
        let name = parts.pop().map(|(name, _)| name).unwrap_or_default();
        let schema = parts.pop().map(|(name, _)| name);
        if !parts.is_empty() {
            return Err(refuse("more than a schema and a name"));
        }
        for part in schema.iter().chain([&name]) {
            quote(part).map_err(|error| error.at(span.clone(), "here"))?;
        }
        Ok(Name { schema, name, bare })
    }

    /// The relation of this name, in its schema or the first of the search path that has one.
    pub(crate) fn resolve(&self, session: &mut Session) -> Result<Option<u32>> {
        if let Some(oid) = lookup(session, self.schema.as_deref(), &self.name)? {
            return Ok(Some(oid));
        }
        let schema = self.schema.as_ref().map(|schema| schema.to_lowercase());
        let name = self.name.to_lowercase();
        if !self.bare || (name == self.name && schema == self.schema) {
            return Ok(None);
        }
        lookup(session, schema.as_deref(), &name)
    }
}

/// The parts of a name and whether each is quoted; `None` if the quotes make no sense.
fn parts(text: &str) -> Option<Vec<(String, bool)>> {
    let (mut parts, mut rest) = (Vec::new(), text.trim());
    loop {
        let (part, quoted);
        if let Some(inner) = rest.strip_prefix('"') {
            (part, rest) = quoted_part(inner)?;
            quoted = true;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            part = rest[..end].to_owned();
            rest = &rest[end..];
            quoted = false;
            if part.contains('"') {
                return None;
            }
        }
        parts.push((part, quoted));
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// A part up to its closing quote, and what follows.
fn quoted_part(inner: &str) -> Option<(String, &str)> {
    let (mut part, mut rest) = (String::new(), inner);
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, rest)),
        }
    }
}

fn lookup(session: &mut Session, schema: Option<&str>, name: &str) -> Result<Option<u32>> {
    let sql = "SELECT c.oid::int8 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = $2 \
               AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $1 END";
    let rows = session.rows(DOING, sql, &[(&schema, Type::TEXT), (&name, Type::TEXT)])?;
    rows.first().map(|row| oid(row, 0)).transpose()
}

/// The relations a user may name, as he would name them: those of the search path without a schema.
fn known(session: &mut Session) -> Vec<String> {
    let sql = "SELECT k.name FROM ( \
                 SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text \
                   ELSE n.nspname::text || '.' || c.relname::text END AS name \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' \
                   AND n.nspname::text <> $1 AND n.nspname !~ '^pg_') AS k \
               ORDER BY k.name COLLATE \"C\" LIMIT 10000";
    let rows = session.rows(DOING, sql, &[(&OUR_SCHEMA, Type::TEXT)]);
    let names = rows.iter().flatten().map(|row| get(row, 0));
    names.collect::<Result<_>>().unwrap_or_default()
}

/// The error for a table that is not there, with the nearest that is.
pub(crate) fn no_table(session: &mut Session, database: &str, name: &str, span: Span) -> Error {
    let names = known(session);
    let error = Error::config(
        "postgres::no_table",
        format!("there is no table `{name}` in {database}"),
    );
    let near = nearest(name, names.iter().map(String::as_str)).or_else(|| {
        // The right name in a schema that is not in the search path.
        let last = name.rsplit('.').next().unwrap_or(name);
        names
            .iter()
            .map(String::as_str)
            .find(|known| known.rsplit('.').next() == Some(last))
    });
    match near {
        Some(near) => error.at(span, format!("did you mean `{near}`?")),
        None => error.at(span, "no such table or view"),
    }
    .help(list(&names))
}

/// What there is, in a sentence.
fn list(names: &[String]) -> String {
    match names.len() {
        0 => "the database has no tables that you may see".to_owned(),
        count if count > LISTED => format!(
            "the database has: {} and {} more",
            names[..LISTED].join(", "),
            count - LISTED
        ),
        _ => format!("the database has: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, schema: Option<&str>, name: &str) {
        let parsed = Name::parse(text, 0..0).unwrap();
        assert_eq!(
            (parsed.schema.as_deref(), parsed.name.as_str()),
            (schema, name),
            "{text}"
        );
    }

    #[test]
    fn a_name_may_say_its_schema_and_be_quoted() {
        check("customers", None, "customers");
        check("crm.customers", Some("crm"), "customers");
        check(r#"crm."Odd.Name""#, Some("crm"), "Odd.Name");
        check(r#""a""b"."c d""#, Some("a\"b"), "c d");
        check("Straße mit Leerzeichen", None, "Straße mit Leerzeichen");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "a.",
            ".a",
            "a.b.c",
            r#""a"#,
            r#""a"b"#,
            r#"a"b"#,
            &"x".repeat(64),
        ] {
            assert!(Name::parse(text, 0..0).is_err(), "{text}");
        }
    }
}
