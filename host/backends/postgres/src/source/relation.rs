//! What is read: a table, a view or a query, with its columns and what tells its rows apart.

use dkhost_core::error::nearest;
use dkhost_core::{Error, OpenSource, Result, Span};
use serde_json::{Value as Json, json};

use crate::catalog::{self, Kind, Name, OUR_SCHEMA, Table, TypeDef, types};
use crate::fault::refusal;
use crate::name::{quote, quote_all};
use crate::server::Server;
use crate::session::Session;

/// What the relation is called in every statement.
const ALIAS: &str = "\"relation\"";

/// A column of a relation.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub ty: TypeDef,
    pub nullable: bool,
    /// Whether its texts are ordered by their bytes without being told.
    pub bytewise: bool,
    /// Whether only equal bytes are equal without being told.
    pub deterministic: bool,
    /// What the table says of it beside its type.
    pub left_behind: Vec<String>,
}

impl Column {
    /// The column as something to order or compare by: the same way whatever its collation. With
    /// the relation's alias, because ORDER BY takes a bare name for one of the columns selected.
    pub(crate) fn comparable(&self) -> Result<String> {
        let name = format!("{ALIAS}.{}", quote(&self.name)?);
        Ok(match self.ty.collatable && !self.bytewise {
            true => format!("{name} COLLATE \"C\""),
            false => name,
        })
    }

    /// The type that a literal is cast to to be compared with it. Without a modifier, which would
    /// cut the literal.
    pub(crate) fn cast(&self) -> Result<String> {
        let bottom = self.ty.bottom();
        Ok(format!(
            "{}.{}",
            quote(&bottom.schema)?,
            quote(&bottom.name)?
        ))
    }
}

/// A table, view or query.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// The table's name, or `query`; names the place of a record.
    pub name: String,
    /// For people: "table `movies`".
    pub label: String,
    /// What stands after FROM.
    pub from: String,
    pub columns: Vec<Column>,
    /// Places of the columns that tell records apart, in key order; empty when nothing does.
    pub key: Vec<usize>,
    /// The catalogue's entry, if it is not a query.
    pub table: Option<Table>,
    /// Its definition, for the fingerprint.
    pub definition: Json,
}

impl Relation {
    /// The table or view called `name`.
    pub(crate) fn table(
        session: &mut Session,
        server: &Server,
        name: &str,
        span: Span,
        open: &OpenSource,
    ) -> Result<Self> {
        let parsed = Name::parse(name, span.clone())?;
        let found = Table::find(session, &parsed)?;
        let Some(table) = found.filter(|table| table.schema != OUR_SCHEMA) else {
            return Err(catalog::no_table(session, &server.name, name, span));
        };
        let columns: Vec<Column> = table
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                ty: column.ty.clone(),
                nullable: !column.not_null,
                bytewise: column.collation.as_ref().is_some_and(|c| c.bytewise),
                deterministic: column.collation.as_ref().is_some_and(|c| c.deterministic),
                left_behind: column.beside_its_type(),
            })
            .collect();
        let declared: Vec<&str> = open.key.iter().map(String::as_str).collect();
        let primary = match table.children > 0 && table.kind == Kind::Table {
            // The tables that inherit from it have keys of their own.
            true => Vec::new(),
            false => table.primary_key(),
        };
        let key = places(
            "key",
            if declared.is_empty() {
                &primary
            } else {
                &declared
            },
            &columns,
            &table.label(),
        )?;
        Ok(Relation {
            name: format!("{}.{}", table.schema, table.name),
            label: table.label(),
            from: format!("{} AS {ALIAS}", table.sql()?),
            key,
            definition: definition(&table),
            columns,
            table: Some(table),
        })
    }

    /// The rows of a query.
    pub(crate) fn query(
        session: &mut Session,
        sql: &str,
        span: Span,
        open: &OpenSource,
    ) -> Result<Self> {
        let sql = sql.trim().trim_end_matches(';').trim_end();
        let described = describe(session, sql).map_err(|error| bad_query(error, span))?;
        let wanted: Vec<(u32, i32)> = described.iter().map(|c| (c.1, c.2)).collect();
        let names: Vec<&str> = described.iter().map(|c| c.0.as_str()).collect();
        let columns: Vec<Column> = unique_names(&names)
            .into_iter()
            .zip(types(session, &wanted)?)
            .map(|(name, ty)| Column {
                name,
                ty,
                nullable: true,
                bytewise: false,
                deterministic: false,
                left_behind: Vec::new(),
            })
            .collect();
        let declared: Vec<&str> = open.key.iter().map(String::as_str).collect();
        let key = places("key", &declared, &columns, "the query")?;
        let names = quote_all(columns.iter().map(|column| column.name.as_str()))?;
        let types: Vec<(&str, &str)> = columns
            .iter()
            .map(|column| (column.name.as_str(), column.ty.spelled.as_str()))
            .collect();
        Ok(Relation {
            name: "query".to_owned(),
            label: "the query".to_owned(),
            // On lines of its own, because a comment may end it.
            from: format!("(\n{sql}\n) AS {ALIAS}({names})"),
            definition: json!({ "query": sql, "columns": types }),
            key,
            columns,
            table: None,
        })
    }

    /// What a transaction does first, so that nobody alters or empties what it reads; nor, `alone`,
    /// writes to it.
    pub(crate) fn lock(&self, alone: bool) -> Result<String> {
        let mode = if alone { "SHARE" } else { "ACCESS SHARE" };
        Ok(match &self.table {
            Some(table) if matches!(table.kind, Kind::Table | Kind::Partitioned | Kind::View) => {
                format!("LOCK TABLE {} IN {mode} MODE", table.sql()?)
            }
            // What cannot be locked by name is by being looked at.
            _ => format!("SELECT FROM {} LIMIT 0", self.from),
        })
    }

    /// Sees that it still is what it was.
    ///
    /// *Errors* – `source::changed`.
    pub(crate) fn verify(&self, session: &mut Session) -> Result<()> {
        let same = match &self.table {
            Some(table) => Table::by_oid(session, table.oid)?
                .is_some_and(|now| definition(&now) == self.definition),
            None => true,
        };
        match same {
            true => Ok(()),
            false => Err(Error::data(
                "source::changed",
                format!("{} was altered since it was opened", self.label),
            )
            .help("start anew with `dkhost run --no-resume`")),
        }
    }

    /// Whether policies of row security may hide rows from this user: of the table, or of one that
    /// the view or the query reads. In a transaction.
    ///
    /// *Source* – PostgreSQL, "Row Security Policies": with `row_security` off, what would be
    /// filtered is an error instead.
    pub(crate) fn hides_rows(&self, session: &mut Session) -> Result<bool> {
        let look = |session: &mut Session, setting: &str| {
            let sql = format!(
                "SAVEPOINT look; SET LOCAL row_security = {setting}; SELECT FROM {} LIMIT 0",
                self.from
            );
            let seen = session.run(&format!("read {}", self.label), &sql);
            session.run("begin to read", "ROLLBACK TO look")?;
            Ok::<_, Error>(seen)
        };
        match look(session, "off")? {
            Err(error) if refusal(&error).is_some_and(|said| said.state.code() == "42501") => {
                look(session, "on")?.map(|()| true)
            }
            other => other.map(|()| false),
        }
    }

    /// Whether rows carry the transaction that wrote them.
    pub(crate) fn has_xmin(&self) -> bool {
        matches!(
            self.table.as_ref().map(|table| table.kind),
            Some(Kind::Table | Kind::Partitioned | Kind::Materialized)
        )
    }

    /// Whether a row has a place in a file of its own, so that rows can be told apart by it.
    pub(crate) fn has_ctid(&self) -> bool {
        self.table.as_ref().is_some_and(|table| {
            matches!(table.kind, Kind::Table | Kind::Materialized) && table.children == 0
        })
    }

    /// The places of columns that an option names.
    pub(crate) fn places(&self, option: &str, names: &[&str]) -> Result<Vec<usize>> {
        places(option, names, &self.columns, &self.label)
    }

    /// The names of the key.
    pub(crate) fn key_names(&self) -> Vec<&str> {
        self.key
            .iter()
            .map(|at| self.columns[*at].name.as_str())
            .collect()
    }
}

