//! A run against a sink, step by step, and what became of its rows as text.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Batch, Checkpoint, Claim, Locator, Outcome, Outcomes, Partition, Payload, Position, Result,
    RowReject, Sink, SourceRows, WriteReport, Writer, json,
};

/// A claimed target and a writer of its first partition.
pub struct Run {
    // Dropped first: a writer does not outlive its sink.
    /// Of partition 0.
    pub writer: Box<dyn Writer>,
    /// The target.
    pub sink: Box<dyn Sink>,
    /// The last one that was committed.
    pub checkpoint: Checkpoint,
}

impl Run {
    /// Claims for run number `run` of the job `job` and opens partition 0.
    pub fn start(sink: Box<dyn Sink>, run: u32) -> Self {
        Run::over(sink, run, 0)
    }

    /// As [`Run::start`], when at least this epoch has been seen.
    pub fn over(sink: Box<dyn Sink>, run: u32, epoch_floor: u64) -> Self {
        let claim = Claim {
            job: "job".into(),
            run: format!("run {run}"),
            plan_hash: "hash".into(),
            epoch_floor,
        };
        let claimed = sink.claim(&claim).unwrap();
        let writer = sink.writer(&partition(0)).unwrap();
        let start = || Checkpoint::start("job", &claim.run, claimed.epoch, "hash", 0);
        let mut checkpoint = writer.checkpoint().cloned().unwrap_or_else(start);
        checkpoint.epoch = claimed.epoch;
        Run {
            writer,
            sink,
            checkpoint,
        }
    }

    /// Stages rows as one batch.
    pub fn write(&mut self, records: &RecordBatch) -> WriteReport {
        self.try_write(records).unwrap()
    }

    /// Stages rows as one batch.
    ///
    /// *Errors* – the writer's.
    pub fn try_write(&mut self, records: &RecordBatch) -> Result<WriteReport> {
        self.writer.write(&batch(records.clone()))
    }

    /// Commits what is staged.
    pub fn commit(&mut self) {
        self.try_commit().unwrap();
    }

    /// Commits what is staged; after an error the checkpoint is the one before it.
    ///
    /// *Errors* – the writer's.
    pub fn try_commit(&mut self) -> Result<()> {
        let next = Checkpoint {
            seq: self.checkpoint.seq + 1,
            ..self.checkpoint.clone()
        };
        self.writer.commit(&next)?;
        self.checkpoint = next;
        Ok(())
    }

    /// Publishes and forgets the run.
    pub fn finish(self) {
        let Run { writer, sink, .. } = self;
        drop(writer);
        sink.publish().unwrap();
        sink.retire().unwrap();
    }
}

/// Part number `index`, of no slice.
pub fn partition(index: u32) -> Partition {
    Partition {
        index,
        label: format!("part {index}"),
        slice: serde_json::Value::Null,
    }
}

/// A batch of these rows, from nowhere.
pub fn batch(records: RecordBatch) -> Batch {
    Batch {
        source: Arc::new(Nowhere(records.num_rows())),
        records,
        origin: None,
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

#[derive(Debug)]
struct Nowhere(usize);

impl SourceRows for Nowhere {
    fn len(&self) -> usize {
        self.0
    }

    fn locator(&self, _row: usize) -> Locator {
        Locator::of([])
    }

    fn payload(&self, _row: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "json",
        }
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

/// All that a target reads back, as JSON lines in some order.
pub fn scan(sink: &dyn Sink) -> Vec<String> {
    let mut lines = Vec::new();
    sink.scan(&mut |records| {
        lines.extend((0..records.num_rows()).map(|row| json::row(&records, row)));
        Ok(())
    })
    .unwrap();
    lines.sort();
    lines
}

/// Outcomes of `rows` rows in a letter each: written, unchanged, deduplicated, rejected (x).
pub fn fates(report: &WriteReport, rows: usize) -> String {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Written => 'w',
        Outcome::Unchanged => 'u',
        Outcome::Deduplicated => 'd',
        Outcome::Rejected => 'x',
    };
    match &report.outcomes {
        Outcomes::AllWritten => "w".repeat(rows),
        Outcomes::Each(each) => each.iter().map(letter).collect(),
    }
}

/// Why rows were refused, a line each: row, code, column, message.
pub fn whys(report: &WriteReport) -> Vec<String> {
    let line = |reject: &RowReject| {
        let column = reject.column.as_deref().unwrap_or("-");
        format!(
            "{} {} {column}: {}",
            reject.row, reject.code, reject.message
        )
    };
    report.rejects.iter().map(line).collect()
}
