//! Columns to documents and back: as they are, or as those of a dataknobs store.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use dkhost_core::dataknobs::{self, Form};
use dkhost_core::json::{self, DecodeOptions, Decoder, Encoder, RowError, Scanner};
use dkhost_core::{Error, Field, Nulls, Result, Role, Schema};

use super::ids::{IdFrom, Ids};
use super::lines::{Action, Lines, Writing};
use crate::source::Knobs;

/// How records become documents.
pub(super) struct Layout {
    schema: Schema,
    nulls: Nulls,
    pub from: IdFrom,
    /// The column of each document's own version.
    pub version: Option<usize>,
    form: Shape,
}

enum Shape {
    Documents(Encoder),
    Dataknobs(dataknobs::Writer),
}

impl Layout {
    pub fn new(schema: &Schema, nulls: Nulls, dataknobs: bool, version: Option<usize>) -> Self {
        let form = match dataknobs {
            true => Shape::Dataknobs(dataknobs::Writer::new(schema, Form::Flat, nulls)),
            false => Shape::Documents(Encoder::new(schema, nulls).id_as(None)),
        };
        Layout {
            from: IdFrom::of(schema, dataknobs),
            schema: schema.clone(),
            nulls,
            version,
            form,
        }
    }

    /// Writes every row of a batch as the lines of `action`. Rows without an id of their own are
    /// called `prefix` and a number from `first`.
    ///
    /// *Errors* – a bug if the batch has other columns. A row that is no document is refused.
    pub fn lines(
        &self,
        records: &RecordBatch,
        action: Action,
        (prefix, first): (&str, usize),
    ) -> Result<Lines> {
        let rows = records.num_rows();
        let ids = Ids::bind(&self.from, &self.schema, records, prefix, first)?;
        let versions: Option<&Int64Array> = self
            .version
            .and_then(|index| records.column(index).as_primitive_opt());
        let mut writing = Writing::new(action, rows);
        let id = |row: usize| {
            let (ids, refused) = (
                &ids,
                versions.is_some_and(|v| v.is_null(row) || v.value(row) < 0),
            );
            move |out: &mut Vec<u8>| match refused {
                true => Err(no_version()),
                false => ids.write(row, out),
            }
        };
        let version = |row| versions.filter(|v| v.is_valid(row)).map(|v| v.value(row));
        match &self.form {
            Shape::Documents(encoder) => {
                let bound = encoder.bind(records)?;
                for row in 0..rows {
                    writing.row(version(row), id(row), |_, out| bound.row(row, out));
                }
            }
            Shape::Dataknobs(writer) => {
                let mut bound = writer.bind(records)?;
                let mut record = Record::default();
                for row in 0..rows {
                    writing.row(version(row), id(row), |id, out| {
                        record.write(&mut bound, row, id, out)
                    });
                }
            }
        }
        Ok(writing.finish())
    }

    /// What reads documents back into the plan's columns.
    pub fn back(&self) -> Back<'_> {
        let has_rest = self.schema.role(Role::Rest).is_some();
        let options = DecodeOptions {
            explicit_nulls: has_rest && self.nulls == Nulls::Keep,
            skip_unknown: !has_rest,
            ..DecodeOptions::default()
        };
        Back {
            layout: self,
            decoder: Decoder::new(&as_found(&self.schema), options),
            knobs: match self.form {
                Shape::Documents(_) => None,
                Shape::Dataknobs(_) => Some(Knobs::new(&self.schema)),
            },
            id_key: self.schema.role(Role::Id).map(|id| {
                let mut key = Vec::new();
                json::escape(&self.schema.fields[id].name, &mut key);
                key
            }),
            text: Vec::new(),
        }
    }
}

/// The columns as documents of others have them, which may lack what the plan's records never do.
fn as_found(schema: &Schema) -> Schema {
    let fields = schema.fields.iter().cloned();
    let fields = fields.map(|field| Field {
        nullable: true,
        ..field
    });
    Schema::new(fields.collect())
}

fn no_version() -> RowError {
    RowError::new(
        "elasticsearch::no_version",
        "the version of the document is null or negative",
    )
}

/// Documents on their way back into columns.
pub(super) struct Back<'a> {
    layout: &'a Layout,
    decoder: Decoder,
    knobs: Option<Knobs>,
    /// `"_id"`, where the plan has a column of ids.
    id_key: Option<Vec<u8>>,
    text: Vec<u8>,
}

impl Back<'_> {
    pub fn rows(&self) -> usize {
        self.decoder.rows()
    }

    pub fn bytes(&self) -> usize {
        self.decoder.bytes()
    }

    /// Adds a document. Of one that does not fit the plan's columns, which is somebody else's, only
    /// the id is known.
    ///
    /// *Errors* – a bug if not even that can be held.
    pub fn push(&mut self, id: &str, document: &[u8]) -> Result<()> {
        if self.read(id, document).is_ok() {
            return Ok(());
        }
        let by_id = self.layout.schema.role(Role::Id).map(|_| id);
        self.decoder
            .push_document(b"{}", by_id, None)
            .map_err(|cause| Error::bug("an empty document does not fit").caused_by(cause))
    }

    fn read(&mut self, id: &str, document: &[u8]) -> Result<(), RowError> {
        if let Some(knobs) = &mut self.knobs {
            let plain = knobs.read(id, document)?;
            let has = |role| self.layout.schema.role(role).is_some();
            let meta = plain.meta.filter(|_| has(Role::Meta));
            let id = has(Role::Id).then_some(id);
            return self.decoder.push_document(plain.fields, id, meta);
        }
        let Some(key) = &self.id_key else {
            return self.decoder.push(document);
        };
        // The id stands beside the document and is a column like any other.
        self.text.clear();
        self.text.push(b'{');
        self.text.extend_from_slice(key);
        self.text.push(b':');
        json::escape(id, &mut self.text);
        let inner = document.trim_ascii();
        let inner = inner.strip_prefix(b"{").unwrap_or(inner);
        if inner.trim_ascii_start() != b"}" {
            self.text.push(b',');
        }
        self.text.extend_from_slice(inner);
        self.decoder.push(&self.text)
    }

    /// The rows so far.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        self.decoder.finish()
    }
}

