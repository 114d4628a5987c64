//! The memory backend with one fault.

use arrow::array::RecordBatch;
use serde_json::json;

use crate::memory::Memory;
use crate::{
    Backend, Batch, BatchReader, Capabilities, Checkpoint, Claim, Claimed, DeadLetter, Durable,
    Field, Locator, OpenSource, OpenTarget, OptionSpec, Options, Outcome, Outcomes, Partition,
    Payload, Position, Result, Schema, Sink, Source, SourceRows, TargetPlan, TargetState,
    WriteReport, Writer,
};

/// What is wrong with the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LosesLastRow,
    ForgetsCheckpoint,
    NeverFences,
    KeepsRolledBack,
    ReadsBackNothing,
    HidesRejects,
    MiscountsReplaced,
    SkipsRecordOnResume,
    BatchesTooLarge,
    CallsEverythingLossy,
    CannotEvolveSilently,
    PublishedIsForgotten,
    RoundsFloats,
    DropsTheRest,
    SwallowsRefusals,
    BlamesTheNeighbour,
    CutsPayloads,
    ForgetsRefusalsOnResume,
    AcceptsLettersSilently,
    TakesNeighboursAlong,
    RefusesSilently,
    LosesAddedColumnOnResume,
    TakesTheRestSilently,
}

pub(super) struct Faulty(pub Fault);

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }
    fn summary(&self) -> &'static str {
        ""
    }
    fn source_options(&self) -> &'static [OptionSpec] {
        Memory.source_options()
    }
    fn target_options(&self) -> &'static [OptionSpec] {
        Memory.target_options()
    }
    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        Memory.target_capabilities(options)
    }
    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        let mut open = open.clone();
        if self.0 == Fault::BatchesTooLarge {
            open.batch.rows *= 2;
        }
        Ok(Box::new(FaultySource(
            self.0,
            Memory.open_source(options, &open)?,
        )))
    }
    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        let mut options = options;
        if self.0 == Fault::TakesTheRestSilently {
            options.take::<bool>("documents")?;
        }
        let sink = Memory.open_target(options, open)?;
        let mut plan = sink.plan().clone();
        if self.0 == Fault::CallsEverythingLossy {
            plan.columns
                .iter_mut()
                .for_each(|column| column.lossy = Some("who knows".to_owned()));
        }
        Ok(Box::new(FaultySink(self.0, sink, plan)))
    }
}

struct FaultySource(Fault, Box<dyn Source>);

impl Source for FaultySource {
    fn schema(&self) -> &Schema {
        self.1.schema()
    }
    fn partitions(&self) -> Result<Vec<Partition>> {
        self.1.partitions()
    }
    fn fingerprint(&self, partitions: &[Partition]) -> Result<serde_json::Value> {
        self.1.fingerprint(partitions)
    }
    fn notes(&self) -> Vec<String> {
        self.1.notes()
    }
    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let mut from = from.clone();
        if self.0 == Fault::SkipsRecordOnResume && !from.is_start() {
            let record = from.0["record"].as_u64().unwrap_or(0);
            from.0["record"] = json!((record + 1).min(partition.slice["to"].as_u64().unwrap_or(0)));
        }
        Ok(Box::new(FaultyReader {
            fault: self.0,
            resumed: !from.is_start(),
            inner: self.1.read(partition, &from)?,
        }))
    }
    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        let mut batch = self.1.decode(letters)?;
        if self.0 == Fault::AcceptsLettersSilently {
            batch.rejects.clear();
        }
        Ok(batch)
    }
}

struct FaultyReader {
    fault: Fault,
    resumed: bool,
    inner: Box<dyn BatchReader>,
}

impl BatchReader for FaultyReader {
    fn next(&mut self) -> Result<Option<Batch>> {
        let Some(mut batch) = self.inner.next()? else {
            return Ok(None);
        };
        match self.fault {
            Fault::DropsTheRest => batch.records = without_rest(&batch.records)?,
            Fault::SwallowsRefusals => batch.rejects.clear(),
            Fault::ForgetsRefusalsOnResume if self.resumed => batch.rejects.clear(),
            Fault::BlamesTheNeighbour if batch.rejects.len() == 1 && batch.source.len() == 2 => {
                let blamed = batch.rejects[0].source_row;
                batch.rejects[0].source_row = 1 - blamed;
                batch.origin = Some([blamed].into());
            }
            Fault::CutsPayloads => batch.source = std::sync::Arc::new(Cut(batch.source)),
            _ => (),
        }
        Ok(Some(batch))
    }
}

/// The records without what no column holds.
fn without_rest(records: &RecordBatch) -> Result<RecordBatch> {
    let rest = Schema::from_arrow(&records.schema())?.role(crate::Role::Rest);
    let mut columns = records.columns().to_vec();
    if let Some(rest) = rest {
        columns[rest] = arrow::array::new_null_array(columns[rest].data_type(), records.num_rows());
    }
    Ok(RecordBatch::try_new(records.schema(), columns)?)
}