/// What makes it the same table in a later process.
pub(crate) fn definition(table: &Table) -> Json {
    let columns: Vec<(&str, &str)> = table
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.ty.spelled.as_str()))
        .collect();
    json!({ "oid": table.oid, "table": format!("{}.{}", table.schema, table.name), "columns": columns })
}

/// Names, type oids and modifiers of a query's columns, without running it: one row of nulls comes.
fn describe(session: &mut Session, sql: &str) -> Result<Vec<(String, u32, i32)>> {
    let probe = format!(
        "SELECT \"query\".* FROM (SELECT 1) AS \"one\" LEFT JOIN (SELECT * FROM (\n{sql}\n) AS \"query\" LIMIT 0) AS \"query\" ON true"
    );
    let rows = session.rows("read the query", &probe, &[])?;
    let columns = rows.first().map(|row| row.columns()).unwrap_or_default();
    Ok(columns
        .iter()
        .map(|column| {
            (
                column.name().to_owned(),
                column.type_().oid(),
                column.type_modifier(),
            )
        })
        .collect())
}

fn bad_query(error: Error, span: Span) -> Error {
    match refusal(&error).is_some() && !error.class().is_retryable() {
        true => Error::config(
            "postgres::bad_query",
            format!("the query cannot be read: {}", error.chain()),
        )
        .at(span, "a SELECT that changes nothing is needed here"),
        false => error,
    }
}

fn places(option: &str, names: &[&str], columns: &[Column], label: &str) -> Result<Vec<usize>> {
    names
        .iter()
        .map(|name| {
            let exact = columns.iter().position(|column| column.name == *name);
            exact.ok_or_else(|| no_column(option, name, columns, label))
        })
        .collect()
}

/// The error for a column that is not there, with those that are.
pub(crate) fn no_column(option: &str, name: &str, columns: &[Column], label: &str) -> Error {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let meant = match nearest(name, names.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Error::config(
        "postgres::no_column",
        format!("`{option}` names the column `{name}`, which {label} does not have{meant}"),
    )
    .help(format!("it has: {}", names.join(", ")))
}

/// Names made unique: `id`, `id_2`.
pub(crate) fn unique_names(names: &[&str]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut candidate = (*name).to_owned();
        let mut count = 1;
        while unique.contains(&candidate) || (count > 1 && names.contains(&candidate.as_str())) {
            count += 1;
            candidate = format!("{name}_{count}");
        }
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_query_become_unique() {
        assert_eq!(
            unique_names(&["id", "ID", "id_2", "id", "?column?", "?column?"]),
            ["id", "ID", "id_2", "id_3", "?column?", "?column?_2"]
        );
    }
}
