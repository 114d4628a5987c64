//! Plan → Run: records move, checkpoints follow, and at the end the result is compared and published.

mod account;
mod budget;
pub mod clock;
mod evolve;
mod limited;
mod pace;
mod partition;
mod policy;
mod progress;
mod report;
mod retrying;
mod stages;
mod takeover;
mod worker;
mod writing;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dkhost_core::{Checkpoint, Class, Error, Result, StageCounts, fail};

use crate::history::{History, JobLock, RunEnd, Status};
use crate::plan::Plan;
use crate::verify::{self, Expected};

pub(crate) use partition::first_records;
pub use progress::{PHASES, PartitionProgress, Progress, StopFlag};
pub use report::{ErrorReport, PluginReport, Report, ReportCounts, StageReport};
pub(crate) use retrying::Retrying;
pub(crate) use stages::Stages;
pub use takeover::short;

/// How a run is started.
pub struct RunOptions<'a> {
    /// `run` or `retry`.
    pub kind: &'static str,
    /// Start over although an interrupted run could go on.
    pub fresh: bool,
    /// Go on although the plan changed.
    pub accept_plan_change: bool,
    /// Set by a signal handler.
    pub stop: StopFlag,
    /// Told once, when records begin to move.
    pub on_start: &'a (dyn Fn(Arc<Progress>) + Sync),
}

/// How a run ended: what it counted, and why it stopped if it did.
pub struct Ended {
    /// The report; also kept in the history.
    pub report: Report,
    /// Why it stopped.
    pub error: Option<Error>,
}

/// Runs a plan to its end, a signal, or an error.
///
/// *Errors* – before the run is recorded: the job is locked, the target cannot be claimed, the
/// plan changed. Later errors come back in [`Ended`], with a report of how far the run came.
pub fn run(plan: &Plan, history: &History, options: &RunOptions<'_>) -> Result<Ended> {
    run_resolving(plan, history, options, Vec::new())
}

/// As [`run`]; the end of the run resolves these dead letters.
pub(crate) fn run_resolving(
    plan: &Plan,
    history: &History,
    options: &RunOptions<'_>,
    resolves: Vec<i64>,
) -> Result<Ended> {
    let began = Instant::now();
    let cpu_before = clock::process_cpu();
    let lock = JobLock::take(history, &plan.job.name)?;
    let started = takeover::start(plan, history, options)?;
    let progress = Arc::new(new_progress(plan, &started));
    (options.on_start)(progress.clone());

    let bytes = usize::try_from(plan.job.run.memory_bytes).unwrap_or(usize::MAX);
    let shared = worker::Shared {
        plan,
        history,
        lock: &lock,
        run: started.run.clone(),
        policies: policies(plan),
        tally: Mutex::new(tally(plan, &started.checkpoints)),
        budget: &budget::Budget::new(bytes),
        evolution: evolve::Evolution::resume(&evolved(&started.checkpoints))?,
        progress,
        pace: pace::Pace::new(began),
        stop: &options.stop,
        halted: AtomicBool::new(false),
        failure: Mutex::new(None),
        counters: Mutex::default(),
    };
    let (verified, error) = match moved(&shared, &started) {
        Ok(verified) => (verified, None),
        Err(error) => (None, Some(error)),
    };
    let ending = Ending {
        plan,
        history,
        started: &started,
        options,
        verified,
        error,
        busy_ms: millis(began.elapsed()),
        cpu_ms: millis(clock::process_cpu() - cpu_before),
        counters: shared.counters,
        pace: shared.pace,
        resolves,
    };
    ending.record()
}

/// Moves every partition's records; then compares and publishes.
fn moved(shared: &worker::Shared<'_>, started: &takeover::Started) -> Result<Option<String>> {
    worker::run(shared, &started.partitions, &started.checkpoints);
    let mut failure = shared
        .failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match failure.take() {
        Some(error) => Err(error),
        None => finish(shared, started),
    }
}

fn policies(plan: &Plan) -> policy::Policies {
    let stages = plan
        .stages
        .iter()
        .map(|stage| (stage.name.clone(), stage.on_error));
    policy::Policies::new(plan.job.run.on_error, stages)
}