/// Source records that lost their last byte.
#[derive(Debug)]
struct Cut(std::sync::Arc<dyn SourceRows>);

impl SourceRows for Cut {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn locator(&self, row: usize) -> Locator {
        self.0.locator(row)
    }
    fn payload(&self, row: usize) -> Payload {
        let mut payload = self.0.payload(row);
        payload.bytes.pop();
        payload
    }
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

struct FaultySink(Fault, Box<dyn Sink>, TargetPlan);

impl Sink for FaultySink {
    fn plan(&self) -> &TargetPlan {
        &self.2
    }
    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let state = self.1.inspect(job)?;
        Ok(state.filter(|state| !(state.published && self.0 == Fault::PublishedIsForgotten)))
    }
    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.1.claim(claim)
    }
    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        let inner = self.1.writer(partition)?;
        Ok(Box::new(FaultyWriter {
            fault: self.0,
            resumed: inner.checkpoint().is_some(),
            inner,
            fenced: false,
        }))
    }
    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        self.1.scan(each)
    }
    fn publish(&self) -> Result<()> {
        self.1.publish()
    }
    fn retire(&self) -> Result<()> {
        self.1.retire()
    }
}

struct FaultyWriter {
    fault: Fault,
    inner: Box<dyn Writer>,
    resumed: bool,
    fenced: bool,
}

impl Writer for FaultyWriter {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.inner
            .checkpoint()
            .filter(|_| self.fault != Fault::ForgetsCheckpoint)
    }
    fn write(&mut self, batch: &Batch) -> Result<WriteReport> {
        let mut batch = batch.clone();
        let rows = batch.records.num_rows();
        if self.fault == Fault::LosesLastRow && rows > 1 {
            batch.records = batch.records.slice(0, rows - 1);
        }
        let loses = match self.fault {
            Fault::CannotEvolveSilently => true,
            Fault::LosesAddedColumnOnResume => self.resumed,
            _ => false,
        };
        if loses {
            batch.records = without_column(&batch.records, "extra")?;
        }
        if self.fault == Fault::RoundsFloats {
            batch.records = rounded(&batch.records)?;
        }
        let mut report = self.inner.write(&batch)?;
        match (self.fault, &mut report.outcomes) {
            (Fault::HidesRejects, Outcomes::Each(each)) => {
                each.iter_mut()
                    .for_each(|outcome| *outcome = Outcome::Written);
                report.rejects.clear();
            }
            (Fault::RefusesSilently, _) => report.rejects.clear(),
            (Fault::TakesNeighboursAlong, Outcomes::Each(each)) if !report.rejects.is_empty() => {
                each.iter_mut()
                    .for_each(|outcome| *outcome = Outcome::Rejected);
            }
            (Fault::MiscountsReplaced, _) => report.replaced_rows = 0,
            (Fault::LosesLastRow, Outcomes::Each(each)) => each.push(Outcome::Written),
            _ => (),
        }
        Ok(report)
    }
    fn read_back(&mut self) -> Result<RecordBatch> {
        let records = self.inner.read_back()?;
        Ok(if self.fault == Fault::ReadsBackNothing {
            records.slice(0, 0)
        } else {
            records
        })
    }
    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<Durable> {
        match self.inner.commit(checkpoint) {
            Err(error) if self.fault == Fault::NeverFences && error.code() == "run::fenced" => {
                self.fenced = true;
                Ok(Durable::Now)
            }
            result => result,
        }
    }
    fn roll_back(&mut self) -> Result<()> {
        if self.fault == Fault::KeepsRolledBack {
            Ok(())
        } else {
            self.inner.roll_back()
        }
    }
    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
    fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        self.inner.add_columns(columns)
    }
}

/// Nulls instead of what the column called `name` holds.
fn without_column(records: &RecordBatch, name: &str) -> Result<RecordBatch> {
    let mut columns = records.columns().to_vec();
    if let Ok(index) = records.schema().index_of(name) {
        columns[index] =
            arrow::array::new_null_array(columns[index].data_type(), records.num_rows());
    }
    Ok(RecordBatch::try_new(records.schema(), columns)?)
}

/// Floats with one digit after the point, as a careless text format would have them.
fn rounded(records: &RecordBatch) -> Result<RecordBatch> {
    use arrow::array::{ArrayRef, AsArray};
    use arrow::datatypes::Float64Type;
    let columns = records.columns().iter().map(|column| -> ArrayRef {
        match column.as_primitive_opt::<Float64Type>() {
            Some(floats) => {
                std::sync::Arc::new(floats.unary::<_, Float64Type>(|f| (f * 10.0).round() / 10.0))
            }
            None => column.clone(),
        }
    });
    Ok(RecordBatch::try_new(records.schema(), columns.collect())?)
}
