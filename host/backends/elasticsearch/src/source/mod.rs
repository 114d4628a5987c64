//! Elasticsearch and OpenSearch as a source: indices read in points in time, in slices of their
//! shards.
//!
//! | part | what it decides |
//! |---|---|
//! | [`indices`], [`mapping`], [`schema`] | what is read, and how each field is |
//! | [`moment`] | the moments it is of |
//! | [`slices`], [`since`], [`filter`] | which documents, in how many partitions, and what is left later |
//! | [`page`], [`read`], [`rows`] | hits to batches, and back to what they were |
//! | [`documents`], [`knobs`] | documents to columns, also those of a dataknobs store |

mod documents;
mod filter;
mod indices;
mod knobs;
mod mapping;
mod moment;
mod options;
mod page;
mod read;
mod rows;
mod schema;
mod since;
mod slices;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, OpenSource, Options, Partition, Position, Result,
    Schema, Source,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::client::Client;
use documents::Documents;
use indices::Index;
pub(crate) use knobs::Knobs;
pub(crate) use mapping::would_be_read_as;
use moment::{Counted, Moments, Shard, between};
use options::Wanted;
use page::Pages;
use read::{Plan, Reader};
use schema::{Columns, Declared, Sample};
use since::Since;
use slices::Slice;

/// Documents of the sample, and about how many bytes of them.
const SAMPLE: usize = 1_000;
const SAMPLE_BYTES: usize = 8 << 20;

/// How many shards the sample is of.
const SAMPLE_SHARDS: usize = 8;

/// A source that is open.
pub(crate) struct ElasticsearchSource {
    moments: Arc<Moments>,
    columns: Columns,
    dataknobs: bool,
    /// What documents fulfil, whatever index they are in.
    conditions: Vec<Json>,
    partitions: Vec<Partition>,
    cursor: Option<String>,
    notes: Vec<String>,
    batch: BatchSize,
    repeatable: bool,
}

/// Opens a source: finds the indices, makes a moment of each shard, freezes the schema, slices.
pub(crate) fn open(mut options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
    let client = Client::take(&mut options, &open.base)?;
    let wanted = Wanted::take(&mut options, open)?;
    let indices = indices::find(&client, &wanted.index, &wanted.index_span)?;
    let mapped = mapping::fields(indices.iter().map(|index| &index.mappings));
    let mut notes = client.notes();
    let moments = Moments::open(client, &indices, wanted.keep_alive.clone())
        .map_err(|error| error.at_least(wanted.index_span.clone()))?;
    let moments = Arc::new(moments);
    let columns = match wanted.dataknobs {
        true => store_columns(&moments, open)?,
        false => {
            let declared = Declared {
                types: wanted.types.clone(),
                span: wanted.types_span.clone(),
            };
            let mut sample = Sample::of(&mapped);
            look(&moments, &mut |hit| sample.observe(hit))?;
            Columns::of(&mapped, &sample, &declared, open)?
        }
    };
    notes.extend(index_notes(&moments, &indices));
    notes.extend(columns.notes.iter().cloned());
    let mut conditions: Vec<Json> = wanted.query.clone().into_iter().collect();
    let since = match &open.incremental {
        Some(asked) => Some(Since::find(&moments, &mapped, asked)?),
        None => None,
    };
    conditions.extend(since.iter().flat_map(|since| since.condition.clone()));
    notes.extend(since.iter().flat_map(|since| since.notes.clone()));
    if !wanted.dataknobs {
        let kind = moments.client.product()?.kind;
        let narrowed = filter::narrow(&open.filter, &columns.schema, &mapped, &indices, kind);
        notes.extend(filter::note(&narrowed));
        conditions.extend(narrowed);
    }
    let partitions = slices::partitions(&moments, open.partitions, |shard, range| {
        count(&moments, &conditions, shard, range).map_err(|error| wanted.blame(error))
    })?;
    Ok(Box::new(ElasticsearchSource {
        moments,
        columns,
        dataknobs: wanted.dataknobs,
        conditions,
        partitions,
        cursor: since.and_then(|since| since.until),
        notes,
        batch: open.batch,
        repeatable: open.repeatable,
    }))
}

/// All conditions of the documents of a shard.
fn conditions_of(shard: &Shard, conditions: &[Json]) -> Vec<Json> {
    let alias = shard.index.filter.iter();
    alias.chain(conditions).cloned().collect()
}

/// Counts the documents of a shard, in a range of numbers.
fn count(
    moments: &Moments,
    conditions: &[Json],
    shard: &Shard,
    range: Option<(i64, i64)>,
) -> Result<Counted> {
    let mut conditions = conditions_of(shard, conditions);
    conditions.extend(range.map(|(after, until)| between(after, until)));
    moments.count(shard, &moments.of(shard)?, &conditions)
}

