//! Only what changed since the last run: rows from the cursor, less the lookback, to the greatest
//! value of this moment.
//!
//! Both ends are included, so that rows which share the cursor's value are never missed; those at
//! the boundary are read again. Rows without a value, or with one that is no point of a line
//! (`infinity`, `NaN`), are read by the first run and by no other.

use dkhost_core::{Error, Incremental, LogicalType, Lookback, Result};

use super::filter::{Filterable, How, cast, how, operand};
use super::relation::Relation;
use crate::fault::refusal;
use crate::name::literal;
use crate::session::Session;

/// What an incremental run reads.
#[derive(Debug, Clone)]
pub(crate) struct Since {
    /// What stands after WHERE.
    pub condition: String,
    /// The greatest value there is, as the server writes it: the cursor of the next run.
    pub until: Option<String>,
    pub notes: Vec<String>,
}

impl Since {
    /// Finds the end of this run's rows.
    ///
    /// *Errors* – `source::cursor_type`, `source::lookback` for what has no order or no distance;
    /// `source::changed` for a cursor that is no value of the column.
    pub(crate) fn find(
        session: &mut Session,
        relation: &Relation,
        found: &Filterable<'_>,
        wanted: &Incremental,
    ) -> Result<Self> {
        let axis = Axis::of(found)?;
        let until = match &wanted.until {
            Some(until) => Some(until.clone()),
            None => axis.greatest(session, relation)?,
        };
        let from = wanted
            .cursor
            .as_ref()
            .map(|cursor| axis.looking_back(cursor, wanted.lookback.as_deref()))
            .transpose()?;
        if let Some(from) = &from {
            check(session, from)?;
        }
        let name = &wanted.column;
        let mut notes = vec![match (&wanted.cursor, &until) {
            (_, None) => format!("no row has a `{name}`"),
            (None, Some(until)) => format!("all rows are read, up to `{name}` {until}"),
            (Some(cursor), Some(until)) => format!(
                "rows are read from `{name}` {cursor}{} up to {until}, both included",
                match &wanted.lookback {
                    Some(lookback) => format!(" less {lookback}"),
                    None => String::new(),
                }
            ),
        }];
        if from.is_some() && found.column.nullable && axis.has_others(session, relation)? {
            notes.push(format!(
                "rows without a `{name}` are not read: only the first run reads them"
            ));
        }
        Ok(Since {
            condition: axis.condition(from.as_deref(), until.as_deref()),
            until,
            notes,
        })
    }
}

/// A column as a line that runs go along.
struct Axis<'a> {
    name: &'a str,
    logical: &'a LogicalType,
    /// As it is ordered and compared.
    sql: String,
    cast: &'static str,
    /// Whether a value is a point of the line.
    finite: String,
}

impl<'a> Axis<'a> {
    fn of(found: &'a Filterable<'a>) -> Result<Self> {
        let (column, logical) = (found.column, &found.logical);
        let refuse = || {
            Error::config(
                "source::cursor_type",
                format!(
                    "`{}` is {}, along which no run can go",
                    column.name, column.ty.spelled
                ),
            )
            .help("take a column that grows with every change: a number, a date, a timestamp")
        };
        let is_number = *logical == LogicalType::Number && column.ty.bottom().name == "numeric";
        let how = match how(found) {
            Some(how @ (How::Plain | How::Text)) if *logical != LogicalType::Boolean => how,
            _ if is_number => How::Plain,
            _ => return Err(refuse()),
        };
        let sql = operand(found, how, false).ok_or_else(refuse)?;
        let finite = match logical {
            LogicalType::Date32 | LogicalType::Timestamp(_) => format!("isfinite({sql})"),
            LogicalType::Decimal(..) | LogicalType::Number => {
                format!("{sql}::text NOT IN ('NaN', 'Infinity', '-Infinity')")
            }
            _ => "true".to_owned(),
        };
        Ok(Axis {
            name: &column.name,
            logical,
            sql,
            cast: cast(logical).ok_or_else(refuse)?,
            finite,
        })
    }

