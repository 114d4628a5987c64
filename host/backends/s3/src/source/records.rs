//! Reads records that are an object each: the id is the key without the prefix and `.json`.
//!
//! Partitions are ranges of keys, each with about as many objects; a position is the last key that
//! was read. Where a batch ends depends on the listing alone.

use std::ops::Range;
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, OpenSource, Options, Partition, Position,
    Result, Schema, Source,
};
use dkhost_file::options::{FileOptions, Layout, SourceOptions};
use dkhost_file::records::{Record, Records};
use serde::{Deserialize, Serialize};

use super::fetch::Fetch;
use super::{Listed, under};
use crate::client::Client;
use crate::server::Server;
use crate::target::names::Names;

/// What the key of a record ends in.
pub(crate) const EXTENSION: &str = ".json";

/// Records types are inferred from unless the job says otherwise: each is a request.
const INFER_RECORDS: usize = 1000;

/// Opens the records under a prefix.
pub(super) fn open(
    mut options: Options,
    server: Server,
    open: &OpenSource,
) -> Result<Box<dyn Source>> {
    let (label, span) = (server.label(), server.span());
    let infers = options.get("infer").is_some();
    for key in ["format", "compression", "csv", "records"] {
        if let Some(node) = options.get(key) {
            return Err(Error::config(
                "s3::not_for_records",
                format!("`{key}` means nothing where each object is a record"),
            )
            .at(node.span.clone(), "only for files")
            .help(format!("remove `{key}`, or say `object = \"file\"`")));
        }
    }
    let files = FileOptions::read_at(&mut options, label.clone(), span)?;
    let mut options = SourceOptions::read_with(options, files)?;
    if !infers {
        options.infer = INFER_RECORDS;
    }
    let client = Client::open(server, &open.base)?;
    let names = Names::under(&client.server.prefix);
    let all = under(&client, &names.prefix)?;
    let own = names.own_folder();
    let (listed, others): (Vec<Listed>, Vec<Listed>) = all
        .into_iter()
        .filter(|listed| !listed.key.starts_with(&own))
        .partition(|listed| id_of(&names, &listed.key).is_some());
    let first = sample(&client, &names, &listed, options.infer)?;
    let complete = first.len() == listed.len();
    let records = Records::of(&options, open, &first, complete)?;
    let mut notes = vec![format!("{} objects, a record each", listed.len())];
    notes.extend(records.notes().iter().cloned());
    if !others.is_empty() {
        notes.push(format!(
            "{} objects are passed over: their keys do not end in {EXTENSION} (`{}`)",
            others.len(),
            others[0].key
        ));
    }
    let is_dataknobs = options.file.layout == Layout::Dataknobs;
    if is_dataknobs {
        notes.push(
            "what dataknobs-data adds to metadata (id, created_at, updated_at) comes along"
                .to_owned(),
        );
    }
    Ok(Box::new(RecordSource {
        client,
        names,
        listed: Arc::new(listed),
        records: Arc::new(records),
        notes,
        batch: open.batch,
        partitions: open.partitions,
        may_change: open.repeatable,
    }))
}

/// The id of the record in the object of this key.
fn id_of(names: &Names, key: &str) -> Option<String> {
    let name = key.strip_prefix(&names.prefix)?;
    let id = name.strip_suffix(EXTENSION)?;
    (!id.is_empty()).then(|| id.to_owned())
}

fn sample(
    client: &Client,
    names: &Names,
    listed: &[Listed],
    records: usize,
) -> Result<Vec<Record>> {
    let listed = listed[..records.min(listed.len())].to_vec();
    let mut fetch = Fetch::of(client, listed.into_iter(), true);
    let mut first = Vec::new();
    while let Some((listed, body)) = fetch.next()? {
        first.extend(record(names, listed, body));
    }
    Ok(first)
}

fn record(names: &Names, listed: Listed, body: Option<bytes::Bytes>) -> Option<Record> {
    Some(Record {
        id: id_of(names, &listed.key)?,
        key: listed.key,
        body: body?,
    })
}

/// Records that are open as a source.
struct RecordSource {
    client: Client,
    names: Names,
    /// By key.
    listed: Arc<Vec<Listed>>,
    records: Arc<Records>,
    notes: Vec<String>,
    batch: BatchSize,
    partitions: usize,
    /// Whether records may come as they are when they are read, not as they were listed.
    may_change: bool,
}

/// A range of keys: after `after`, up to and including `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Slice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl Slice {
    fn of(partition: &Partition) -> Result<Self> {
        Slice::deserialize(&partition.slice).map_err(|cause| {
            Error::state(
                "s3::bad_partition",
                format!("partition `{}` is none of records of S3", partition.label),
            )
            .help("start anew with `dkhost run JOB --no-resume`")
            .caused_by(cause)
        })
    }
}

