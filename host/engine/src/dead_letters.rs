//! Refused records, kept with everything needed to see why and to try again.

use std::sync::Arc;

use dkhost_core::dead_letter::{MESSAGE_MAX_BYTES, PAYLOAD_MAX_BYTES};
use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, DeadLetter, Error, Locator, Partition, Payload, Position, Reject, Result,
    Schema, Source, SourceRows,
};
use sha2::{Digest, Sha256};

use crate::history::{History, Letter, LetterFilter};
use crate::job::Job;
use crate::plan::hash::hexadecimal;
use crate::plan::{Plan, Purpose};
use crate::registry::Registry;
use crate::run::{Ended, RunOptions};

/// Where a batch stands in its run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The run's id.
    pub run: &'a str,
    /// The partition.
    pub partition: u32,
    /// Sequence number of the batch in it.
    pub batch: u64,
}

/// The dead letter of a reject.
pub fn letter(
    place: Place<'_>,
    batch: &Batch,
    reject: &Reject,
    plugin_digest: Option<String>,
) -> DeadLetter {
    let row = reject.source_row as usize;
    let Payload { mut bytes, media } = batch.source.payload(row);
    let length = bytes.len() as u64;
    let sha256 = hexadecimal(&Sha256::digest(&bytes));
    bytes.truncate(PAYLOAD_MAX_BYTES);
    DeadLetter {
        job: place.job.to_owned(),
        run: place.run.to_owned(),
        partition: place.partition,
        batch: place.batch,
        row: reject.source_row,
        source_id: batch.source.id(row),
        locator: batch.source.locator(row),
        kind: reject.kind,
        stage: reject.stage.clone(),
        column: reject.column.clone(),
        code: reject.code.clone(),
        message: shortened(&reject.message),
        plugin_digest,
        payload: bytes,
        media: media.to_owned(),
        payload_length: length,
        payload_sha256: sha256,
    }
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_MAX_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// Unresolved dead letters as a source: what `dkhost errors retry` reads.
///
/// The letters are fixed by their first and last number when the retry begins, and none is
/// resolved before it ends, so that an interrupted retry reads the same letters again.
pub struct Letters {
    source: Box<dyn Source>,
    letters: Arc<[Letter]>,
    rows: usize,
}

/// Brings the unresolved dead letters of a job (of one run, if given) into its target.
///
/// It is a run of its own, of kind `retry`, with checkpoints and dead letters like any other: what
/// is refused again is a dead letter of the retry, and the old one counts as resolved by it.
///
/// *Shape* – `None` when there is nothing to retry.
pub fn retry(
    job: Job,
    registry: &Registry,
    history: &History,
    run: Option<&str>,
    options: &RunOptions<'_>,
) -> Result<Option<Ended>> {
    let unfinished = history
        .unfinished(&job.name)?
        .filter(|run| run.kind == options.kind)
        .map(|run| run.id);
    let rows = job.run.batch.rows;
    let mut plan = Plan::make(job, registry, Purpose::Retry)?;
    let letters = Letters::open(
        history,
        &plan.job.name,
        run,
        unfinished.as_deref(),
        plan.source,
        rows,
    )?;
    let numbers = letters.numbers();
    if numbers.is_empty() {
        return Ok(None);
    }
    plan.partitions = letters.partitions()?;
    plan.source = Box::new(letters);
    plan.job.source.limit = None;
    crate::run::run_resolving(&plan, history, options, numbers).map(Some)
}

/// How many letters one retry takes; the next one takes the rest.
pub const RETRY_MAX_LETTERS: u32 = 100_000;

impl Letters {
    /// The unresolved letters of a job, to be decoded by the source they came from. With `run`
    /// given, that run's only. Letters of the retry `except` itself are left out.
    pub fn open(
        history: &History,
        job: &str,
        run: Option<&str>,
        except: Option<&str>,
        source: Box<dyn Source>,
        rows: usize,
    ) -> Result<Self> {
        let filter = LetterFilter {
            run,
            unresolved: true,
            limit: RETRY_MAX_LETTERS,
            ..LetterFilter::default()
        };
        let letters: Vec<Letter> = history
            .letters(filter)?
            .into_iter()
            .filter(|letter| letter.letter.job == job && Some(letter.letter.run.as_str()) != except)
            .collect();
        if let Some(cut) = letters
            .iter()
            .find(|letter| letter.letter.payload.len() as u64 != letter.letter.payload_length)
        {
            return Err(Error::data(
                "errors::payload_cut",
                format!(
                    "dead letter {} holds only the first {} of {} bytes",
                    cut.number,
                    cut.letter.payload.len(),
                    cut.letter.payload_length
                ),
            )
            .help("mend the record in its source and run the job again"));
        }
        Ok(Letters {
            source,
            letters: letters.into(),
            rows,
        })
    }

    /// The letters' numbers.
    pub fn numbers(&self) -> Vec<i64> {
        self.letters.iter().map(|letter| letter.number).collect()
    }
}

impl Source for Letters {
    fn schema(&self) -> &Schema {
        self.source.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let label = format!("{} dead letters", self.letters.len());
        Ok(vec![Partition {
            index: 0,
            label,
            slice: serde_json::json!(self.numbers()),
        }])
    }

    fn fingerprint(&self, _partitions: &[Partition]) -> Result<serde_json::Value> {
        Ok(serde_json::json!({ "letters": self.numbers() }))
    }

    fn notes(&self) -> Vec<String> {
        self.source.notes()
    }

    fn estimate(&self) -> Estimate {
        Estimate {
            records: Some(self.letters.len() as u64),
            bytes: None,
        }
    }

    fn read(&self, _partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        // A retry decodes its letters first; nothing else of the source is read.
        let next = from.0.as_u64().unwrap_or(0) as usize;
        let mut batches = Vec::new();
        for (chunk, start) in self.letters.chunks(self.rows).zip((0..).step_by(self.rows)) {
            if start + chunk.len() <= next {
                continue;
            }
            let chunk = &chunk[next.saturating_sub(start)..];
            let letters: Vec<DeadLetter> =
                chunk.iter().map(|letter| letter.letter.clone()).collect();
            let mut batch = self.source.decode(&letters)?;
            batch.source = Arc::new(LetterRows(letters));
            batch.until = Position(serde_json::json!(start.max(next) + chunk.len()));
            batches.push(batch);
        }
        Ok(Box::new(Decoded(batches.into_iter())))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        self.source.decode(letters)
    }
}

struct Decoded(std::vec::IntoIter<Batch>);

impl BatchReader for Decoded {
    fn next(&mut self) -> Result<Option<Batch>> {
        Ok(self.0.next())
    }
}

/// Letters keep the place and the bytes they were first read with.
#[derive(Debug)]
struct LetterRows(Vec<DeadLetter>);

impl SourceRows for LetterRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.0[row].locator.clone()
    }

    fn payload(&self, row: usize) -> Payload {
        let media = match self.0[row].media.as_str() {
            "csv" => "csv",
            "text" => "text",
            _ => "json",
        };
        Payload {
            bytes: self.0[row].payload.clone(),
            media,
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.0[row].source_id.clone()
    }

    fn memory_bytes(&self) -> usize {
        self.0.iter().map(|letter| letter.payload.len()).sum()
    }
}
