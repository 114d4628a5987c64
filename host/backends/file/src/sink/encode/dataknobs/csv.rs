//! The CSV store: `__id__`, then the fields in alphabetical order.
//!
//! A cell is a bare value where dataknobs gives it back unchanged, else the whole field as JSON, as
//! its version 0.11 does; a null that has nothing else to say is an empty cell. There is no place for
//! a record's metadata: a record that has some is refused.
//!
//! *Source* – `dataknobs-data` 0.11.0, `backends/file.py`; Python's `csv` module.

use std::borrow::Cow;

use ::arrow::array::RecordBatch;
use dkhost_core::dataknobs::{Form, Reader, Writer, is_usual};
use dkhost_core::json::{DecodeOptions, Decoder, Kind, RowError, Scanner, escape, unescape};
use dkhost_core::{Field, LogicalType, Nulls, Result, RowReject, Schema};
use xxhash_rust::xxh3::xxh3_128;

use super::super::csv::Dialect;
use super::super::json::{not_representable, unreadable, with_schema};
use super::super::text::Rows;
use super::Ids;

/// The first column.
const ID_COLUMN: &str = "__id__";

/// The lines of a CSV store.
pub struct DataknobsCsv {
    writer: Writer,
    schema: Schema,
    /// The columns in alphabetical order, and whether a bare text is a JSON token as it is.
    columns: Vec<(Field, Bare)>,
    ids: Ids,
}

/// How a bare cell is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bare {
    /// Text.
    Text,
    /// A number, `True` or `False`.
    Token,
}

const DIALECT: Dialect = Dialect {
    delimiter: b',',
    quote: Some(b'"'),
};

impl DataknobsCsv {
    /// Lines from the columns of `schema`.
    pub fn new(schema: &Schema, nulls: Nulls) -> Self {
        let bare = |logical: &LogicalType| match logical {
            LogicalType::Boolean => Bare::Token,
            logical if logical.is_numeric() => Bare::Token,
            _ => Bare::Text,
        };
        let mut columns: Vec<_> = schema
            .data_fields()
            .map(|(_, field)| (field.clone(), bare(&field.logical)))
            .collect();
        columns.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        DataknobsCsv {
            writer: Writer::new(schema, Form::Object, nulls).described_nulls(),
            schema: schema.clone(),
            columns,
            ids: Ids::default(),
        }
    }

    /// The record a line stands for, its id, and where its fields are.
    fn record(&self, line: &[u8], record: &mut Vec<u8>) -> Result<String> {
        let mut cells = DIALECT.cells(line);
        let id = cells
            .next()
            .map(|(text, _)| text.into_owned())
            .unwrap_or_default();
        record.clear();
        record.extend_from_slice(b"{\"fields\":{");
        let empty = record.len();
        for ((field, bare), (cell, is_quoted)) in self.columns.iter().zip(cells) {
            if cell.is_empty() && !is_quoted {
                continue;
            }
            if record.len() > empty {
                record.push(b',');
            }
            escape(&field.name, record);
            record.push(b':');
            let text = std::str::from_utf8(&cell).map_err(unreadable)?;
            match bare {
                _ if is_json(text) => record.extend_from_slice(&cell),
                Bare::Token => record.extend_from_slice(token(text).as_bytes()),
                _ => escape(text, record),
            }
        }
        record.extend_from_slice(b"}}");
        String::from_utf8(id).map_err(unreadable)
    }
}

