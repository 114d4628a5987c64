//! Columns to documents: the way back, opposite of [`super::Decoder`].

use std::borrow::Cow;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use super::RowError;
use super::scan::Scanner;
use super::strings::{escape, escape_inner, unescape};
use crate::text::cells::{CellValues, Cells, vector_items};
use crate::text::{write_f32, write_f64};
use crate::{Nulls, Result, Role, Schema};

/// Writes rows of a schema as JSON objects.
///
/// Columns come in the order of the schema, the rest is merged in: a member of the rest that is
/// called like a column whose cell is null stands at that column's place, other members follow.
/// A null cell is left out when null means absent ([`crate::Field::null_is_absent`]), else it is
/// written as [`Nulls`] says, which also decides about explicit nulls in the rest.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<Column>,
    schema: Schema,
    rest: Option<usize>,
    nulls: Nulls,
    not_finite: NotFinite,
}

#[derive(Debug)]
struct Column {
    index: usize,
    name: String,
    /// `,"name":`, so that the comma costs nothing.
    key: Vec<u8>,
    absent: bool,
    /// The id or the metadata.
    beside: bool,
}

/// What is written for NaN and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotFinite {
    Refused,
    /// As Python writes them.
    Bare,
    /// For previews.
    Null,
}

impl Encoder {
    /// An encoder of the columns of `schema`. The id and metadata are written under their columns'
    /// names; see [`Encoder::id_as`] and [`Encoder::meta_as`].
    pub fn new(schema: &Schema, nulls: Nulls) -> Self {
        let rest = schema.role(Role::Rest);
        let columns = schema
            .fields
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != rest);
        let columns = columns.map(|(index, field)| Column {
            index,
            name: field.name.clone(),
            key: key(&field.name),
            // Metadata that is not there is never an explicit null.
            absent: field.null_is_absent || field.role == Some(Role::Meta),
            beside: field.role.is_some(),
        });
        Encoder {
            columns: columns.collect(),
            schema: schema.clone(),
            rest,
            nulls,
            not_finite: NotFinite::Refused,
        }
    }

    /// Writes the id column under this name, or not at all.
    #[must_use]
    pub fn id_as(self, name: Option<&str>) -> Self {
        self.role_as(Role::Id, name)
    }

    /// Writes the metadata under this name, or not at all.
    #[must_use]
    pub fn meta_as(self, name: Option<&str>) -> Self {
        self.role_as(Role::Meta, name)
    }

    fn role_as(mut self, role: Role, name: Option<&str>) -> Self {
        let Some(index) = self.schema.role(role) else {
            return self;
        };
        match name {
            None => self.columns.retain(|column| column.index != index),
            Some(name) => {
                for column in self
                    .columns
                    .iter_mut()
                    .filter(|column| column.index == index)
                {
                    (column.name, column.key) = (name.to_owned(), key(name));
                }
            }
        }
        self
    }

    /// Writes NaN and infinity bare, as Python does, instead of refusing them.
    #[must_use]
    pub fn bare_nan(mut self, yes: bool) -> Self {
        self.not_finite = if yes {
            NotFinite::Bare
        } else {
            NotFinite::Refused
        };
        self
    }

    /// Binds the columns of a batch with the encoder's schema.
    ///
    /// *Errors* – a bug if the batch has other columns.
    pub fn bind<'a>(&'a self, records: &'a RecordBatch) -> Result<Bound<'a>> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let Some(array) = records.columns().get(column.index) else {
                return Err(crate::Error::bug(format!(
                    "a batch without column `{}`",
                    column.name
                )));
            };
            cells.push(Cells::bind(
                array.as_ref(),
                &self.schema.fields[column.index].logical,
            )?);
        }
        let rest = self
            .rest
            .and_then(|index| records.columns().get(index)?.as_string_opt());
        // A rest of nulls is no rest: the usual case.
        let rest = rest.filter(|rest: &&StringArray| rest.null_count() < rest.len());
        Ok(Bound {
            encoder: self,
            cells,
            rest,
        })
    }
}

