//! Reading records from the job file, or rows from a store.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::Store;
use super::selection::{self, Selection};
use crate::json::{self, DecodeOptions, Decoder, Inference};
use crate::source::Estimate;
use crate::{
    Batch, BatchReader, DeadLetter, Error, Field, Locator, Node, NodeKind, OpenSource, Partition,
    Payload, Position, Reject, Result, Role, Schema, Source, SourceRows, StageKind,
};

/// An open memory source: every record as text, and its schema.
#[derive(Debug)]
pub(super) struct MemorySource {
    schema: Schema,
    records: Arc<Vec<Vec<u8>>>,
    selection: Arc<Selection>,
    decode: DecodeOptions,
    notes: Vec<String>,
    batch: crate::BatchSize,
    partitions: usize,
}

/// Opens the records of a job file.
pub(super) fn open_records(
    node: &Node,
    declared: &BTreeMap<String, String>,
    sample: usize,
    open: &OpenSource,
) -> Result<MemorySource> {
    let NodeKind::Array(items) = &node.kind else {
        return Err(
            Error::config("memory::no_records", "`records` must be a list of tables")
                .at(node.span.clone(), format!("this is {}", node.what())),
        );
    };
    let (mut inference, mut records) = (Inference::new(), Vec::new());
    for item in items {
        let record = item.to_json().to_string().into_bytes();
        if records.len() < sample {
            inference.observe(&record).map_err(|refused| {
                Error::config("memory::no_records", refused.message)
                    .at(item.span.clone(), "not a record")
            })?;
        }
        records.push(record);
    }
    let mut fields = inference.finish();
    for (name, kind) in declared {
        let logical = kind
            .parse()
            .map_err(|m: String| Error::config("memory::unknown_type", m))?;
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.logical = logical,
            None => fields.push(Field {
                null_is_absent: true,
                ..Field::new(name, logical)
            }),
        }
    }
    let note = format!(
        "schema inferred from {} of {} records",
        sample.min(records.len()),
        records.len()
    );
    finish(fields, records, note, open)
}

/// Opens the rows of a store.
pub(super) fn open_store(name: &str, open: &OpenSource) -> Result<MemorySource> {
    let absent = || {
        Error::config(
            "source::absent",
            format!("there is no table `{name}` in memory"),
        )
    };
    let rows = Store::open(name).rows()?.ok_or_else(absent)?;
    let schema = Schema::from_arrow(&rows.schema())?;
    let mut fields = schema.fields.clone();
    fields.retain(|field| field.role != Some(Role::Rest));
    for field in &mut fields {
        field.key = None;
        // Values JSON text cannot carry exactly: NaN and infinity are read bare.
        field.null_is_absent = true;
    }
    let encoder = json::Encoder::new(&schema, crate::Nulls::Keep).bare_nan(true);
    let bound = encoder.bind(&rows)?;
    let mut records = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let mut record = Vec::new();
        bound
            .row(row, &mut record)
            .map_err(|refused| Error::data("memory::no_record", refused.message))?;
        records.push(record);
    }
    finish(
        fields,
        records,
        format!("columns as table {name} has them"),
        open,
    )
}

fn finish(
    mut fields: Vec<Field>,
    records: Vec<Vec<u8>>,
    note: String,
    open: &OpenSource,
) -> Result<MemorySource> {
    let mut rest = Field::reserved(Role::Rest);
    while fields.iter().any(|field| field.name == rest.name) {
        rest.name.insert(0, '_');
    }
    let whole = Schema::new(fields.iter().chain([&rest]).cloned().collect());
    let selection = selection::select(&whole, &records, open)?;
    if let Some(columns) = &open.columns {
        let find = |name: &String| {
            fields
                .iter()
                .find(|field| field.name == *name)
                .cloned()
                .ok_or_else(|| no_field(name, &fields))
        };
        fields = columns.iter().map(find).collect::<Result<_>>()?;
    }
    for (place, name) in open.key.iter().enumerate() {
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.key = Some(place as u32),
            None => return Err(no_field(name, &fields)),
        }
    }
    fields.push(rest);
    Ok(MemorySource {
        schema: Schema::new(fields),
        records: Arc::new(records),
        notes: [vec![note], selection.notes.clone()].concat(),
        selection: Arc::new(selection),
        decode: DecodeOptions {
            explicit_nulls: open.explicit_nulls,
            bare_nan: true,
            skip_unknown: open.columns.is_some(),
        },
        batch: open.batch,
        partitions: open.partitions.max(1),
    })
}

fn no_field(name: &str, fields: &[Field]) -> Error {
    let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    Error::config(
        "source::unknown_column",
        format!("no record has a field `{name}`"),
    )
    .help(format!("the records have: {}", known.join(", ")))
}

impl MemorySource {
    /// The records that are read, in order.
    fn selected(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.selection
            .order
            .iter()
            .map(|record| &self.records[*record])
    }
}

