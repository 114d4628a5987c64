//! A dataknobs store as a source: `id`, `data` and `metadata` of each row become a document.
//!
//! *Source* – `dataknobs-data` 0.4.13 and 0.11.0, `backends/postgres_mixins.py` (the table; `id` is
//! text) and `backends/sql_base.py` (the older one, `VARCHAR(255)`). The columns `vector_…` that its
//! asynchronous backend adds where pgvector is installed repeat what is in `data` and are not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use dkhost_core::dataknobs::{Form, Inference, Reader, with_times};
use dkhost_core::json::{DecodeOptions, Decoder, RowError};
use dkhost_core::{
    Batch, DeadLetter, Error, Field, LogicalType, OpenSource, Position, Reject, Result, Role,
    Schema, Span, StageKind,
};
use serde_json::{Map, Value as Json};

use super::columns::Selection;
use super::letters::Letters;
use super::order::Order;
use super::relation::{Relation, no_column};
use super::rows::Layout;
use super::stream::{Stream, field};
use crate::session::Session;

/// The columns of a dataknobs table, in the order in which they are read here.
const COLUMNS: [&str; 5] = ["id", "data", "metadata", "created_at", "updated_at"];

/// How many of [`COLUMNS`] a table must have.
const REQUIRED: usize = 2;

/// How many of them are a record; the others are the store's own.
const RECORDS: usize = 3;

/// Records of the sample, and about how many bytes of them.
const SAMPLE_ROWS: usize = 1000;
const SAMPLE_BYTES: usize = 8 << 20;

/// Which columns of a relation are read, all of them as text.
pub(super) struct Columns {
    pub names: Vec<String>,
    pub declared: BTreeMap<String, String>,
}

impl Columns {
    /// The dataknobs columns of a relation.
    ///
    /// *Errors* – `postgres::no_column` without `id` or `data`; `postgres::not_with_layout` for what
    /// the job says about columns of the table, which its records are not.
    pub(super) fn of(
        relation: &Relation,
        timestamps: bool,
        open: &OpenSource,
        declared: &BTreeMap<String, String>,
    ) -> Result<Self> {
        refuse_by_column(relation, open, declared)?;
        let mut names = Vec::new();
        let wanted = if timestamps { COLUMNS.len() } else { RECORDS };
        for (at, name) in COLUMNS.iter().take(wanted).enumerate() {
            if relation.columns.iter().any(|column| column.name == *name) {
                names.push((*name).to_owned());
            } else if at < REQUIRED {
                let option = "layout = \"dataknobs\"";
                return Err(no_column(option, name, &relation.columns, &relation.label)
                    .help("is it a dataknobs table? without `layout` it is read as any other"));
            }
        }
        let declared = names.iter().map(|name| (name.clone(), "utf8".to_owned()));
        Ok(Columns {
            declared: declared.collect(),
            names,
        })
    }

    /// These columns, and what else is needed to find a row again.
    pub(super) fn selection(
        &self,
        relation: &Relation,
        order: &Order,
        open: &OpenSource,
    ) -> Result<Selection> {
        let open = OpenSource {
            columns: Some(self.names.clone()),
            ..open.clone()
        };
        let mut selection = Selection::of(relation, order, &open, &self.declared, Span::default())?;
        selection.layout = Arc::new(Layout {
            is_store: true,
            ..Layout::clone(&selection.layout)
        });
        Ok(selection)
    }
}

/// The store's own times in a table, along which runs can go: what dataknobs changes, it stamps.
pub(super) fn cursors(relation: &Relation) -> Vec<Field> {
    let times = relation.columns.iter().filter(|column| {
        COLUMNS[RECORDS..].contains(&column.name.as_str())
            && column.ty.bottom().name.starts_with("timestamp")
    });
    times
        .map(|column| Field::new(&column.name, LogicalType::Timestamp(None)))
        .collect()
}

