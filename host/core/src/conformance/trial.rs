//! One target at one place: what the engine does with it, step by step.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde_json::json;

use super::compare::{documents, same_documents};
use super::{Failure, Fixture, Place, Verdict};
use crate::backend::{BatchSize, Nulls, OpenSource, OpenTarget};
use crate::{
    Batch, Checkpoint, Claim, Claimed, Conflict, ContentSum, Error, Locator, Options, Outcome,
    Outcomes, Partition, Payload, Position, Result, Role, Schema, Sink, Source, SourceRows,
    WriteReport, Writer,
};

pub(super) const JOB: &str = "conformance";
const PLAN_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A run on a place.
pub(super) struct Trial<'a> {
    pub fixture: &'a dyn Fixture,
    pub place: Place,
    pub schema: Schema,
    pub conflict: Conflict,
    pub run: String,
}

/// A writer and where it stands.
pub(super) struct Open {
    // Dropped first: a writer must not outlive its sink.
    pub writer: Box<dyn Writer>,
    pub sink: Box<dyn Sink>,
    pub checkpoint: Checkpoint,
}

pub(super) fn partition(index: u32) -> Partition {
    Partition {
        index,
        label: format!("part {index}"),
        slice: json!({"part": index}),
    }
}

pub(super) fn options(section: &str, value: &serde_json::Value) -> Result<Options> {
    Options::from_json(section, value)
}

impl<'a> Trial<'a> {
    /// A first run at a fresh place.
    pub fn new(fixture: &'a dyn Fixture, schema: &Schema) -> Self {
        Trial::at(fixture, fixture.place(), schema, Conflict::Insert, 1)
    }

    /// Run number `run` at a place.
    pub fn at(
        fixture: &'a dyn Fixture,
        place: Place,
        schema: &Schema,
        conflict: Conflict,
        run: u32,
    ) -> Self {
        let run = format!("00000000-0000-7000-8000-{run:012}");
        Trial {
            fixture,
            place,
            schema: schema.clone(),
            conflict,
            run,
        }
    }

    pub fn open_target(&self) -> Result<Box<dyn Sink>> {
        let open = OpenTarget {
            base: self.place.base.clone(),
            job: JOB.to_owned(),
            schema: self.schema.clone(),
            conflict: self.conflict,
            create: true,
            nulls: Nulls::Keep,
            content: true,
            reshape: None,
        };
        self.fixture
            .backend()
            .open_target(options("[target]", &self.place.target)?, &open)
    }

    pub fn claim(&self, sink: &dyn Sink, floor: u64) -> Result<Claimed> {
        sink.claim(&Claim {
            job: JOB.to_owned(),
            run: self.run.clone(),
            plan_hash: PLAN_HASH.to_owned(),
            epoch_floor: floor,
        })
    }

    /// Opens, claims above `floor` and opens partition `part`, where its checkpoint says.
    pub fn start(&self, floor: u64, part: u32) -> Result<Open, Failure> {
        let sink = self.open_target()?;
        let claimed = self.claim(sink.as_ref(), floor)?;
        if claimed.epoch <= floor {
            return Err(Failure(format!(
                "epoch {} does not exceed {floor}",
                claimed.epoch
            )));
        }
        self.resume(sink, claimed.epoch, part)
    }

    /// Opens a partition of a claimed target.
    pub fn resume(&self, sink: Box<dyn Sink>, epoch: u64, part: u32) -> Result<Open, Failure> {
        let writer = sink.writer(&partition(part))?;
        let start = || Checkpoint::start(JOB, &self.run, epoch, PLAN_HASH, part);
        let mut checkpoint = writer.checkpoint().cloned().unwrap_or_else(start);
        checkpoint.epoch = epoch;
        Ok(Open {
            writer,
            sink,
            checkpoint,
        })
    }

    /// A whole run: every batch written and committed, then published and retired.
    pub fn load(&self, batches: &[RecordBatch]) -> Result<Vec<WriteReport>, Failure> {
        let mut open = self.start(0, 0)?;
        let mut reports = Vec::new();
        for records in batches {
            reports.push(open.write(records)?);
            open.commit(false)?;
        }
        open.finish()?;
        Ok(reports)
    }

    /// Opens what was published as a source.
    pub fn open_source(&self, adapt: impl FnOnce(&mut OpenSource)) -> Result<Box<dyn Source>> {
        let mut open = OpenSource {
            base: self.place.base.clone(),
            batch: BatchSize::default(),
            partitions: 1,
            ..OpenSource::default()
        };
        adapt(&mut open);
        let value = self.fixture.source(&self.place, &self.schema);
        self.fixture
            .backend()
            .open_source(options("[source]", &value)?, &open)
    }

    /// Every row a reader sees now, in the order of the source.
    pub fn read(&self) -> Result<(Schema, Vec<RecordBatch>), Failure> {
        self.read_as(|_| ())
    }

