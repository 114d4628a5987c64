//! Rows of a table to columns, and back to JSON for those that are refused.
//!
//! Values go from SQLite's memory straight into the columns. What does not fit its column's type
//! goes to the rest, `{"column": value}`, so that nothing is lost whatever the column was declared
//! to hold; only text that is not UTF-8, which no type and no JSON holds, refuses its row.

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use dkhost_core::text::{Appender, Cells};
use dkhost_core::{LogicalType, Reject, Result, Role, Schema, StageKind, json};
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use super::infer::Typed;
use super::rows::Payloads;
use crate::column::{Fit, Reading, append};
use crate::value::{bare_text, from_json, to_json, write_json};

/// What a decoder made of some rows.
pub(crate) struct Decoded {
    pub records: RecordBatch,
    /// For each row of `records` the record it is; `None` when all of them are there.
    pub origin: Option<Vec<u32>>,
    pub rejects: Vec<Reject>,
    pub payloads: Box<dyn Payloads>,
}

/// The values of one row, by column.
pub(crate) type Values<'a, 'v> = &'a dyn Fn(usize) -> ValueRef<'v>;

/// Turns rows into records.
pub(crate) trait RowDecoder: Send {
    /// Takes a row.
    fn push(&mut self, values: Values<'_, '_>);

    /// Takes a dead letter's payload.
    fn push_payload(&mut self, payload: &[u8]);

    /// Bytes of values taken since the last [`RowDecoder::finish`].
    fn bytes(&self) -> usize;

    /// What became of the rows since the last time.
    fn finish(&mut self) -> Result<Decoded>;
}

/// Decodes the rows of a table.
pub(crate) struct TableDecoder {
    columns: Vec<Column>,
    rest: Appender,
    arrow: SchemaRef,
    /// Rows in the columns.
    rows: usize,
    /// Rows taken.
    taken: u32,
    bytes: usize,
    origin: Option<Vec<u32>>,
    malformed: Vec<(u32, Vec<u8>)>,
    rejects: Vec<Reject>,
    misfits: Vec<usize>,
}

struct Column {
    name: String,
    typed: Typed,
    appender: Appender,
}

impl TableDecoder {
    /// A decoder into the columns of `schema`, of which the last is the rest.
    pub(crate) fn new(schema: &Schema, typed: &[Typed]) -> Self {
        let columns = schema
            .fields
            .iter()
            .zip(typed)
            .map(|(field, typed)| Column {
                name: field.name.clone(),
                typed: typed.clone(),
                appender: Appender::new(&typed.logical),
            });
        TableDecoder {
            columns: columns.collect(),
            rest: Appender::new(&LogicalType::Json),
            arrow: schema.to_arrow(),
            rows: 0,
            taken: 0,
            bytes: 0,
            origin: None,
            malformed: Vec::new(),
            rejects: Vec::new(),
            misfits: Vec::new(),
        }
    }

    #[cold]
    fn refuse(&mut self, column: Option<usize>, code: &str, message: String, payload: Vec<u8>) {
        for column in &mut self.columns {
            column.appender.truncate(self.rows);
        }
        let taken = self.taken;
        // Rows before the first refused one are the records they stand for.
        self.origin.get_or_insert_with(|| (0..taken).collect());
        self.malformed.push((taken, payload));
        self.rejects.push(Reject {
            source_row: taken,
            kind: StageKind::Decode,
            stage: "source".to_owned(),
            column: column.map(|column| self.columns[column].name.clone()),
            code: code.to_owned(),
            message,
        });
        self.taken += 1;
    }

    #[cold]
    fn keep_misfits(&mut self, values: Values<'_, '_>) {
        let mut rest = Vec::new();
        for column in self.misfits.drain(..) {
            rest.push(if rest.is_empty() { b'{' } else { b',' });
            json::escape(&self.columns[column].name, &mut rest);
            rest.push(b':');
            write_json(values(column), &mut rest);
        }
        rest.push(b'}');
        if !std::str::from_utf8(&rest).is_ok_and(|rest| self.rest.append(rest)) {
            self.rest.append_null();
        }
    }

    fn payload(&self, values: Values<'_, '_>) -> Vec<u8> {
        let fields = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| (column.name.clone(), to_json(values(i))));
        Json::Object(fields.collect()).to_string().into_bytes()
    }
}

