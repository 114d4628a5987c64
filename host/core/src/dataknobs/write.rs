//! Columns to dataknobs records.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use super::python::{Style, restyle};
use super::read::{close, member};
use super::types::{NULL, declared, kind_name, may_hold, usual};
use super::{FIELDS, Form, KIND, RECORD};
use crate::json::{Bound, Encoder, Kind, RowError, Scanner, Token, unescape};
use crate::text::Cells;
use crate::{Nulls, Result, Role, Schema};

/// Writes rows of a schema as dataknobs records of one form.
#[derive(Debug)]
pub struct Writer {
    encoder: Encoder,
    schema: Schema,
    form: Form,
    keeps_described_nulls: bool,
}

impl Writer {
    /// A writer of the columns of `schema`.
    pub fn new(schema: &Schema, form: Form, nulls: Nulls) -> Self {
        let encoder = Encoder::new(schema, nulls).id_as(None).meta_as(None);
        Writer {
            encoder: encoder.bare_nan(form.is_bare_nan()),
            schema: schema.clone(),
            form,
            keeps_described_nulls: false,
        }
    }

    /// Also writes the fields a record does not have here because they were null, if their
    /// metadata says more about them: for a store whose nulls are absent otherwise.
    #[must_use]
    pub fn described_nulls(mut self) -> Self {
        self.keeps_described_nulls = true;
        self
    }

    /// Binds the columns of a batch.
    ///
    /// *Errors* – a bug if the batch has other columns.
    pub fn bind<'a>(&'a self, records: &'a RecordBatch) -> Result<BoundWriter<'a>> {
        let cells = |index: usize| {
            Cells::bind(
                records.column(index).as_ref(),
                &self.schema.fields[index].logical,
            )
        };
        let id: Vec<usize> = match (self.schema.role(Role::Id), self.schema.key()) {
            (Some(id), _) => vec![id],
            (None, key) if !key.is_empty() => key,
            // dataknobs takes a field of this name for the id, too.
            _ => self.schema.index_of("id").into_iter().collect(),
        };
        Ok(BoundWriter {
            fields: self.encoder.bind(records)?,
            usual: self
                .schema
                .data_fields()
                .map(|(_, f)| (f.name.as_str(), declared(f)))
                .collect(),
            id: id.into_iter().map(cells).collect::<Result<_>>()?,
            meta: self
                .schema
                .role(Role::Meta)
                .and_then(|i| records.column(i).as_string_opt()),
            form: self.form,
            keeps_described_nulls: self.keeps_described_nulls,
            plain: Vec::new(),
            record: Vec::new(),
        })
    }
}

/// The columns of one batch, ready to be written row by row.
#[derive(Debug)]
pub struct BoundWriter<'a> {
    fields: Bound<'a>,
    usual: Vec<(&'a str, Option<&'a str>)>,
    id: Vec<Cells<'a>>,
    meta: Option<&'a StringArray>,
    form: Form,
    keeps_described_nulls: bool,
    plain: Vec<u8>,
    record: Vec<u8>,
}

/// A record's metadata, taken apart: names and values as they stand in the text.
#[derive(Default)]
struct Meta<'a> {
    own: Vec<(&'a str, &'a str)>,
    fields: Vec<(Cow<'a, str>, Exception<'a>)>,
    record: Vec<(&'a str, &'a str)>,
}

/// What a field says that is not as usual.
#[derive(Default)]
struct Exception<'a> {
    name: Option<&'a str>,
    declared: Option<Cow<'a, str>>,
    metadata: Option<&'a str>,
    /// The kind of the value, if the type says nothing about it.
    kind: Option<&'a str>,
    extras: Vec<(&'a str, &'a str)>,
}