fn key(name: &str) -> Vec<u8> {
    let mut key = vec![b','];
    escape(name, &mut key);
    key.push(b':');
    key
}

/// The columns of one batch, ready to be written row by row.
#[derive(Debug)]
pub struct Bound<'a> {
    encoder: &'a Encoder,
    cells: Vec<Cells<'a>>,
    rest: Option<&'a StringArray>,
}

impl Bound<'_> {
    /// Appends row `row` as one object on one line, without a newline.
    ///
    /// *Errors* – `json::not_a_number` for NaN and infinity, `json::bad_rest` for a rest that is
    /// no object, `json::name_taken` for a record with a field of the name its id or metadata is
    /// written under; `out` is then as it was.
    #[inline]
    pub fn row(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        let start = out.len();
        let written = match self.rest.filter(|rest| rest.is_valid(row)) {
            None => self.columns(row, out),
            Some(rest) => self.merge(row, rest.value(row), out),
        };
        match written {
            Ok(()) if out.len() == start => out.push(b'{'),
            Ok(()) => out[start] = b'{',
            Err(refused) => {
                out.truncate(start);
                return Err(refused);
            }
        }
        out.push(b'}');
        Ok(())
    }

    #[inline]
    fn columns(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        for (column, cells) in self.encoder.columns.iter().zip(&self.cells) {
            if !cells.is_null(row) {
                self.cell(column, cells, row, out)?;
            } else if !column.absent && self.encoder.nulls == Nulls::Keep {
                out.extend_from_slice(&column.key);
                out.extend_from_slice(b"null");
            }
        }
        Ok(())
    }

    fn merge(&self, row: usize, rest: &str, out: &mut Vec<u8>) -> Result<(), RowError> {
        let mut members = members(rest)?;
        for (column, cells) in self.encoder.columns.iter().zip(&self.cells) {
            let found = members.iter_mut().find(|member| member.name == column.name);
            let kept = found.map(|member| {
                member.used = true;
                member.raw
            });
            if !cells.is_null(row) {
                if column.beside && kept.is_some() {
                    return Err(name_taken(&column.name));
                }
                self.cell(column, cells, row, out)?;
                continue;
            }
            let raw = kept.or((!column.absent).then_some("null"));
            if let Some(raw) = raw.filter(|raw| self.keeps(raw)) {
                out.extend_from_slice(&column.key);
                write_line(raw, out);
            }
        }
        for member in members
            .iter()
            .filter(|member| !member.used && self.keeps(member.raw))
        {
            out.extend_from_slice(b",\"");
            escape_inner(&member.name, out);
            out.extend_from_slice(b"\":");
            write_line(member.raw, out);
        }
        Ok(())
    }

    fn keeps(&self, raw: &str) -> bool {
        self.encoder.nulls == Nulls::Keep || raw != "null"
    }

    #[inline]
    fn cell(
        &self,
        column: &Column,
        cells: &Cells<'_>,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        out.extend_from_slice(&column.key);
        match cells.values {
            CellValues::Utf8(v) => escape(v.value(row), out),
            CellValues::Json(v) => write_line(v.value(row), out),
            CellValues::Float64(v) if v.value(row).is_finite() => write_f64(v.value(row), out),
            CellValues::Float64(v) => self.not_finite(column, v.value(row), out)?,
            CellValues::Float32(v) if v.value(row).is_finite() => write_f32(v.value(row), out),
            CellValues::Float32(v) => self.not_finite(column, v.value(row).into(), out)?,
            CellValues::Vector(lists, items) => {
                for (i, item) in vector_items(lists, items, row).enumerate() {
                    out.push(if i == 0 { b'[' } else { b',' });
                    match item {
                        Some(item) if item.is_finite() => write_f32(item, out),
                        Some(item) => self.not_finite(column, item.into(), out)?,
                        None => out.extend_from_slice(b"null"),
                    }
                }
                out.push(b']');
            }
            CellValues::Binary(_)
            | CellValues::Date32(_)
            | CellValues::Time64(_)
            | CellValues::Timestamp(..)
            | CellValues::Uuid(_) => {
                out.push(b'"');
                cells.write(row, out);
                out.push(b'"');
            }
            _ => {
                cells.write(row, out);
            }
        }
        Ok(())
    }

    #[cold]
    fn not_finite(&self, column: &Column, value: f64, out: &mut Vec<u8>) -> Result<(), RowError> {
        let bare: &[u8] = match (value.is_nan(), value < 0.0) {
            (true, _) => b"NaN",
            (_, true) => b"-Infinity",
            _ => b"Infinity",
        };
        match self.encoder.not_finite {
            NotFinite::Bare => out.extend_from_slice(bare),
            NotFinite::Null => out.extend_from_slice(b"null"),
            NotFinite::Refused => {
                let name = &column.name;
                let value = String::from_utf8_lossy(bare);
                let message = format!("`{name}` is {value}, which JSON cannot say");
                return Err(RowError::new("json::not_a_number", message).in_column(name));
            }
        }
        Ok(())
    }
}