impl RowDecoder for TableDecoder {
    fn push(&mut self, values: Values<'_, '_>) {
        self.misfits.clear();
        for (i, column) in self.columns.iter_mut().enumerate() {
            let value = values(i);
            self.bytes += match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + 4,
                _ => 8,
            };
            match append(
                &mut column.appender,
                &column.typed.logical,
                column.typed.reading,
                value,
            ) {
                Fit::Exact => (),
                Fit::Misfit => {
                    column.appender.append_null();
                    self.misfits.push(i);
                }
                Fit::NotUtf8 => {
                    let payload = self.payload(values);
                    let message = format!("the text in `{}` is not UTF-8", self.columns[i].name);
                    return self.refuse(Some(i), "sqlite::not_utf8", message, payload);
                }
            }
        }
        match self.misfits.is_empty() {
            true => self.rest.append_null(),
            false => self.keep_misfits(values),
        }
        if let Some(origin) = &mut self.origin {
            origin.push(self.taken);
        }
        self.rows += 1;
        self.taken += 1;
    }

    fn push_payload(&mut self, payload: &[u8]) {
        let fields: Map<String, Json> = match serde_json::from_slice(payload) {
            Ok(fields) => fields,
            Err(cause) => {
                let message = format!("the dead letter's payload is no JSON object: {cause}");
                return self.refuse(None, "sqlite::bad_payload", message, payload.to_vec());
            }
        };
        enum Cell {
            Value(rusqlite::types::Value),
            Bare(Vec<u8>),
        }
        let cells: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| match fields.get(&column.name) {
                None => Cell::Value(rusqlite::types::Value::Null),
                Some(json) => {
                    bare_text(json).map_or_else(|| Cell::Value(from_json(json)), Cell::Bare)
                }
            })
            .collect();
        self.push(&|i| match &cells[i] {
            Cell::Value(value) => ValueRef::from(value),
            Cell::Bare(bytes) => ValueRef::Text(bytes),
        });
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(&mut self) -> Result<Decoded> {
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for column in &mut self.columns {
            arrays.push(column.appender.finish()?);
        }
        arrays.push(self.rest.finish()?);
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let records = RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)?;
        (self.rows, self.taken, self.bytes) = (0, 0, 0);
        let origin = self.origin.take();
        let payloads = TablePayloads {
            records: records.clone(),
            readings: self
                .columns
                .iter()
                .map(|column| column.typed.reading)
                .collect(),
            origin: origin.clone(),
            malformed: std::mem::take(&mut self.malformed),
        };
        Ok(Decoded {
            records,
            origin,
            rejects: std::mem::take(&mut self.rejects),
            payloads: Box::new(payloads),
        })
    }
}

/// The rows of a table: told from the columns when somebody asks, but for malformed ones.
#[derive(Debug)]
struct TablePayloads {
    records: RecordBatch,
    readings: Vec<Reading>,
    origin: Option<Vec<u32>>,
    malformed: Vec<(u32, Vec<u8>)>,
}

impl Payloads for TablePayloads {
    fn payload(&self, row: usize) -> Vec<u8> {
        if let Some((_, payload)) = self
            .malformed
            .iter()
            .find(|(malformed, _)| *malformed as usize == row)
        {
            return payload.clone();
        }
        let row = match &self.origin {
            None => row,
            Some(origin) => origin.binary_search(&(row as u32)).unwrap_or(row),
        };
        render(&self.records, &self.readings, row).unwrap_or_else(|_| b"{}".to_vec())
    }

    fn memory_bytes(&self) -> usize {
        // The columns are the batch's own until a step replaces them.
        self.malformed
            .iter()
            .map(|(_, payload)| payload.len())
            .sum()
    }
}

/// A row as the JSON object that [`RowDecoder::push_payload`] takes.
fn render(records: &RecordBatch, readings: &[Reading], row: usize) -> Result<Vec<u8>> {
    let schema = Schema::from_arrow(&records.schema())?;
    let rest = schema
        .role(Role::Rest)
        .map(|i| records.column(i).as_string::<i32>());
    let rest: Map<String, Json> = match rest.filter(|rest| rest.is_valid(row)) {
        Some(rest) => serde_json::from_str(rest.value(row)).unwrap_or_default(),
        None => Map::new(),
    };
    let mut out = Vec::new();
    for (i, reading) in readings.iter().enumerate() {
        let field = &schema.fields[i];
        out.push(if i == 0 { b'{' } else { b',' });
        json::escape(&field.name, &mut out);
        out.push(b':');
        let mut cell = Vec::new();
        if let Some(misfit) = rest.get(&field.name) {
            out.extend_from_slice(misfit.to_string().as_bytes());
        } else if Cells::bind(records.column(i).as_ref(), &field.logical)?.write(row, &mut cell) {
            write_cell(&field.logical, *reading, &cell, &mut out);
        } else {
            out.extend_from_slice(b"null");
        }
    }
    out.extend_from_slice(if out.is_empty() { b"{}" } else { b"}" });
    Ok(out)
}

fn write_cell(logical: &LogicalType, reading: Reading, cell: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(cell);
    let (before, after): (&str, &str) = match logical {
        LogicalType::Int32 | LogicalType::Int64 | LogicalType::Boolean => ("", ""),
        LogicalType::Float32 | LogicalType::Float64 => match text.as_ref() {
            "inf" | "-inf" | "NaN" => ("{\"$real\":\"", "\"}"),
            _ => ("", ""),
        },
        LogicalType::Json if reading == Reading::Mixed => ("", ""),
        LogicalType::Binary => ("{\"$binary\":\"", "\"}"),
        _ => return json::escape(&text, out),
    };
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(cell);
    out.extend_from_slice(after.as_bytes());
}