    /// Every row a source opened this way sees; without the ids and types that a store of named records
    /// tells on its own.
    pub fn read_as(
        &self,
        adapt: impl FnOnce(&mut OpenSource),
    ) -> Result<(Schema, Vec<RecordBatch>), Failure> {
        let source = self.open_source(adapt)?;
        let mut schema = source.schema().clone();
        let given: Vec<usize> = [Role::Id, Role::Meta]
            .into_iter()
            .filter(|role| self.fixture.traits().named && self.schema.role(*role).is_none())
            .filter_map(|role| schema.role(role))
            .collect();
        let kept: Vec<usize> = (0..schema.fields.len())
            .filter(|index| !given.contains(index))
            .collect();
        schema.fields = kept
            .iter()
            .map(|index| schema.fields[*index].clone())
            .collect();
        let mut batches = Vec::new();
        for partition in source.partitions()? {
            let mut reader = source.read(&partition, &Position::start())?;
            while let Some(batch) = reader.next()? {
                if let Some(reject) = batch.rejects.first() {
                    return Err(Failure(format!(
                        "the source rejects a row: {}",
                        reject.message
                    )));
                }
                batches.push(batch.records.project(&kept)?);
            }
        }
        Ok((schema, batches))
    }

    /// A reader sees these rows and no others; in their order where the backend has one and the
    /// rows were written in it.
    pub fn reads_as(&self, when: &str, expected: &[RecordBatch], in_order: bool) -> Verdict {
        let (schema, found) = self.read()?;
        let (expected, found) = (
            documents(&self.schema, expected)?,
            documents(&schema, &found)?,
        );
        let ordered = in_order && self.fixture.traits().ordered;
        same_documents(when, &expected, &found, ordered, Nulls::Omit)
    }
}

impl Open {
    /// Stages a batch and moves the checkpoint on; it is committed by [`Open::commit`].
    pub fn write(&mut self, records: &RecordBatch) -> Result<WriteReport, Failure> {
        let seq = self.checkpoint.seq;
        let report = self.writer.write(&batch(records.clone(), seq))?;
        let outcomes = outcomes(&report, records.num_rows());
        let count = |outcome| outcomes.iter().filter(|o| **o == outcome).count() as u64;
        let counts = &mut self.checkpoint.counts;
        counts.read += outcomes.len() as u64;
        counts.written += count(Outcome::Written);
        counts.rows_written += count(Outcome::Written);
        counts.unchanged += count(Outcome::Unchanged);
        counts.deduplicated += count(Outcome::Deduplicated);
        counts.skipped += count(Outcome::Rejected);
        let kept: arrow::array::BooleanArray = outcomes
            .iter()
            .map(|outcome| Some(*outcome == Outcome::Written))
            .collect();
        self.checkpoint.sent +=
            ContentSum::of(&arrow::compute::filter_record_batch(records, &kept)?)?;
        self.checkpoint.replaced += report.replaced;
        self.checkpoint.replaced_rows += report.replaced_rows;
        Ok(report)
    }

    pub fn commit(&mut self, done: bool) -> Verdict {
        self.checkpoint.seq += 1;
        self.checkpoint.position = Position(json!({"batch": self.checkpoint.seq}));
        self.checkpoint.done = done;
        self.writer.commit(&self.checkpoint)?;
        Ok(())
    }

    /// The last checkpoint of the partition, then publish and retire.
    pub fn finish(mut self) -> Verdict {
        self.commit(true)?;
        self.writer.flush()?;
        drop(self.writer);
        self.sink.publish()?;
        self.sink.retire()?;
        Ok(())
    }

    /// Every row the target holds.
    pub fn scan(&self) -> Result<Vec<RecordBatch>, Failure> {
        scan(self.sink.as_ref())
    }
}

pub(super) fn scan(sink: &dyn Sink) -> Result<Vec<RecordBatch>, Failure> {
    let mut all = Vec::new();
    sink.scan(&mut |records| {
        all.push(records);
        Ok(())
    })?;
    let rows: usize = all.iter().map(RecordBatch::num_rows).sum();
    let counted = sink.count()?;
    if counted != rows as u64 {
        return Err(Failure(format!(
            "the target counts {counted} rows and scans {rows}"
        )));
    }
    Ok(all)
}

/// What became of every row.
pub(super) fn outcomes(report: &WriteReport, rows: usize) -> Vec<Outcome> {
    match &report.outcomes {
        Outcomes::AllWritten => vec![Outcome::Written; rows],
        Outcomes::Each(each) => each.clone(),
    }
}

/// The code of an error; a failure if there is none.
pub(super) fn refused<T>(what: &str, result: Result<T>) -> Result<Error, Failure> {
    match result {
        Ok(_) => Err(Failure(format!("{what} was not refused"))),
        Err(error) => Ok(error),
    }
}

pub(super) fn batch(records: RecordBatch, seq: u64) -> Batch {
    let source = Rows {
        seq,
        rows: records.num_rows(),
    };
    Batch {
        records,
        origin: None,
        source: Arc::new(source),
        rejects: Vec::new(),
        until: Position(json!({"batch": seq + 1})),
        source_bytes: 0,
    }
}

/// Source records of no source.
#[derive(Debug)]
struct Rows {
    seq: u64,
    rows: usize,
}

impl SourceRows for Rows {
    fn len(&self) -> usize {
        self.rows
    }

    fn locator(&self, row: usize) -> Locator {
        Locator::of([("batch", json!(self.seq)), ("row", json!(row))])
    }

    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: format!("{{\"row\":{row}}}").into_bytes(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