/// Shows the sample's documents to `each`.
fn look(moments: &Arc<Moments>, each: &mut dyn FnMut(&[u8])) -> Result<()> {
    let shards = &moments.shards[..moments.shards.len().min(SAMPLE_SHARDS)];
    let most = SAMPLE / shards.len().max(1);
    let (everything, whole): (Arc<[Json]>, _) = (Arc::from([]), Arc::new(json!(true)));
    let mut bytes = 0;
    for shard in shards {
        let moment = moments.of(shard)?;
        let mut pages = Pages::new(
            moments,
            shard,
            &moment,
            (&everything, &whole),
            (-1, i64::MAX),
        );
        let (mut hits, mut seen) = (VecDeque::new(), 0);
        while seen < most && bytes < SAMPLE_BYTES && pages.next(&mut hits)? {
            for hit in hits.drain(..).take(most - seen) {
                bytes += hit.source().len();
                seen += 1;
                each(hit.source());
            }
        }
    }
    Ok(())
}

/// The columns of a dataknobs store: those of its records.
fn store_columns(moments: &Arc<Moments>, open: &OpenSource) -> Result<Columns> {
    let mut inference = dkhost_core::dataknobs::Inference::new(dkhost_core::dataknobs::Form::Flat);
    let mut parts = knobs::Parts::default();
    look(moments, &mut |document| {
        // A record that cannot be read is refused when it is read, not here.
        if parts.split("", document).is_ok() {
            let _ = inference.flat(parts.data.as_bytes());
        }
    })?;
    Columns::of_store(inference.finish(), open)
}

/// What the plan says about what is read.
fn index_notes(moments: &Moments, indices: &[Arc<Index>]) -> Vec<String> {
    let mut notes = Vec::new();
    if let [_, _, ..] = indices {
        let names: Vec<&str> = indices
            .iter()
            .take(10)
            .map(|index| index.name.as_str())
            .collect();
        notes.push(format!(
            "{} indices are read: {}",
            indices.len(),
            names.join(", ")
        ));
    }
    let product = moments
        .client
        .product()
        .map(ToString::to_string)
        .unwrap_or_default();
    notes.push(format!("{product} shows each shard as it is now; a resumed run reads on by the numbers of its writes, and sees whether something unread was changed"));
    notes
}

impl Source for ElasticsearchSource {
    fn schema(&self) -> &Schema {
        &self.columns.schema
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self.partitions.clone())
    }

    fn fingerprint(&self, partitions: &[Partition]) -> Result<Json> {
        let named = |name: &str| {
            partitions
                .iter()
                .any(|partition| partition.slice["index"] == name)
        };
        let indices = self.moments.shards.iter().map(|shard| &shard.index);
        let told = indices.filter(|index| named(&index.name)).map(|index| {
            let definition = json!({"uuid": index.uuid, "fields": fields_hash(&index.mappings)});
            (index.name.clone(), definition)
        });
        Ok(Json::Object(told.collect()))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    fn estimate(&self) -> Estimate {
        let count = |partition: &Partition| partition.slice["count"].as_u64();
        Estimate {
            records: self.partitions.iter().map(count).sum(),
            bytes: None,
        }
    }

    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let slice = Slice::deserialize(&partition.slice).map_err(|cause| {
            indices::changed("the partition is not one of an index".to_owned()).caused_by(cause)
        })?;
        let shard = self
            .moments
            .shard(&slice.index, slice.shard)
            .filter(|shard| shard.index.uuid == slice.uuid);
        let shard = shard.ok_or_else(|| {
            indices::changed(format!(
                "index {} is not the one the run began to read",
                slice.index
            ))
        })?;
        let plan = Plan {
            moments: Arc::clone(&self.moments),
            conditions: conditions_of(&shard, &self.conditions).into(),
            shard,
            slice,
            wanted: Arc::new(self.columns.wanted.clone()),
            limits: self.batch,
            repeatable: self.repeatable,
        };
        let documents = Documents::new(&self.columns, self.dataknobs);
        Ok(Box::new(Reader::open(plan, documents, from)?))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        Documents::new(&self.columns, self.dataknobs).decode(letters)
    }
}

/// The same for the same mapping.
fn fields_hash(mappings: &Json) -> String {
    // Members come in an order of the server's, which is not always the same.
    fn sorted(value: &Json) -> Json {
        match value {
            Json::Object(members) => {
                let members: BTreeMap<&String, Json> = members
                    .iter()
                    .map(|(name, value)| (name, sorted(value)))
                    .collect();
                members
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value))
                    .collect()
            }
            other => other.clone(),
        }
    }
    let digest = Sha256::digest(sorted(&mappings["properties"]).to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
