//! A dataknobs store as a source: `id`, `data` and `metadata` of each row become a document.

use dkhost_core::dataknobs::{Form, Inference, Reader, with_times};
use dkhost_core::json::{DecodeOptions, Decoder, RowError};
use dkhost_core::{Field, OpenSource, Reject, Result, Role, Schema, StageKind};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use super::decode::{Decoded, RowDecoder, Values};
use super::infer::sample;
use super::relation::{Relation, no_column};
use super::rows::Payloads;
use crate::name::same;
use crate::value::{bare_text, from_json, write_json};

/// The columns of a dataknobs table, in the order in which they are read here.
const COLUMNS: [&str; 5] = ["id", "data", "metadata", "created_at", "updated_at"];

/// How many of [`COLUMNS`] a table must have.
const REQUIRED: usize = 2;

/// The dataknobs columns of a relation. Those it lacks are read as the id and never looked at.
pub(super) fn columns(relation: &Relation) -> Result<Vec<usize>> {
    let names: Vec<&str> = relation
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let mut columns = Vec::new();
    for (i, wanted) in COLUMNS.iter().enumerate() {
        match names.iter().position(|name| same(name, wanted)) {
            Some(column) => columns.push(column),
            None if i >= REQUIRED => break,
            None => {
                return Err(
                    no_column("layout = \"dataknobs\"", wanted, &names, &relation.label)
                        .help("is it a dataknobs table? without `layout` it is read as any other"),
                );
            }
        }
    }
    Ok(columns)
}

/// The schema of the sample's records.
pub(super) fn infer(
    db: &Connection,
    relation: &Relation,
    columns: &[usize],
    open: &OpenSource,
    timestamps: bool,
) -> Result<(Schema, Vec<String>)> {
    let mut inference = Inference::new(Form::Flat);
    sample(db, relation, columns, &mut |value| {
        if let ValueRef::Text(data) = value(1) {
            // A record that cannot be read is refused when it is read, not here.
            let _ = inference.flat(data);
        }
    })?;
    let mut fields = inference.finish();
    if let Some(wanted) = &open.columns {
        fields = wanted
            .iter()
            .map(|name| take_field(&mut fields, name, relation))
            .collect::<Result<_>>()?;
    }
    for (place, name) in open.key.iter().enumerate() {
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.key = Some(place as u32),
            None if name == "id" && open.key.len() == 1 => (),
            None => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                return Err(no_column("key", name, &names, &relation.label));
            }
        }
    }
    for role in [Role::Id, Role::Meta, Role::Rest] {
        let mut field = Field::reserved(role);
        while fields.iter().any(|known| known.name == field.name) {
            field.name.insert(0, '_');
        }
        field.nullable = role != Role::Id;
        if role == Role::Id && !fields.iter().any(|field| field.key.is_some()) {
            field.key = Some(0);
        }
        match role {
            Role::Id => fields.insert(0, field),
            _ => fields.push(field),
        }
    }
    let mut notes = vec![
        "fields and their types are inferred; later ones that are new stay in the record"
            .to_owned(),
    ];
    if !timestamps {
        notes.push("created_at and updated_at belong to the store and are not read; `timestamps = true` takes them along".to_owned());
    }
    Ok((Schema::new(fields), notes))
}

/// The field called `name`, taken out of those there are.
fn take_field(fields: &mut Vec<Field>, name: &str, relation: &Relation) -> Result<Field> {
    match fields.iter().position(|field| field.name == name) {
        Some(index) => Ok(fields.remove(index)),
        None => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            Err(no_column("columns", name, &names, &relation.label))
        }
    }
}

/// Decodes the rows of a dataknobs table.
pub(super) struct KnobsDecoder {
    reader: Reader,
    decoder: Decoder,
    timestamps: bool,
    taken: u32,
    origin: Vec<u32>,
    rejects: Vec<Reject>,
    kept: Kept,
    meta: String,
}