impl BoundWriter<'_> {
    /// The id of a row: its id column, else its key (parts joined by `/`), else its field `id`;
    /// `None` when it has none or a part of it is null.
    pub fn id(&self, row: usize) -> Option<String> {
        let mut id = Vec::new();
        for (place, cells) in self.id.iter().enumerate() {
            if place > 0 {
                id.push(b'/');
            }
            if !cells.write(row, &mut id) {
                return None;
            }
        }
        (!self.id.is_empty()).then(|| String::from_utf8_lossy(&id).into_owned())
    }

    /// Appends a row with this id as a record of the form [`Form::File`] or [`Form::Object`]. In a
    /// file it stands one level deep: its first line is not indented, the others are.
    ///
    /// *Errors* – as [`Bound::row`], and `dataknobs::bad_metadata`; `out` is then as it was.
    pub fn record(&mut self, row: usize, id: &str, out: &mut Vec<u8>) -> Result<(), RowError> {
        self.plain.clear();
        self.fields.row(row, &mut self.plain)?;
        let meta = Meta::of(self.meta, row)?;
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record.extend_from_slice(b"{\"fields\":");
        let wrapped = self.wrap_fields(&meta, &mut record);
        let mut escaped_id = Vec::new();
        crate::json::escape(id, &mut escaped_id);
        let own_id = meta.record.iter().find(|(name, _)| *name == "id");
        member(
            &mut record,
            "id",
            own_id.map_or(&utf8_lossy(&escaped_id), |(_, raw)| raw),
        );
        member(&mut record, "metadata", &object(&meta.own));
        for (name, raw) in meta.record.iter().filter(|(name, _)| *name != "id") {
            member(&mut record, name, raw);
        }
        record.push(b'}');
        if wrapped.is_ok() {
            let style = if self.form == Form::File {
                Style::Indented(1)
            } else {
                Style::Ascii
            };
            restyle(&utf8_lossy(&record), style, out);
        }
        self.record = record;
        wrapped
    }

    /// Appends a row's `data` and `metadata` as a table holds them; says whether there is metadata
    /// (if not, the column is null).
    ///
    /// *Errors* – as [`BoundWriter::record`]; both are then as they were.
    pub fn flat(
        &mut self,
        row: usize,
        data: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) -> Result<bool, RowError> {
        self.plain.clear();
        self.fields.row(row, &mut self.plain)?;
        let meta = Meta::of(self.meta, row)?;
        let mut flat = std::mem::take(&mut self.record);
        flat.clear();
        let plain = utf8_lossy(&self.plain);
        let written = each_member(&plain, false, &mut |place, name, token| {
            let plain_name = unescape(name, name.contains('\\'));
            let (kind, exception) = self.field_type(place, &plain_name, &token, &meta);
            match (kind.as_ref(), &token.kind) {
                ("vector", Kind::Array) => {
                    add_field(&mut flat, name, &token, &kind, exception);
                }
                _ => member(&mut flat, name, token.raw),
            }
        });
        close(&mut flat);
        if written.is_ok() {
            restyle(&utf8_lossy(&flat), Style::Ascii, data);
            if !meta.own.is_empty() {
                restyle(&object(&meta.own), Style::Ascii, metadata);
            }
        }
        self.record = flat;
        written.map(|()| !meta.own.is_empty())
    }

    fn wrap_fields(&self, meta: &Meta<'_>, record: &mut Vec<u8>) -> Result<(), RowError> {
        let plain = utf8_lossy(&self.plain);
        let mut fields = Vec::with_capacity(plain.len() * 3);
        let mut there = Vec::new();
        each_member(
            &plain,
            self.form.is_bare_nan(),
            &mut |place, name, token| {
                let plain_name = unescape(name, name.contains('\\'));
                if self.keeps_described_nulls && self.is_described_null(&plain_name, meta) {
                    there.push(plain_name.clone().into_owned());
                }
                let (kind, exception) = self.field_type(place, &plain_name, &token, meta);
                add_field(&mut fields, name, &token, &kind, exception);
            },
        )?;
        if self.keeps_described_nulls {
            self.described_nulls(meta, &there, &mut fields);
        }
        close(&mut fields);
        record.extend_from_slice(&fields);
        Ok(())
    }

    /// Adds the fields that were null and are not `there`, if a column of theirs still is.
    fn described_nulls(&self, meta: &Meta<'_>, there: &[String], fields: &mut Vec<u8>) {
        let token = Token {
            kind: Kind::Null,
            raw: "null",
        };
        for (name, exception) in &meta.fields {
            let has_column = self.usual.iter().any(|(column, _)| column == name);
            if exception.kind != Some(NULL) || !has_column || there.iter().any(|n| n == name) {
                continue;
            }
            let mut escaped = Vec::new();
            crate::json::escape_inner(name, &mut escaped);
            let declared = exception.declared.as_deref();
            let kind = declared.unwrap_or_else(|| usual(None, &token.kind));
            let name = utf8_lossy(&escaped);
            add_field(fields, &name, &token, kind, Some(exception));
        }
    }

    fn is_described_null(&self, name: &str, meta: &Meta<'_>) -> bool {
        let mut fields = meta.fields.iter();
        fields.any(|(field, exception)| field == name && exception.kind == Some(NULL))
    }

    /// The type a field declares, and what else it says that is not as usual.
    fn field_type<'m>(
        &'m self,
        place: usize,
        name: &str,
        token: &Token<'_>,
        meta: &'m Meta<'_>,
    ) -> (Cow<'m, str>, Option<&'m Exception<'m>>) {
        // Fields come in the order of the columns, with some left out.
        let here = self.usual.get(place).filter(|(column, _)| *column == name);
        let column = here.or_else(|| self.usual.iter().find(|(column, _)| *column == name));
        let usual = usual(column.and_then(|(_, declared)| *declared), &token.kind);
        let exception = meta
            .fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, e)| e);
        let kind = match exception.map(|exception| exception.declared.as_deref()) {
            Some(Some(declared)) if may_hold(declared, &token.kind) => declared,
            // It never fit, and still is of the kind it was.
            Some(Some(declared))
                if exception.and_then(|e| e.kind) == Some(kind_name(&token.kind)) =>
            {
                declared
            }
            // A step has put another kind of value there: nothing the field said fits it any more.
            Some(Some(_)) => return (Cow::Borrowed(usual), None),
            _ => usual,
        };
        (Cow::Borrowed(kind), exception)
    }
}