/// The columns added to the target so far.
fn evolved(checkpoints: &[Checkpoint]) -> Vec<(String, String)> {
    checkpoints
        .iter()
        .flat_map(|checkpoint| checkpoint.evolved.clone())
        .collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn new_progress(plan: &Plan, started: &takeover::Started) -> Progress {
    let estimate = plan.source.estimate();
    let limit = plan.job.source.limit;
    let partition = |(partition, checkpoint): (&dkhost_core::Partition, &Checkpoint)| {
        let counts = checkpoint.counts;
        PartitionProgress {
            label: partition.label.clone(),
            read: counts.read.into(),
            read_before: counts.read,
            written: counts.rows_written.into(),
            refused: (counts.dead_lettered + counts.skipped).into(),
            bytes: counts.source_bytes.into(),
            phase: 0.into(),
        }
    };
    Progress {
        job: plan.job.name.clone(),
        run: started.run.clone(),
        resumed: started.resumed,
        total_records: match (estimate.records, limit) {
            (Some(records), Some(limit)) => Some(records.min(limit)),
            (records, limit) => records.or(limit),
        },
        total_bytes: estimate.bytes.filter(|_| limit.is_none()),
        partitions: started
            .partitions
            .iter()
            .zip(&started.checkpoints)
            .map(partition)
            .collect(),
        began: Instant::now(),
    }
}

fn tally(plan: &Plan, checkpoints: &[Checkpoint]) -> policy::Tally {
    let mut tally = policy::Tally::default();
    for checkpoint in checkpoints {
        let stages = plan
            .stages
            .iter()
            .zip(&checkpoint.stages)
            .map(|(stage, counts)| (stage.name.clone(), counts.rejected));
        tally.add(&checkpoint.counts, stages);
    }
    tally
}

/// Compares and publishes, once every partition is done.
fn finish(shared: &worker::Shared<'_>, started: &takeover::Started) -> Result<Option<String>> {
    let (plan, retrying) = (shared.plan, shared.retrying());
    let record = retrying.run(|| shared.history.run(&started.run))?;
    let done = record
        .checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.done)
        .count();
    if done < started.partitions.len() {
        let signal = shared.stop.load(Ordering::SeqCst);
        if signal == 0 {
            return Err(Error::bug("a partition ended without being done"));
        }
        return Err(Error::new(
            Class::Stopped,
            "run::stopped",
            "stopped by a signal after the batches under way",
        )
        .help("nothing is lost; run the same command again and it goes on from there"));
    }
    // The target may be the table that was read, and replacing it would wait for its reader.
    plan.source.release();
    let mut expected = Expected::default();
    for checkpoint in &record.checkpoints {
        expected.rows +=
            i128::from(checkpoint.counts.rows_written) - i128::from(checkpoint.replaced_rows);
        expected.content = expected.content + checkpoint.sent - checkpoint.replaced;
    }
    let held = retrying.run(|| plan.sink.inspect(&plan.job.name))?;
    if held.is_some_and(|held| held.published && held.run == started.run) {
        // Killed before the history knew. It was compared then; others may write to it since.
        plan.sink.publish()?;
        return Ok(Some("compared before it was published".to_owned()));
    }
    let verified = retrying.run(|| {
        let verify = plan.job.run.verify;
        let sink = plan.sink.as_ref();
        verify::verify(sink, &plan.schema, verify, started.base, &expected)
    })?;
    fail::point("run.end.verified")?;
    retrying.run(|| plan.sink.publish())?;
    fail::point("run.end.published")?;
    Ok(verified)
}

/// Everything known when a run has ended.
struct Ending<'a> {
    plan: &'a Plan,
    history: &'a History,
    started: &'a takeover::Started,
    options: &'a RunOptions<'a>,
    verified: Option<String>,
    error: Option<Error>,
    busy_ms: u64,
    cpu_ms: u64,
    counters: Mutex<Vec<std::collections::BTreeMap<String, u64>>>,
    pace: pace::Pace,
    resolves: Vec<i64>,
}