/// A record's own field would hide its id, or be hidden by it.
#[cold]
fn name_taken(name: &str) -> RowError {
    let message = format!("the record has a field `{name}` beside the id or metadata of that name");
    RowError::new("json::name_taken", message).in_column(name)
}

/// One member of a rest.
struct Member<'a> {
    name: Cow<'a, str>,
    raw: &'a str,
    used: bool,
}

fn members(rest: &str) -> Result<Vec<Member<'_>>, RowError> {
    let broken = |cause: RowError| {
        RowError::new(
            "json::bad_rest",
            format!("the rest is no JSON object: {cause}"),
        )
    };
    let mut members = Vec::new();
    let mut scanner = Scanner::new(rest);
    let mut more = scanner.enter_object().map_err(broken)?;
    while more {
        let (raw, escaped) = scanner.key().map_err(broken)?;
        let token = scanner.value().map_err(broken)?;
        members.push(Member {
            name: unescape(raw, escaped),
            raw: token.raw,
            used: false,
        });
        more = scanner.next_member().map_err(broken)?;
    }
    scanner.end().map_err(broken)?;
    Ok(members)
}

/// Writes JSON text on one line: a line break in it can only be whitespace between tokens.
#[inline]
fn write_line(json: &str, out: &mut Vec<u8>) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return out.extend_from_slice(json.as_bytes());
    }
    let mut rest = json.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|b| matches!(b, b'"' | b' ' | b'\n' | b'\r' | b'\t'))
    {
        out.extend_from_slice(&rest[..at]);
        let length = if rest[at] == b'"' {
            string_length(&rest[at..])
        } else {
            0
        };
        out.extend_from_slice(&rest[at..at + length]);
        rest = &rest[at + length.max(1)..];
    }
    out.extend_from_slice(rest);
}

/// Length of the string at the start of `json`, quotes included.
fn string_length(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = json
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// A row as one JSON object, for dead letters and previews. Never fails: NaN and infinity are
/// null, and a rest that is no object stands as text under its column's name.
pub fn row(records: &RecordBatch, row: usize) -> String {
    let mut out = Vec::new();
    let Ok(schema) = Schema::from_arrow(&records.schema()) else {
        return "{}".to_owned();
    };
    let mut encoder = Encoder::new(&schema, Nulls::Keep);
    encoder.not_finite = NotFinite::Null;
    let rest = encoder.rest;
    if let Ok(mut bound) = encoder.bind(records)
        && let Err(refused) = bound.row(row, &mut out)
    {
        bound.rest = None;
        let broken = rest.map(|index| (&schema.fields[index].name, records.column(index)));
        if bound.row(row, &mut out).is_ok()
            && refused.code == "json::bad_rest"
            && let Some((name, text)) = broken
            && let Some(text) = text.as_string_opt::<i32>()
        {
            out.pop();
            let key = key(name);
            out.extend_from_slice(if out.len() > 1 { &key } else { &key[1..] });
            escape(text.value(row), &mut out);
            out.push(b'}');
        }
    }
    if out.is_empty() {
        out.extend_from_slice(b"{}");
    }
    String::from_utf8_lossy(&out).into_owned()
}