    /// The greatest value, as the server writes it.
    fn greatest(&self, session: &mut Session, relation: &Relation) -> Result<Option<String>> {
        let sql = format!(
            "SELECT ({})::text FROM {} WHERE {0} IS NOT NULL AND {} ORDER BY {0} DESC LIMIT 1",
            self.sql, relation.from, self.finite
        );
        one(session, &sql, "find the end of what is new")
    }

    fn has_others(&self, session: &mut Session, relation: &Relation) -> Result<bool> {
        let sql = format!(
            "SELECT '' FROM {} WHERE {} IS NULL OR NOT {} LIMIT 1",
            relation.from, self.sql, self.finite
        );
        Ok(one(session, &sql, "look for rows without a cursor")?.is_some())
    }

    fn value(&self, text: &str) -> String {
        format!("{}::{}", literal(text), self.cast)
    }

    /// The cursor less the lookback, as SQL.
    fn looking_back(&self, cursor: &str, lookback: Option<&str>) -> Result<String> {
        let Some(text) = lookback else {
            return Ok(self.value(cursor));
        };
        let cursor = self.value(cursor);
        Ok(match (self.logical, Lookback::parse(text)) {
            (LogicalType::Date32, Some(Lookback::Time(back))) => {
                format!("({cursor} - {})", back.as_secs().div_ceil(86_400))
            }
            (LogicalType::Timestamp(_), Some(Lookback::Time(back))) => {
                format!("({cursor} - interval '{} milliseconds')", back.as_millis())
            }
            (LogicalType::Int32 | LogicalType::Int64, Some(Lookback::Number(back)))
                if !back.contains(['.', 'e', 'E']) =>
            {
                // In the column's own type, so that its index serves.
                format!("greatest({cursor}::numeric - {back}, '-9223372036854775808')::int8")
            }
            (LogicalType::Decimal(..) | LogicalType::Number, Some(Lookback::Number(back))) => {
                format!("({cursor} - {}::numeric)", literal(&back))
            }
            _ => {
                return Err(Error::config(
                    "source::lookback",
                    format!(
                        "a lookback of `{text}` says nothing about `{}`, which is {}",
                        self.name, self.logical
                    ),
                )
                .help("write `10m` or `1d` for a time, a number for a number"));
            }
        })
    }

    fn condition(&self, from: Option<&str>, until: Option<&str>) -> String {
        let sql = &self.sql;
        let until = until.map(|until| self.value(until));
        match (from, until) {
            (None, None) => "true".to_owned(),
            (None, Some(until)) => {
                format!("({sql} <= {until} OR {sql} IS NULL OR NOT {})", self.finite)
            }
            (Some(_), None) => "false".to_owned(),
            (Some(from), Some(until)) => format!("{sql} >= {from} AND {sql} <= {until}"),
        }
    }
}

/// The first value of the first row, as text.
pub(crate) fn one(session: &mut Session, sql: &str, doing: &str) -> Result<Option<String>> {
    let rows = session.rows(doing, sql, &[])?;
    match rows.first() {
        None => Ok(None),
        Some(row) => row
            .try_get(0)
            .map_err(|cause| Error::bug("an answer that is no text").caused_by(cause)),
    }
}

/// Whether the server takes the cursor.
fn check(session: &mut Session, from: &str) -> Result<()> {
    let asked = session.rows("read the cursor", &format!("SELECT ({from})::text"), &[]);
    match asked {
        Err(error) if refusal(&error).is_some_and(|said| said.state.code().starts_with("22")) => {
            Err(Error::state(
                "source::changed",
                "the cursor of the last run is no value of the incremental column",
            )
            .help("was the column changed? `dkhost run --full` reads everything again")
            .caused_by(error))
        }
        other => other.map(|_| ()),
    }
}