/// The last key that was read.
#[derive(Debug, Serialize, Deserialize)]
struct After {
    after: String,
}

impl RecordSource {
    /// Which objects are in a range of keys.
    fn range(&self, after: Option<&str>, until: Option<&str>) -> Range<usize> {
        let from = after.map_or(0, |after| {
            self.listed
                .partition_point(|listed| listed.key.as_bytes() <= after.as_bytes())
        });
        let to = until.map_or(self.listed.len(), |until| {
            self.listed
                .partition_point(|listed| listed.key.as_bytes() <= until.as_bytes())
        });
        from..to.max(from)
    }
}

impl Source for RecordSource {
    fn schema(&self) -> &Schema {
        self.records.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let count = self.listed.len();
        let parts = self.partitions.clamp(1, count.max(1));
        let bound = |part: usize| {
            let last = (part * count / parts).checked_sub(1)?;
            Some(self.listed[last].key.clone())
        };
        let partition = |part: usize| {
            let slice = Slice {
                after: bound(part),
                until: (part + 1 < parts).then(|| bound(part + 1)).flatten(),
            };
            let label = match (&slice.after, &slice.until) {
                (None, None) => format!("all {count} objects"),
                (Some(after), _) => format!("objects after {after}"),
                (None, Some(until)) => format!("objects up to {until}"),
            };
            let slice = serde_json::to_value(slice)
                .map_err(|cause| Error::bug("a partition could not be written").caused_by(cause))?;
            Ok(Partition {
                index: part as u32,
                label,
                slice,
            })
        };
        (0..parts).map(partition).collect()
    }

    fn fingerprint(&self, partitions: &[Partition]) -> Result<serde_json::Value> {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let mut count = 0;
        for partition in partitions.iter().filter(|_| !self.may_change) {
            let slice = Slice::of(partition)?;
            let range = self.range(slice.after.as_deref(), slice.until.as_deref());
            for listed in &self.listed[range] {
                for part in [&listed.key, &listed.etag, &listed.size.to_string()] {
                    hash.update(part.as_bytes());
                    hash.update(&[0]);
                }
                count += 1;
            }
        }
        Ok(serde_json::json!({
            "bucket": self.client.bucket(),
            "prefix": self.names.prefix,
            "objects": count,
            "keys_and_etags": format!("{:032x}", hash.digest128()),
        }))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn estimate(&self) -> Estimate {
        Estimate {
            records: Some(self.listed.len() as u64),
            bytes: Some(self.listed.iter().map(|listed| listed.size).sum()),
        }
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let slice = Slice::of(partition)?;
        let after = match from.is_start() {
            true => slice.after,
            false => Some(
                After::deserialize(&from.0)
                    .map_err(|cause| {
                        Error::state(
                            "s3::bad_position",
                            "the checkpoint's position is not one of records of S3",
                        )
                        .help("start anew with `dkhost run JOB --no-resume`")
                        .caused_by(cause)
                    })?
                    .after,
            ),
        };
        let range = self.range(after.as_deref(), slice.until.as_deref());
        let listed = self.listed.clone();
        let listed = range.map(move |index| listed[index].clone());
        Ok(Box::new(RecordReader {
            fetch: Fetch::of(&self.client, listed, self.may_change),
            names: self.names.clone(),
            records: self.records.clone(),
            batch: self.batch,
        }))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        self.records.letters(letters)
    }
}

/// Yields the batches of a range of keys.
struct RecordReader {
    fetch: Fetch,
    names: Names,
    records: Arc<Records>,
    batch: BatchSize,
}

impl BatchReader for RecordReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            let mut taken = Vec::new();
            let (mut objects, mut bytes, mut last) = (0, 0, None);
            while let Some(next) = self.fetch.peek() {
                let fits = bytes + next.size <= self.batch.bytes as u64;
                if objects >= self.batch.rows.max(1) || (objects > 0 && !fits) {
                    break;
                }
                let Some((listed, body)) = self.fetch.next()? else {
                    break;
                };
                (objects, bytes) = (objects + 1, bytes + listed.size);
                last = Some(listed.key.clone());
                taken.extend(record(&self.names, listed, body));
            }
            let Some(after) = last else { return Ok(None) };
            if taken.is_empty() {
                // All of them are gone; a batch holds at least one record.
                continue;
            }
            let until = serde_json::to_value(After { after })
                .map_err(|cause| Error::bug("a position could not be written").caused_by(cause))?;
            return self.records.decode(taken, Position(until)).map(Some);
        }
    }
}