impl Source for MemorySource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let (records, parts) = (self.selection.order.len(), self.partitions);
        let even = |index: usize| {
            let range = records * index / parts..records * (index + 1) / parts;
            (format!("records {} to {}", range.start, range.end), range)
        };
        let slices = match &self.selection.slices {
            Some(slices) => slices.clone(),
            None => (0..parts).map(even).collect(),
        };
        let partition = |(index, (label, range)): (usize, (String, Range<usize>))| Partition {
            index: index as u32,
            label,
            slice: json!({"from": range.start, "to": range.end}),
        };
        Ok(slices.into_iter().enumerate().map(partition).collect())
    }

    fn fingerprint(&self, _partitions: &[Partition]) -> Result<serde_json::Value> {
        let hashes: Vec<String> = self
            .selected()
            .map(|r| format!("{:032x}", xxh3_128(r)))
            .collect();
        Ok(
            json!({"records": hashes.len(), "hash": format!("{:032x}", xxh3_128(hashes.concat().as_bytes()))}),
        )
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn pushed(&self) -> Vec<usize> {
        self.selection.pushed.clone()
    }

    fn cursor(&self) -> Option<String> {
        self.selection.cursor.clone()
    }

    fn estimate(&self) -> Estimate {
        let bytes = self.selected().map(|record| record.len() as u64).sum();
        Estimate {
            records: Some(self.selection.order.len() as u64),
            bytes: Some(bytes),
        }
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let bound = |value: &serde_json::Value| {
            value
                .as_u64()
                .map(|at| at as usize)
                .filter(|at| *at <= self.selection.order.len())
        };
        let end = bound(&partition.slice["to"]);
        let start = bound(if from.is_start() {
            &partition.slice["from"]
        } else {
            &from.0["record"]
        });
        let (Some(start), Some(end)) = (start, end) else {
            return Err(Error::state(
                "source::changed",
                "the position lies behind the last record",
            ));
        };
        Ok(Box::new(MemoryReader {
            records: self.records.clone(),
            selection: self.selection.clone(),
            left: start..end,
            batch: self.batch,
            decoder: Decoder::new(&self.schema, self.decode),
        }))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        let records = Arc::new(
            letters
                .iter()
                .map(|letter| letter.payload.clone())
                .collect::<Vec<_>>(),
        );
        let all = Selection {
            order: (0..records.len()).collect(),
            ..Selection::default()
        };
        let mut reader = MemoryReader {
            left: 0..records.len(),
            selection: Arc::new(all),
            records,
            batch: crate::BatchSize {
                rows: letters.len().max(1),
                bytes: usize::MAX,
            },
            decoder: Decoder::new(&self.schema, self.decode),
        };
        reader.batch()
    }
}

struct MemoryReader {
    records: Arc<Vec<Vec<u8>>>,
    selection: Arc<Selection>,
    /// A slice of the selection.
    left: Range<usize>,
    batch: crate::BatchSize,
    decoder: Decoder,
}

impl MemoryReader {
    fn batch(&mut self) -> Result<Batch> {
        let (start, mut bytes) = (self.left.start, 0);
        let (mut origin, mut rejects) = (Vec::new(), Vec::new());
        for place in self.left.by_ref() {
            let record = &self.records[self.selection.order[place]];
            let source_row = (place - start) as u32;
            match self.decoder.push(record) {
                Ok(()) => origin.push(source_row),
                Err(refused) => rejects.push(Reject {
                    source_row,
                    kind: StageKind::Decode,
                    stage: "source".to_owned(),
                    column: refused.column,
                    code: refused.code.to_owned(),
                    message: refused.message,
                }),
            }
            bytes += record.len();
            if place + 1 - start >= self.batch.rows || bytes >= self.batch.bytes {
                break;
            }
        }
        let rows = MemoryRows {
            records: self.records.clone(),
            selection: self.selection.clone(),
            range: start..self.left.start,
        };
        Ok(Batch {
            records: self.decoder.finish()?,
            origin: (!rejects.is_empty()).then(|| origin.into()),
            source: Arc::new(rows),
            rejects,
            until: Position(json!({"record": self.left.start})),
            source_bytes: bytes as u64,
        })
    }
}

impl BatchReader for MemoryReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        if self.left.is_empty() {
            Ok(None)
        } else {
            self.batch().map(Some)
        }
    }
}

/// The records of one batch.
#[derive(Debug)]
struct MemoryRows {
    records: Arc<Vec<Vec<u8>>>,
    selection: Arc<Selection>,
    range: Range<usize>,
}

impl MemoryRows {
    fn record(&self, row: usize) -> usize {
        self.selection.order[self.range.start + row]
    }
}

impl SourceRows for MemoryRows {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([("record", json!(self.record(row)))])
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: self.records[self.record(row)].clone(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        // The records belong to the source.
        size_of::<Self>()
    }
}