impl KnobsDecoder {
    pub(super) fn new(schema: &Schema, timestamps: bool, options: DecodeOptions) -> Self {
        KnobsDecoder {
            reader: Reader::new(schema),
            decoder: Decoder::new(schema, options),
            timestamps,
            taken: 0,
            origin: Vec::new(),
            rejects: Vec::new(),
            kept: Kept::default(),
            meta: String::new(),
        }
    }

    fn decode(&mut self, values: Values<'_, '_>) -> Result<(), RowError> {
        let id = text(values(0), "id")?
            .ok_or_else(|| RowError::new("dataknobs::bad_id", "a record without an id"))?;
        let data = text(values(1), "data")?.unwrap_or("");
        let metadata = text(values(2), "metadata")?;
        let plain = self.reader.flat(data.as_bytes(), metadata)?;
        let mut meta = plain.meta;
        if self.timestamps {
            with_times(
                meta,
                text(values(3), "created_at")?,
                text(values(4), "updated_at")?,
                &mut self.meta,
            );
            meta = Some(&self.meta);
        }
        self.decoder.push_document(plain.fields, Some(id), meta)
    }
}

fn text<'a>(value: ValueRef<'a>, column: &str) -> Result<Option<&'a str>, RowError> {
    let refuse = |what: &str| {
        Err(RowError::new("dataknobs::not_text", format!("`{column}` is {what}")).in_column(column))
    };
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => refuse("not UTF-8"),
        },
        other => refuse(crate::value::class(other)),
    }
}

impl RowDecoder for KnobsDecoder {
    fn push(&mut self, values: Values<'_, '_>) {
        self.kept
            .push(values, if self.timestamps { COLUMNS.len() } else { 3 });
        match self.decode(values) {
            Ok(()) => self.origin.push(self.taken),
            Err(refused) => self.rejects.push(Reject {
                source_row: self.taken,
                kind: StageKind::Decode,
                stage: "source".to_owned(),
                column: refused.column,
                code: refused.code.to_owned(),
                message: refused.message,
            }),
        }
        self.taken += 1;
    }

    fn push_payload(&mut self, payload: &[u8]) {
        let fields: Map<String, Json> = serde_json::from_slice(payload).unwrap_or_default();
        let bare = fields.values().any(|value| bare_text(value).is_some());
        let values: Vec<rusqlite::types::Value> = COLUMNS
            .iter()
            .map(|name| {
                fields
                    .get(*name)
                    .filter(|_| !bare)
                    .map_or(rusqlite::types::Value::Null, from_json)
            })
            .collect();
        self.push(&|column| ValueRef::from(&values[column]));
        self.kept.replace_last(payload);
    }

    fn bytes(&self) -> usize {
        self.kept.bytes.len()
    }

    fn finish(&mut self) -> Result<Decoded> {
        let records = self.decoder.finish()?;
        let whole = self.rejects.is_empty();
        self.taken = 0;
        let origin = std::mem::take(&mut self.origin);
        Ok(Decoded {
            records,
            origin: (!whole).then_some(origin),
            rejects: std::mem::take(&mut self.rejects),
            payloads: Box::new(std::mem::take(&mut self.kept)),
        })
    }
}

/// The rows as they were stored, each as a JSON object, end to end.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Kept {
    fn push(&mut self, values: Values<'_, '_>, columns: usize) {
        for (i, name) in COLUMNS.iter().enumerate().take(columns) {
            self.bytes
                .extend_from_slice(if i == 0 { b"{\"" } else { b",\"" });
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(b"\":");
            write_json(values(i), &mut self.bytes);
        }
        self.bytes.push(b'}');
        self.ends.push(self.bytes.len());
    }

    fn replace_last(&mut self, payload: &[u8]) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

impl Payloads for Kept {
    fn payload(&self, row: usize) -> Vec<u8> {
        self.row(row).to_vec()
    }

    fn id(&self, row: usize) -> Option<String> {
        let fields: Map<String, Json> = serde_json::from_slice(self.row(row)).ok()?;
        Some(fields.get("id")?.as_str()?.to_owned())
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 8
    }
}