impl Ending<'_> {
    /// Records the end in the history, and only then lets the target forget the run.
    fn record(mut self) -> Result<Ended> {
        let record = match self.history.run(&self.started.run) {
            Ok(record) => record,
            Err(second) => return Err(self.unrecorded(second)),
        };
        let mut report = self.report(&record);
        if let Err(second) = self.write_down(&report) {
            // The run stays unfinished in the history; the next one takes it up and ends it.
            self.error = Some(self.unrecorded(second));
            return Ok(Ended {
                report: self.report(&record),
                error: self.error,
            });
        }
        fail::point("run.end.recorded")?;
        // The run is over and says so; what cannot be swept now is swept by the next run.
        if self.error.is_none()
            && let Err(error) = self.plan.sink.retire()
        {
            report.notes.push(format!(
                "what the run needed could not all be removed: {}",
                error.chain()
            ));
        }
        Ok(Ended {
            report,
            error: self.error,
        })
    }

    /// Why the run ended, when the history could not be told: neither reason hides the other.
    fn unrecorded(&mut self, second: Error) -> Error {
        match self.error.take() {
            None => second,
            Some(first) if first.code() == second.code() => first,
            Some(first) => report::also(first, "the history could not be told", &second),
        }
    }

    fn write_down(&mut self, report: &Report) -> Result<()> {
        let status = match &self.error {
            None => Status::Done,
            Some(error) if matches!(error.class(), Class::Stopped | Class::Data) => Status::Stopped,
            Some(_) => Status::Failed,
        };
        let end = RunEnd {
            status,
            exit_code: report.exit_code,
            message: self.error.as_ref().map(Error::chain),
            report: serde_json::to_value(report)
                .map_err(|cause| Error::bug("a report could not be written").caused_by(cause))?,
            busy_ms: self.busy_ms,
            cpu_ms: self.cpu_ms,
            resolves: match self.error {
                None => std::mem::take(&mut self.resolves),
                Some(_) => Vec::new(),
            },
        };
        let retrying = Retrying {
            retry: self.plan.job.run.retry,
            stop: &self.options.stop,
            halted: &AtomicBool::new(false),
        };
        retrying.run(|| {
            self.history
                .end(&self.started.run, self.started.epoch, &end)
        })
    }

    fn report(&self, record: &crate::history::RunRecord) -> Report {
        let counts = record.counts();
        let view = self.plan.view();
        let here = counts.read.saturating_sub(
            self.started
                .checkpoints
                .iter()
                .map(|checkpoint| checkpoint.counts.read)
                .sum(),
        );
        let records_per_second = here as f64 * 1_000.0 / self.busy_ms.max(1) as f64;
        Report {
            event: "report",
            job: record.job.clone(),
            run: record.id.clone(),
            kind: self.options.kind,
            epoch: self.started.epoch,
            status: match &self.error {
                None => "done",
                Some(error) if matches!(error.class(), Class::Stopped | Class::Data) => "stopped",
                Some(_) => "failed",
            },
            exit_code: report::exit_code(
                self.error.as_ref(),
                self.options.stop.load(Ordering::SeqCst),
                &counts,
            ),
            delivery: view.delivery.clone(),
            resumed: self.started.resumed,
            counts: ReportCounts::from(&counts),
            rows_written: counts.rows_written,
            started_at: record.started_at.clone(),
            duration_ms: record.busy_ms + self.busy_ms,
            cpu_ms: record.cpu_ms + self.cpu_ms,
            memory_peak_bytes: clock::peak_memory_bytes(),
            records_per_second,
            records_per_second_peak: self.pace.peak(records_per_second),
            stages: self.stage_reports(record),
            plugins: view
                .stages
                .iter()
                .filter_map(|stage| {
                    Some(PluginReport {
                        stage: stage.name.clone(),
                        name: stage.plugin.clone()?,
                        digest: stage.digest.clone()?,
                    })
                })
                .collect(),
            verified: self.verified.clone(),
            values_discarded: counts.values_discarded,
            notes: Vec::new(),
            error: self.error.as_ref().map(ErrorReport::from),
        }
    }

    fn stage_reports(&self, record: &crate::history::RunRecord) -> Vec<StageReport> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| {
                let mut sum = StageCounts::default();
                for counts in record
                    .checkpoints
                    .iter()
                    .filter_map(|checkpoint| checkpoint.stages.get(index))
                {
                    sum += *counts;
                }
                StageReport {
                    name: stage.name.clone(),
                    rows_in: sum.rows_in,
                    rows_out: sum.rows_out,
                    rejected: sum.rejected,
                    cpu_ms: sum.cpu_us / 1_000,
                    kept: sum.kept,
                    counters: counters
                        .get(index)
                        .map(|c| c.iter().map(|(k, v)| (k.clone(), *v)).collect())
                        .unwrap_or_default(),
                }
            })
            .collect()
    }
}