/// Refuses what goes by columns of the table.
fn refuse_by_column(
    relation: &Relation,
    open: &OpenSource,
    declared: &BTreeMap<String, String>,
) -> Result<()> {
    let times = cursors(relation);
    let along = open.incremental.as_ref().map(|wanted| &wanted.column);
    let (option, help) = match () {
        () if along.is_some_and(|along| times.iter().all(|time| time.name != *along)) => (
            "incremental",
            "go by the store's own times: incremental = \"updated_at\"",
        ),
        () if open.partition_by.is_some() => (
            "partitions",
            "write a number of partitions, or choose records with a query, as in query = \"SELECT * FROM records WHERE id < 'm'\"",
        ),
        () if !declared.is_empty() => (
            "fields",
            "leave it out and change types in a step: apply = { … = { type_cast = { to = … } } }",
        ),
        () => return Ok(()),
    };
    Err(Error::config(
        "postgres::not_with_layout",
        format!(
            "`{option}` names columns of a table, and the fields of a dataknobs store are none"
        ),
    )
    .help(help))
}

/// What the documents of a store are read as.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub schema: Schema,
    /// The columns that are read, as the rows have them.
    columns: Vec<String>,
    options: DecodeOptions,
}

impl Store {
    /// Finds the schema of the sample's records.
    pub(super) fn infer(
        session: &mut Session,
        relation: &Relation,
        order: &Order,
        columns: Columns,
        open: &OpenSource,
    ) -> Result<Self> {
        let mut inference = Inference::new(Form::Flat);
        sample(session, relation, order, &mut |data| {
            // A record that cannot be read is refused when it is read, not here.
            let _ = inference.flat(data);
        })?;
        let fields = chosen(inference.finish(), relation, open)?;
        Ok(Store {
            schema: Schema::new(with_reserved(fields)),
            columns: columns.names,
            options: DecodeOptions {
                explicit_nulls: open.explicit_nulls,
                skip_unknown: open.columns.is_some(),
                ..DecodeOptions::default()
            },
        })
    }

    /// What the plan says about it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "fields and their types are inferred; later ones that are new stay in the record"
                .to_owned(),
        ];
        if self.columns.len() <= RECORDS {
            notes.push("created_at and updated_at belong to the store and are not read; `timestamps = true` takes them along".to_owned());
        }
        notes
    }

    /// Something that reads rows of the store.
    pub(super) fn documents(&self) -> Documents {
        Documents {
            reader: Reader::new(&self.schema),
            decoder: Decoder::new(&self.schema, self.options),
            places: COLUMNS.map(|name| self.columns.iter().position(|column| column == name)),
            meta: String::new(),
        }
    }

    /// Reads dead letters' payloads again.
    pub(super) fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        let mut documents = self.documents();
        let (mut origin, mut rejects) = (Vec::new(), Vec::new());
        for (at, letter) in (0..).zip(letters) {
            match documents.push_payload(&letter.payload) {
                Ok(()) => origin.push(at),
                Err(refused) => rejects.push(reject(at, refused)),
            }
        }
        Ok(Batch {
            records: documents.decoder.finish()?,
            origin: (!rejects.is_empty()).then(|| Arc::from(origin)),
            source: Arc::new(Letters::of(letters)),
            rejects,
            until: Position::start(),
            source_bytes: letters
                .iter()
                .map(|letter| letter.payload.len() as u64)
                .sum(),
        })
    }
}

/// Shows the sample's records to `each`.
fn sample(
    session: &mut Session,
    relation: &Relation,
    order: &Order,
    each: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let doing = format!("read the sample of {}", relation.label);
    // A query by key would be sorted for its sample; any rows of it will do.
    let by = match &relation.table {
        Some(_) => order.by(),
        None => String::new(),
    };
    if let Some(settings) = order.settings() {
        session.run(&doing, settings)?;
    }
    let select = format!(
        "SELECT d FROM (SELECT d, sum(octet_length(d)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(d) AS before \
         FROM (SELECT \"data\"::text AS d FROM {}{by} LIMIT {SAMPLE_ROWS}) s) t WHERE before < {SAMPLE_BYTES}",
        relation.from
    );
    let mut stream = Stream::open(session, &doing, &select)?;
    while let Some(row) = stream.next(session)? {
        each(field(stream.row(&row), 0).unwrap_or_default());
        stream.forget();
    }
    Ok(())
}

