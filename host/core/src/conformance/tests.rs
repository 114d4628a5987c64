//! The suite finds what is wrong: a backend with one fault fails exactly where it should.

use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use serde_json::json;

use super::*;
use crate::memory::Memory;
use crate::{
    Batch, BatchReader, Capabilities, Checkpoint, Claim, Claimed, DeadLetter, Durable, Field,
    Locator, OpenSource, OpenTarget, OptionSpec, Options, Outcome, Outcomes, Partition, Payload,
    Position, Result, Sink, Source, SourceRows, TargetPlan, TargetState, WriteReport, Writer,
};

/// What is wrong with the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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

/// The strays as records of a memory source, where a number is no record.
pub(crate) fn in_memory(strays: &[Stray]) -> Planted {
    // The options of a job have no null.
    let text = |stray: &Stray| stray.document().unwrap_or("7");
    let held = |stray: &&Stray| !text(stray).contains("null");
    let texts: Vec<&str> = strays.iter().filter(held).map(text).collect();
    let records: serde_json::Value =
        serde_json::from_str(&format!("[{}]", texts.join(","))).unwrap();
    let found = strays.iter().map(|stray| match stray {
        Stray::Malformed => Found::Refused(b"7".to_vec()),
        stray if held(&stray) => Found::Whole,
        _ => Found::Nowhere,
    });
    Planted {
        base: "".into(),
        source: json!({"records": records, "fields": declared(), "infer": 1}),
        found: found.collect(),
        tells_nulls: true,
    }
}

struct Faulty(Fault);

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

struct Trials(Faulty, AtomicU32);

impl Fixture for Trials {
    fn backend(&self) -> &dyn Backend {
        &self.0
    }
    fn place(&self) -> Place {
        let next = self.1.fetch_add(1, Ordering::Relaxed);
        Place {
            base: "".into(),
            // A table that takes a rest has to be one without documents.
            target: json!({
                "name": format!("faulty {:?} {next}", self.0.0),
                "documents": self.0.0 != Fault::TakesTheRestSilently,
            }),
        }
    }
    fn source(&self, place: &Place, _schema: &Schema) -> serde_json::Value {
        json!({"name": place.target["name"]})
    }
    fn plant(&self, strays: &[Stray]) -> Planted {
        in_memory(strays)
    }
    fn traits(&self) -> Traits {
        Traits::default()
    }
}

#[test]
fn every_fault_is_found_by_the_case_that_is_there_for_it() {
    for (fault, case) in [
        (Fault::None, ""),
        (Fault::LosesLastRow, "exactly k batches come back in order"),
        (
            Fault::ForgetsCheckpoint,
            "a run killed at any batch resumes to the same content",
        ),
        (Fault::NeverFences, "an older epoch cannot commit"),
        (Fault::KeepsRolledBack, "a roll-back leaves nothing"),
        (
            Fault::ReadsBackNothing,
            "what was written is read back before the commit",
        ),
        (Fault::HidesRejects, "every conflict mode does what it says"),
        (
            Fault::MiscountsReplaced,
            "every conflict mode does what it says",
        ),
        (
            Fault::SkipsRecordOnResume,
            "reading from a position gives what is left",
        ),
        (
            Fault::BatchesTooLarge,
            "reading twice gives the same batches and locators",
        ),
        (
            Fault::CallsEverythingLossy,
            "every type and extreme comes back, or is refused",
        ),
        (Fault::CannotEvolveSilently, "columns are added, or refused"),
        (
            Fault::PublishedIsForgotten,
            "publish and retire can be repeated",
        ),
        (
            Fault::RoundsFloats,
            "every type and extreme comes back, or is refused",
        ),
        (
            Fault::DropsTheRest,
            "drifted records come whole, or are refused with their bytes",
        ),
        (
            Fault::SwallowsRefusals,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::BlamesTheNeighbour,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::CutsPayloads,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::ForgetsRefusalsOnResume,
            "positions around refused records are right",
        ),
        (
            Fault::AcceptsLettersSilently,
            "a refused record can be tried again",
        ),
        (
            Fault::TakesNeighboursAlong,
            "refused rows take no other along, also after a kill",
        ),
        (
            Fault::RefusesSilently,
            "refused rows take no other along, also after a kill",
        ),
        (
            Fault::LosesAddedColumnOnResume,
            "an added column is there after a roll-back and after a kill",
        ),
        (Fault::TakesTheRestSilently, "documents come back the same"),
    ] {
        let trials = Trials(Faulty(fault), AtomicU32::new(0));
        let failing: Vec<&str> = CASES
            .iter()
            .filter(|(_, run)| run(&trials).is_err())
            .map(|(name, _)| *name)
            .collect();
        match fault {
            Fault::None => assert_eq!(failing, [""; 0]),
            _ => assert!(failing.contains(&case), "{fault:?} is found by {failing:?}"),
        }
    }
}

#[test]
fn a_fixture_cannot_forget_or_invent_a_weakness() {
    struct Claims(Trials, Traits);
    impl Fixture for Claims {
        fn backend(&self) -> &dyn Backend {
            self.0.backend()
        }
        fn place(&self) -> Place {
            self.0.place()
        }
        fn source(&self, place: &Place, schema: &Schema) -> serde_json::Value {
            self.0.source(place, schema)
        }
        fn plant(&self, strays: &[Stray]) -> Planted {
            self.0.plant(strays)
        }
        fn traits(&self) -> Traits {
            self.1.clone()
        }
    }
    let mut first = 0;
    for (cases, traits) in [
        (
            1,
            Traits {
                cannot_hold: vec![LogicalType::Uuid],
                ..Traits::default()
            },
        ),
        // Values and keys are also asked for by the case of refused rows.
        (
            2,
            Traits {
                rejects: vec![("float64", "NaN")],
                ..Traits::default()
            },
        ),
        (
            2,
            Traits {
                conflicts: vec![Conflict::ReplaceAll],
                ..Traits::default()
            },
        ),
        (
            1,
            Traits {
                fencing: Fencing::Lock,
                ..Traits::default()
            },
        ),
    ] {
        first += 1000;
        let claims = Claims(Trials(Faulty(Fault::None), AtomicU32::new(first)), traits);
        let failing = CASES
            .iter()
            .filter(|(_, run)| run(&claims).is_err())
            .count();
        assert_eq!(
            failing, cases,
            "the memory backend can do that: {:?}",
            claims.1
        );
    }
}