/// A record of dataknobs as a document; reuses its buffers.
///
/// *Source* – `dataknobs-data` 0.11.0, `backends/elasticsearch_mixins.py`, `_record_to_document`.
#[derive(Default)]
struct Record {
    data: Vec<u8>,
    metadata: Vec<u8>,
    vectors: Vec<u8>,
}

impl Record {
    fn write(
        &mut self,
        bound: &mut dataknobs::BoundWriter<'_>,
        row: usize,
        id: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        self.data.clear();
        self.metadata.clear();
        self.vectors.clear();
        bound.flat(row, &mut self.data, &mut self.metadata)?;
        out.extend_from_slice(b"{\"data\":{");
        let mut any = false;
        for (name, value) in members(&self.data)? {
            let vector = Vector::of(value);
            let value = vector.as_ref().map_or(value, |vector| vector.value);
            add(out, &mut any, name, value);
            if let Some(vector) = vector {
                vector.describe(name, &mut self.vectors);
            }
        }
        out.extend_from_slice(b"},\"metadata\":{");
        let mut any = false;
        if !self.metadata.is_empty() {
            for (name, value) in members(&self.metadata)? {
                if name != "vector_fields" || self.vectors.is_empty() {
                    add(out, &mut any, name, value);
                }
            }
        }
        if !self.vectors.is_empty() {
            let vectors = String::from_utf8_lossy(&self.vectors);
            add(out, &mut any, "vector_fields", &format!("{{{vectors}}}"));
        }
        out.extend_from_slice(b"},\"id\":");
        json::escape(id, out);
        out.push(b'}');
        Ok(())
    }
}

/// A field object of a vector, as other stores have it.
struct Vector<'a> {
    value: &'a str,
    dimensions: Cow<'a, str>,
    metadata: &'a str,
    source: &'a str,
    model: &'a str,
    version: &'a str,
}

impl<'a> Vector<'a> {
    /// `None` for any other value.
    fn of(field: &'a str) -> Option<Self> {
        if !field.starts_with('{') {
            return None;
        }
        let (mut value, mut dimensions, mut metadata, mut is_vector) = (None, None, None, false);
        for (name, raw) in members(field.as_bytes()).ok()? {
            match name {
                "name" => {}
                "value" => value = Some(raw).filter(|raw| raw.starts_with('[')),
                "type" => is_vector = raw == "\"vector\"",
                "dimensions" => dimensions = Some(raw),
                "metadata" => metadata = Some(raw).filter(|raw| raw.starts_with('{')),
                _ => return None,
            }
        }
        let (value, metadata) = (value.filter(|_| is_vector)?, metadata?);
        let mut vector = Vector {
            value,
            dimensions: dimensions.map_or_else(|| Cow::Owned(length(value)), Cow::Borrowed),
            metadata,
            source: "null",
            model: "null",
            version: "null",
        };
        for (name, raw) in members(metadata.as_bytes()).ok()? {
            match name {
                "source_field" => vector.source = raw,
                "model" if raw.starts_with('{') => {
                    for (name, raw) in members(raw.as_bytes()).ok()? {
                        match name {
                            "name" => vector.model = raw,
                            "version" => vector.version = raw,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(vector)
    }

    /// Adds what the metadata says of it.
    fn describe(&self, name: &str, out: &mut Vec<u8>) {
        let mut any = !out.is_empty();
        let mut entry = format!(
            "{{\"type\":\"vector\",\"dimensions\":{},\"source_field\":{},\"model\":{},\"model_version\":{}",
            self.dimensions, self.source, self.model, self.version
        );
        entry.push_str(&format!(",\"metadata\":{}}}", self.metadata));
        add(out, &mut any, name, &entry);
    }
}

/// How many items an array has.
fn length(array: &str) -> String {
    let mut scanner = Scanner::new(array);
    let mut count = 0;
    let mut more = scanner.enter_array().unwrap_or(false);
    while more {
        count += 1;
        more = scanner.value().is_ok() && scanner.next_item().unwrap_or(false);
    }
    count.to_string()
}

/// Adds a member; its name as it stands between quotes.
fn add(out: &mut Vec<u8>, any: &mut bool, name: &str, value: &str) {
    if std::mem::replace(any, true) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value.as_bytes());
}

/// The members of an object: keys as they stand between their quotes, and values.
fn members(object: &[u8]) -> Result<Vec<(&str, &str)>, RowError> {
    let mut scanner = Scanner::of(object)?;
    let (mut found, mut more) = (Vec::new(), scanner.enter_object()?);
    while more {
        let (name, _) = scanner.key()?;
        found.push((name, scanner.value()?.raw));
        more = scanner.next_member()?;
    }
    scanner.end()?;
    Ok(found)
}