impl Rows for DataknobsCsv {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ID_COLUMN.as_bytes());
        for (field, _) in &self.columns {
            out.push(b',');
            quoted(&field.name, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn rows(
        &mut self,
        records: &RecordBatch,
        _any: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<RowReject>> {
        let mut bound = self.writer.bind(records)?;
        let (mut rejects, mut record) = (Vec::new(), Vec::new());
        for row in 0..records.num_rows() {
            let start = out.len();
            record.clear();
            let written = self.ids.of(&bound, row).and_then(|id| {
                let line = bound.record(row, &id, &mut record).and_then(|()| {
                    line(&self.columns, &id, &String::from_utf8_lossy(&record), out)
                });
                line.map_err(|refused| self.ids.give_back(&id, refused))
            });
            if let Err(refused) = written {
                out.truncate(start);
                rejects.push(not_representable(refused, row));
            }
        }
        Ok(rejects)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn recall(&mut self, text: &[u8], first: bool) -> Result<()> {
        for line in lines(text, first) {
            let id = DIALECT.cells(line).next().map(|(id, _)| xxh3_128(&id));
            self.ids.kept.extend(id);
        }
        Ok(())
    }

    fn settle(&mut self, kept: bool) {
        self.ids.settle(kept);
    }

    fn end(&self, _any: bool, _out: &mut Vec<u8>) {}

    fn boundary(&self, text: &[u8]) -> usize {
        DIALECT.line_ends(text).last().unwrap_or(0)
    }

    fn read(&self, text: &[u8], first: bool) -> Result<RecordBatch> {
        let mut reader = Reader::new(&self.schema);
        let options = DecodeOptions {
            explicit_nulls: true,
            bare_nan: true,
            ..DecodeOptions::default()
        };
        let mut decoder = Decoder::new(&self.schema, options);
        let mut record = Vec::new();
        for line in lines(text, first) {
            let id = self.record(line, &mut record)?;
            let plain = reader.record(Some(&id), &record).map_err(unreadable)?;
            decoder
                .push_document(plain.fields, plain.id, plain.meta)
                .map_err(unreadable)?;
        }
        with_schema(decoder.finish()?, &self.schema)
    }

    fn count(&self, text: &[u8], first: bool) -> u64 {
        lines(text, first).count() as u64
    }
}

/// Appends the line of a record.
fn line(
    columns: &[(Field, Bare)],
    id: &str,
    record: &str,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let mut cells: Vec<Option<Cow<'_, str>>> = vec![None; columns.len()];
    check_record(record, id)?;
    each_field(record, &mut |name, field| {
        let Ok(column) = columns.binary_search_by(|(column, _)| column.name.as_str().cmp(name))
        else {
            let message = format!("the field `{name}` is in no column of the store");
            return Err(RowError::new("dataknobs::no_column", message).in_column(name));
        };
        cells[column] = cell(field, &columns[column])?;
        Ok(())
    })?;
    quoted(id, out);
    for cell in cells {
        out.push(b',');
        if let Some(cell) = cell {
            quoted(&cell, out);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Refuses a record that says something beside its fields and its id.
fn check_record(record: &str, id: &str) -> Result<(), RowError> {
    each_member(record, &mut |name, raw| {
        let is_held = match name {
            "fields" => true,
            "metadata" => raw == "{}",
            "id" => match Scanner::new(raw).value()?.kind {
                Kind::Text(inner, escaped) => unescape(inner, escaped) == id,
                _ => false,
            },
            _ => false,
        };
        if is_held {
            return Ok(());
        }
        let what = match name {
            "metadata" => "metadata".to_owned(),
            "id" => "an `id` that is not its key".to_owned(),
            name => format!("a member `{name}`"),
        };
        let message = format!("the record has {what}, for which a CSV store has no place");
        Err(RowError::new("dataknobs::no_place", message).in_column("_meta"))
    })
}

/// The lines that hold a record.
fn lines(text: &[u8], first: bool) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let lines = DIALECT.line_ends(text).map(move |end| {
        let line = &text[std::mem::replace(&mut start, end)..end];
        line.strip_suffix(b"\r\n").unwrap_or(line)
    });
    lines.skip(first.into())
}

/// Told the name and the JSON of a member.
type Each<'e, 'a> = &'e mut dyn FnMut(&str, &'a str) -> Result<(), RowError>;

/// Calls `each` with the name and the JSON of every field of a record.
fn each_field<'a>(record: &'a str, each: Each<'_, 'a>) -> Result<(), RowError> {
    each_member(record, &mut |name, fields| match name {
        "fields" => each_member(fields, each),
        _ => Ok(()),
    })
}

fn each_member<'a>(object: &'a str, each: Each<'_, 'a>) -> Result<(), RowError> {
    let mut scanner = Scanner::new(object).bare_nan(true);
    let mut more = scanner.enter_object()?;
    while more {
        let (name, escaped) = scanner.key()?;
        each(&unescape(name, escaped), scanner.value()?.raw)?;
        more = scanner.next_member()?;
    }
    Ok(())
}

/// The cell of a field: its bare value where nothing else is to be said, else all of it.
fn cell<'f>(
    field: &'f str,
    (column, bare): &(Field, Bare),
) -> Result<Option<Cow<'f, str>>, RowError> {
    let mut scanner = Scanner::new(field).bare_nan(true);
    let (mut value, mut declared, mut plain) = (None, None, true);
    let mut more = scanner.enter_object()?;
    while more {
        let (name, _) = scanner.key()?;
        let token = scanner.value()?;
        match name {
            "name" => {
                plain &= match token.kind {
                    Kind::Text(inner, escaped) => unescape(inner, escaped) == column.name,
                    _ => false,
                }
            }
            "value" => value = Some(token.kind),
            "type" => {
                declared = Some(token.raw.trim_matches('"'));
                plain &= matches!(
                    token.raw,
                    r#""string""# | r#""text""# | r#""integer""# | r#""float""# | r#""boolean""#
                )
            }
            "metadata" => plain &= token.raw == "{}",
            _ => plain = false,
        }
        more = scanner.next_member()?;
    }
    if let (Some(kind), Some(declared)) = (&value, declared) {
        // Another type than a bare value has would not come back.
        plain &= is_usual(column, kind, declared);
    }
    if plain && matches!(value, None | Some(Kind::Null)) {
        return Ok(None);
    }
    // A bare number in a column of mixed values would be read back as text.
    let token = plain && *bare != Bare::Text;
    Ok(match value {
        Some(Kind::Boolean(value)) if token => {
            Some(Cow::Borrowed(if value { "True" } else { "False" }))
        }
        Some(Kind::Number(number)) if token => Some(Cow::Owned(number.text.to_owned())),
        Some(Kind::NotFinite(value)) if token => Some(Cow::Owned(value.to_string().to_lowercase())),
        Some(Kind::Text(inner, escaped)) if plain => {
            let text = unescape(inner, escaped);
            Some(if is_json(&text) {
                Cow::Borrowed(field)
            } else {
                Cow::Owned(text.into_owned())
            })
        }
        _ => Some(Cow::Borrowed(field)),
    })
}

/// Whether dataknobs would take a cell for JSON: it has a bracket in front and can be parsed.
fn is_json(cell: &str) -> bool {
    let mut scanner = Scanner::new(cell).bare_nan(true);
    cell.starts_with(['{', '[']) && scanner.value().is_ok() && scanner.end().is_ok()
}

/// The JSON of a bare cell that is no text.
fn token(cell: &str) -> &str {
    match cell {
        "True" => "true",
        "False" => "false",
        "nan" => "NaN",
        "inf" => "Infinity",
        "-inf" => "-Infinity",
        number => number,
    }
}

/// Writes a cell as Python's csv module does, with an empty text in quotes: a null is nothing.
fn quoted(cell: &str, out: &mut Vec<u8>) {
    let needs_quotes = cell.is_empty()
        || cell
            .bytes()
            .any(|b| matches!(b, b',' | b'"' | b'\r' | b'\n'));
    if !needs_quotes {
        return out.extend_from_slice(cell.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