/// The fields the job wants, its key marked.
fn chosen(mut fields: Vec<Field>, relation: &Relation, open: &OpenSource) -> Result<Vec<Field>> {
    let unknown = |option: &str, name: &str, fields: &[Field]| {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let has = format!("its records have: {}", names.join(", "));
        Error::config(
            "postgres::no_column",
            format!(
                "`{option}` names the field `{name}`, which no record of the sample of {} has",
                relation.label
            ),
        )
        .help(has)
    };
    if let Some(wanted) = &open.columns {
        let mut taken = Vec::with_capacity(wanted.len());
        for name in wanted {
            match fields.iter().position(|field| field.name == *name) {
                Some(at) => taken.push(fields.remove(at)),
                None => return Err(unknown("columns", name, &fields)),
            }
        }
        fields = taken;
    }
    for (place, name) in (0..).zip(&open.key) {
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.key = Some(place),
            None if name == "id" && open.key.len() == 1 => (),
            None => return Err(unknown("key", name, &fields)),
        }
    }
    Ok(fields)
}

/// The fields between the record's id before them and its metadata and rest behind.
fn with_reserved(mut fields: Vec<Field>) -> Vec<Field> {
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
    fields
}

/// Reads rows of a store into documents.
pub(super) struct Documents {
    reader: Reader,
    decoder: Decoder,
    /// Where each of [`COLUMNS`] is in a row.
    places: [Option<usize>; 5],
    meta: String,
}

/// Documents, and the rows that are none.
pub(super) struct Read {
    pub records: RecordBatch,
    /// For each document the source record it is; `None` when document *i* is record *i*.
    pub origin: Option<Vec<u32>>,
    pub rejects: Vec<Reject>,
}

impl Documents {
    /// Reads rows; `tuples` says which source record each is, of `count`.
    pub(super) fn read(
        &mut self,
        rows: &[ArrayRef],
        tuples: Option<&[u32]>,
        count: usize,
    ) -> Result<Read> {
        let texts: [Option<&StringArray>; 5] = self
            .places
            .map(|place| place.and_then(|at| rows.get(at)?.as_string_opt::<i32>()));
        let (mut origin, mut rejects) = (Vec::with_capacity(count), Vec::new());
        for row in 0..tuples.map_or(count, <[u32]>::len) {
            let tuple = tuples.map_or(row as u32, |tuples| tuples[row]);
            let cells = texts.map(|texts| texts.filter(|t| t.is_valid(row)).map(|t| t.value(row)));
            match self.push(cells) {
                Ok(()) => origin.push(tuple),
                Err(refused) => rejects.push(reject(tuple, refused)),
            }
        }
        Ok(Read {
            records: self.decoder.finish()?,
            origin: (origin.len() < count).then_some(origin),
            rejects,
        })
    }

    fn push(
        &mut self,
        [id, data, metadata, created, updated]: [Option<&str>; 5],
    ) -> Result<(), RowError> {
        let id = id.ok_or_else(|| RowError::new("dataknobs::bad_id", "a record without an id"))?;
        let plain = self.reader.flat(data.unwrap_or("").as_bytes(), metadata)?;
        let mut meta = plain.meta;
        if created.or(updated).is_some() {
            with_times(meta, created, updated, &mut self.meta);
            meta = Some(&self.meta);
        }
        self.decoder.push_document(plain.fields, Some(id), meta)
    }

    /// Takes a row as a dead letter holds it.
    fn push_payload(&mut self, payload: &[u8]) -> Result<(), RowError> {
        let fields: Map<String, Json> = serde_json::from_slice(payload).map_err(|cause| {
            RowError::new(
                "dataknobs::not_a_record",
                format!("the payload is no JSON object: {cause}"),
            )
        })?;
        let cells = COLUMNS.map(|name| match fields.get(name) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(text.clone()),
            // Somebody has written JSON where its text stood.
            Some(other) => Some(other.to_string()),
        });
        self.push(cells.each_ref().map(Option::as_deref))
    }
}

fn reject(source_row: u32, refused: RowError) -> Reject {
    Reject {
        source_row,
        kind: StageKind::Decode,
        stage: "source".to_owned(),
        column: refused.column,
        code: refused.code.to_owned(),
        message: refused.message,
    }
}
