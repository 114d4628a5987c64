//! Refused records, kept with everything needed to see why and to try again.

use std::sync::Arc;

use dkhost_core::dead_letter::{MESSAGE_MAX_BYTES, PAYLOAD_MAX_BYTES};
use dkhost_core::source::Estimate;
use dkhost_core::{
    Batch, BatchReader, BatchSize, DeadLetter, Error, Locator, Partition, Payload, Position,
    Reject, Result, Schema, Source, SourceRows,
};
use sha2::{Digest, Sha256};

use crate::history::{History, Letter, OpenLetter, OpenLetters};
use crate::job::Job;
use crate::plan::hash::hexadecimal;
use crate::plan::{Plan, PlannedStage, Purpose};
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
    let retried = batch.source.retried(row);
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
        attempts: retried.map_or(1, |(_, attempts)| attempts.saturating_add(1)),
        repeats: retried.map(|(number, _)| number),
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

/// Brings the open dead letters of a job (of one run, if given) into its target.
///
/// It is a run of its own, of kind `retry`, with checkpoints and dead letters like any other. What
/// gets in is resolved by it; what is refused again is a dead letter of the retry that names the
/// old one, and the old one stays open with it.
///
/// *Shape* – `None` when there is nothing to retry.
/// *Errors* – `retry::remembers` if a step would have to know what was written before.
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
    let mut plan = Plan::make(job, registry, Purpose::Retry)?;
    let open = OpenLetters {
        job: &plan.job.name,
        run,
        except: unfinished.as_deref(),
        limit: RETRY_MAX_LETTERS,
    };
    let letters = Letters::open(history, open, plan.source, plan.job.run.batch)?;
    let numbers = letters.numbers();
    if numbers.is_empty() {
        return Ok(None);
    }
    refuse_memories(&plan.stages)?;
    plan.partitions = letters.partitions()?;
    plan.source = Box::new(letters);
    plan.job.source.limit = None;
    crate::run::run_resolving(&plan, history, options, numbers).map(Some)
}

/// Refuses steps whose answer depends on records that a retry does not read.
fn refuse_memories(stages: &[PlannedStage]) -> Result<()> {
    match stages.iter().find(|stage| stage.step.remembers()) {
        None => Ok(()),
        Some(stage) => Err(Error::config(
            "retry::remembers",
            format!(
                "stage `{}` compares records with those before them, which a retry does not read",
                stage.name
            ),
        )
        .help("mend the source and run the whole job again, or take `unique` out of the schema and let the target's own key refuse what is there")),
    }
}

/// How many letters one retry takes; the next one takes the rest.
pub const RETRY_MAX_LETTERS: u32 = 100_000;

/// Open dead letters as a source: what `dkhost errors retry` reads.
///
/// Which letters is fixed by their numbers when the retry begins, and none is resolved before it
/// ends, so that an interrupted retry reads the same letters again. Their payloads are read from
/// the history a batch at a time.
pub struct Letters {
    history: History,
    source: Arc<dyn Source>,
    letters: Arc<[OpenLetter]>,
    size: BatchSize,
}

impl Letters {
    /// The open letters of a job, to be decoded by the source they came from.
    ///
    /// *Errors* – `errors::payload_cut` names a letter too long to have been kept whole.
    pub fn open(
        history: &History,
        open: OpenLetters<'_>,
        source: Box<dyn Source>,
        size: BatchSize,
    ) -> Result<Self> {
        let letters = history.open_letters(open)?;
        if let Some(cut) = letters.iter().find(|letter| letter.kept != letter.length) {
            let OpenLetter {
                number,
                kept,
                length,
            } = cut;
            return Err(Error::data(
                "errors::payload_cut",
                format!("dead letter {number} holds only the first {kept} of {length} bytes"),
            )
            .help("mend the record in its source and run the job again"));
        }
        Ok(Letters {
            history: history.clone(),
            source: source.into(),
            letters: letters.into(),
            size,
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
        Ok(Box::new(Reading {
            history: self.history.clone(),
            source: self.source.clone(),
            letters: self.letters.clone(),
            size: self.size,
            next: from.0.as_u64().unwrap_or(0) as usize,
        }))
    }

    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        self.source.decode(letters)
    }
}

/// Reads letters a batch at a time.
struct Reading {
    history: History,
    source: Arc<dyn Source>,
    letters: Arc<[OpenLetter]>,
    size: BatchSize,
    next: usize,
}

impl Reading {
    /// How many letters the next batch takes: bounded by bytes first, and one at least.
    fn fitting(&self) -> usize {
        let mut bytes = 0;
        let left = self.letters.iter().skip(self.next).take(self.size.rows);
        let fitting = left.take_while(|letter| {
            bytes += letter.kept as usize;
            bytes <= self.size.bytes
        });
        fitting.count().max(1)
    }
}

impl BatchReader for Reading {
    fn next(&mut self) -> Result<Option<Batch>> {
        if self.next >= self.letters.len() {
            return Ok(None);
        }
        let until = (self.next + self.fitting()).min(self.letters.len());
        let wanted = &self.letters[self.next..until];
        let numbers: Vec<i64> = wanted.iter().map(|letter| letter.number).collect();
        let letters = self.history.letters_numbered(&numbers)?;
        if letters.len() != numbers.len() {
            return Err(Error::state(
                "state::corrupt",
                "dead letters that this retry takes are no longer in the history",
            )
            .help(
                "something else changed the history; run the job again to find what is refused",
            ));
        }
        let payloads: Vec<DeadLetter> = letters.iter().map(|one| one.letter.clone()).collect();
        let mut batch = self.source.decode(&payloads)?;
        batch.source = Arc::new(LetterRows(letters));
        batch.until = Position(serde_json::json!(until));
        self.next = until;
        Ok(Some(batch))
    }
}

/// Letters keep the place and the bytes they were first read with.
#[derive(Debug)]
struct LetterRows(Vec<Letter>);

impl SourceRows for LetterRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn locator(&self, row: usize) -> Locator {
        self.0[row].letter.locator.clone()
    }

    fn payload(&self, row: usize) -> Payload {
        let letter = &self.0[row].letter;
        let media = match letter.media.as_str() {
            "csv" => "csv",
            "text" => "text",
            _ => "json",
        };
        Payload {
            bytes: letter.payload.clone(),
            media,
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.0[row].letter.source_id.clone()
    }

    fn retried(&self, row: usize) -> Option<(i64, u32)> {
        Some((self.0[row].number, self.0[row].letter.attempts))
    }

    fn memory_bytes(&self) -> usize {
        self.0.iter().map(|one| one.letter.payload.len()).sum()
    }
}