/// Adds a field with everything it says.
fn add_field(
    fields: &mut Vec<u8>,
    name: &str,
    token: &Token<'_>,
    kind: &str,
    exception: Option<&Exception<'_>>,
) {
    let own_name = exception
        .and_then(|exception| exception.name)
        .unwrap_or(name);
    let metadata = exception
        .and_then(|exception| exception.metadata)
        .unwrap_or("{}");
    member(fields, name, "{\"name\":\"");
    for part in [own_name, "\",\"value\":", token.raw, ",\"type\":"] {
        fields.extend_from_slice(part.as_bytes());
    }
    crate::json::escape(kind, fields);
    for part in [",\"metadata\":", metadata] {
        fields.extend_from_slice(part.as_bytes());
    }
    for (name, raw) in exception.iter().flat_map(|exception| &exception.extras) {
        member(fields, name, raw);
    }
    fields.push(b'}');
}

fn object(members: &[(&str, &str)]) -> String {
    let mut object = Vec::new();
    for (name, raw) in members {
        member(&mut object, name, raw);
    }
    close(&mut object);
    utf8_lossy(&object).into_owned()
}

/// Text that is UTF-8 because it was put together from text.
fn utf8_lossy(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Calls `each` with the place, the name and the value of every member.
fn each_member<'a>(
    object: &'a str,
    bare_nan: bool,
    each: &mut dyn FnMut(usize, &'a str, Token<'a>),
) -> Result<(), RowError> {
    let mut scanner = Scanner::new(object).bare_nan(bare_nan);
    let (mut more, mut place) = (scanner.enter_object()?, 0);
    while more {
        let (name, _) = scanner.key()?;
        each(place, name, scanner.value()?);
        place += 1;
        more = scanner.next_member()?;
    }
    scanner.end()
}

impl<'a> Meta<'a> {
    fn of(column: Option<&'a StringArray>, row: usize) -> Result<Self, RowError> {
        let mut meta = Meta::default();
        let Some(text) = column
            .filter(|column| column.is_valid(row))
            .map(|c| c.value(row))
        else {
            return Ok(meta);
        };
        let mut reserved = (None, None);
        let members = each_member(text, false, &mut |_, name, token| match name {
            FIELDS => reserved.0 = Some(token.raw),
            RECORD => reserved.1 = Some(token.raw),
            _ => meta.own.push((name, token.raw)),
        });
        let parts = members.and_then(|()| {
            if let Some(record) = reserved.1 {
                each_member(record, false, &mut |_, name, token| {
                    meta.record.push((name, token.raw))
                })?;
            }
            let mut fields = Vec::new();
            if let Some(exceptions) = reserved.0 {
                each_member(exceptions, false, &mut |_, name, token| {
                    fields.push((name, token.raw))
                })?;
            }
            for (name, raw) in fields {
                let name = unescape(name, name.contains('\\'));
                meta.fields.push((name, Exception::of(raw)?));
            }
            Ok(())
        });
        parts.map_err(|cause| {
            RowError::new(
                "dataknobs::bad_metadata",
                format!("the metadata is no JSON object: {cause}"),
            )
        })?;
        Ok(meta)
    }
}

impl<'a> Exception<'a> {
    fn of(raw: &'a str) -> Result<Self, RowError> {
        let mut exception = Exception::default();
        each_member(raw, false, &mut |_, name, token| match (name, token.kind) {
            ("name", Kind::Text(inner, _)) => exception.name = Some(inner),
            ("type", Kind::Text(inner, escaped)) => {
                exception.declared = Some(unescape(inner, escaped))
            }
            (KIND, Kind::Text(inner, _)) => exception.kind = Some(inner),
            ("metadata", Kind::Object) => exception.metadata = Some(token.raw),
            _ => exception.extras.push((name, token.raw)),
        })?;
        Ok(exception)
    }
}
