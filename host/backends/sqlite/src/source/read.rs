//! Reads a partition: one query, in one read transaction, cut into batches.

use std::sync::Arc;

use dkhost_core::{Batch, BatchReader, BatchSize, Error, Position, Result};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};
use serde_json::{Value as Json, json};

use super::decode::RowDecoder;
use super::relation::Order;
use super::rows::{Places, Rows};
use crate::cursor::Cursor;
use crate::fault::fault;
use crate::value::write_json;

/// Reads the rows of one SELECT.
pub(crate) struct Reader {
    cursor: Cursor,
    decoder: Box<dyn RowDecoder>,
    order: Order,
    limits: BatchSize,
    relation: Arc<str>,
    label: String,
    /// Without a key: rows given so far, and the state of the file they were read from.
    ordinal: (u64, Json),
    /// The last key, to see that none comes twice.
    last: Vec<String>,
}

/// What a reader is made of.
pub(crate) struct Query {
    pub sql: String,
    pub values: Vec<Value>,
    pub order: Order,
    pub limits: BatchSize,
    pub relation: Arc<str>,
    pub label: String,
    /// Without a key: rows to pass over, and the state of the file.
    pub ordinal: (u64, Json),
}

impl Reader {
    pub(crate) fn open(db: Connection, query: Query, decoder: Box<dyn RowDecoder>) -> Result<Self> {
        let Query {
            sql,
            values,
            order,
            limits,
            relation,
            label,
            ordinal,
        } = query;
        let mut cursor = Cursor::open(db, &sql, &values)
            .map_err(|cause| fault(format!("read {label}"), cause))?;
        if ordinal.0 > 0 {
            let mut left = ordinal.0;
            let skip = &mut |_: &Row<'_>| {
                left -= 1;
                left > 0
            };
            cursor
                .advance(skip)
                .map_err(|cause| fault(format!("read {label}"), cause))?;
        }
        Ok(Reader {
            cursor,
            decoder,
            order,
            limits,
            relation,
            label,
            ordinal,
            last: Vec::new(),
        })
    }

    fn fill(&mut self) -> Result<Places> {
        let width = self.order.width();
        let mut places = match &self.order {
            Order::Rowid(_) => Places::Rowids(Vec::new()),
            Order::Key(_) => Places::Keys {
                width,
                parts: Vec::new(),
            },
            Order::None => Places::Ordinals {
                first: self.ordinal.0,
                count: 0,
            },
        };
        let (decoder, limits, last) = (&mut self.decoder, self.limits, &mut self.last);
        let (mut rows, mut broken) = (0, None);
        let result = self.cursor.advance(&mut |row| {
            if let Err(error) = take_place(row, &mut places, last) {
                broken = Some(error);
                return false;
            }
            decoder.push(&|column| row.get_ref(width + column).unwrap_or(ValueRef::Null));
            rows += 1;
            rows < limits.rows && decoder.bytes() < limits.bytes
        });
        match broken {
            Some(error) => Err(error),
            None => result
                .map(|()| places)
                .map_err(|cause| fault(format!("read {}", self.label), cause)),
        }
    }

    /// The position after the last record of a batch.
    fn after(&mut self, places: &Places) -> Position {
        Position(match places {
            Places::Rowids(rowids) => json!({ "rowid": rowids.last() }),
            Places::Keys { .. } => json!({ "key": places.key(places.len() - 1) }),
            _ => {
                self.ordinal.0 += places.len() as u64;
                json!({ "row": self.ordinal.0, "file": self.ordinal.1 })
            }
        })
    }
}

fn take_place(row: &Row<'_>, places: &mut Places, last: &mut Vec<String>) -> Result<()> {
    match places {
        Places::Rowids(rowids) => match row.get_ref(0) {
            Ok(ValueRef::Integer(rowid)) => rowids.push(rowid),
            _ => return Err(Error::bug("a rowid that is no integer")),
        },
        Places::Keys { width, parts } => {
            let mut key = Vec::with_capacity(*width);
            for part in 0..*width {
                key.push(key_part(row.get_ref(part).unwrap_or(ValueRef::Null))?);
            }
            if *last == key {
                return Err(not_unique(&key));
            }
            parts.extend_from_slice(&key);
            *last = key;
        }
        Places::Ordinals { count, .. } => *count += 1,
        Places::Known(_) => (),
    }
    Ok(())
}

fn key_part(value: ValueRef<'_>) -> Result<String> {
    let useless = match value {
        ValueRef::Null => "NULL",
        ValueRef::Text(text) if std::str::from_utf8(text).is_err() => "text that is not UTF-8",
        _ => {
            let mut json = Vec::new();
            write_json(value, &mut json);
            return Ok(String::from_utf8_lossy(&json).into_owned());
        }
    };
    Err(Error::data(
        "sqlite::bad_key",
        format!("a column of `key` holds {useless}, so the record could not be found again"),
    )
    .help("choose a key that is never null, or leave `key` out"))
}

fn not_unique(key: &[String]) -> Error {
    Error::data(
        "sqlite::key_not_unique",
        format!("two records have the same key ({})", key.join(", ")),
    )
    .help("add columns to `key` until no two records have the same, or leave `key` out")
}

impl BatchReader for Reader {
    fn next(&mut self) -> Result<Option<Batch>> {
        let places = self.fill()?;
        if places.len() == 0 {
            return Ok(None);
        }
        let source_bytes = self.decoder.bytes() as u64;
        let until = self.after(&places);
        let decoded = self.decoder.finish()?;
        let relation = self.relation.clone();
        Ok(Some(Batch {
            records: decoded.records,
            origin: decoded.origin.map(Arc::from),
            source: Arc::new(Rows {
                relation,
                places,
                payloads: decoded.payloads,
            }),
            rejects: decoded.rejects,
            until,
            source_bytes,
        }))
    }
}
