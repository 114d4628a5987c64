//! One statement for both stores: the text is written once, the values are bound for whichever
//! store it is given to.
//!
//! Texts use `$1` and what both dialects have: integers for truth values, text for JSON. A read
//! gives rows that are asked by column, again in one way.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, PgConnection, Row as _, SqlSafeStr, SqlStr, SqliteConnection,
};

use super::postgres::{STEP_TIMEOUT, key, limited};

/// An open connection to either store.
pub(super) enum Connection {
    /// A file.
    Sqlite(Box<SqliteConnection>),
    /// A server.
    Postgres(Box<PgConnection>),
}

impl Connection {
    /// Makes this transaction the only one about `job`; SQLite's is the only one of all.
    pub async fn alone(&mut self, job: &str) -> sqlx::Result<()> {
        match self {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(_) => {
                let alone = statement("SELECT pg_advisory_xact_lock($1)::text");
                alone.bind(key(&format!("begin\0{job}"))).run(self).await
            }
        }
    }
}

/// A value for a `$n`.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// Text, or its absence.
    Text(Option<Cow<'a, str>>),
    /// An integer, or its absence.
    Number(Option<i64>),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Some(text.into()))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Some(text.into()))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Some(text.into()))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Value::Text(text.map(Cow::Borrowed))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Value::Text(text.map(Cow::Owned))
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Value::Text(text.as_deref().map(Cow::Borrowed))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(Some(number))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(Some(number as i64))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(Some(i64::from(number)))
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Value::Number(Some(i64::from(number)))
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Value::Number(Some(i64::from(truth)))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Value::Number(number)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

/// A statement and its values.
pub(super) struct Statement<'a> {
    sql: SqlStr,
    values: Vec<Value<'a>>,
}

/// A statement written down in this program.
pub(super) fn statement<'a>(sql: &'static str) -> Statement<'a> {
    Statement {
        sql: sql.into_sql_str(),
        values: Vec::new(),
    }
}

/// A statement put together from parts of this program's own; values are bound, never part of it.
pub(super) fn assembled<'a>(sql: String) -> Statement<'a> {
    Statement {
        sql: AssertSqlSafe(sql).into_sql_str(),
        values: Vec::new(),
    }
}

impl<'a> Statement<'a> {
    /// Gives the next `$n` its value.
    pub fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it for its effect.
    pub async fn run(self, connection: &mut Connection) -> sqlx::Result<()> {
        self.rows(connection).await.map(drop)
    }

    /// Its rows.
    pub async fn rows(self, connection: &mut Connection) -> sqlx::Result<Vec<Row>> {
        match connection {
            Connection::Sqlite(connection) => {
                let values = sqlite(&self.values)?;
                let query = sqlx::query_with(self.sql, values);
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Connection::Postgres(connection) => {
                let values = postgres(&self.values)?;
                // Unnamed: see `StateUrl`.
                let query = sqlx::query_with(self.sql, values).persistent(false);
                let rows = limited(STEP_TIMEOUT, query.fetch_all(&mut **connection)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Its one row.
    ///
    /// *Errors* – `RowNotFound` without one.
    pub async fn row(self, connection: &mut Connection) -> sqlx::Result<Row> {
        let mut rows = self.rows(connection).await?;
        match rows.is_empty() {
            true => Err(sqlx::Error::RowNotFound),
            false => Ok(rows.swap_remove(0)),
        }
    }
}

fn sqlite(values: &[Value<'_>]) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text.as_deref().map(str::to_owned)),
            Value::Number(number) => arguments.add(*number),
            Value::Bytes(bytes) => arguments.add(bytes.to_vec()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres(values: &[Value<'_>]) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text.as_deref().map(without_nul)),
            Value::Number(number) => arguments.add(*number),
            Value::Bytes(bytes) => arguments.add(*bytes),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// PostgreSQL's text holds no U+0000, which may come from a record's value in a message. The
/// record's own bytes are kept as bytes.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// A row of either store.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// Text that is there.
    pub fn text(&self, column: &str) -> sqlx::Result<String> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// Text that may be absent.
    pub fn text_or_null(&self, column: &str) -> sqlx::Result<Option<String>> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// An integer that is there.
    pub fn number(&self, column: &str) -> sqlx::Result<i64> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// An integer that may be absent.
    pub fn number_or_null(&self, column: &str) -> sqlx::Result<Option<i64>> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// Bytes.
    pub fn bytes(&self, column: &str) -> sqlx::Result<Vec<u8>> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }
}
