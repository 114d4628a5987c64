//! What a run reports when it ends.

use dkhost_core::{Class, Counts, Error};
use serde::Serialize;

/// The last line of `--json`, and what people see as the summary.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always `report`.
    pub event: &'static str,
    /// The job's name.
    pub job: String,
    /// The run's id.
    pub run: String,
    /// `run` or `retry`.
    pub kind: &'static str,
    /// Raised whenever a process takes the run over.
    pub epoch: u64,
    /// `done`, `stopped` or `failed`.
    pub status: &'static str,
    /// The process exit code.
    pub exit_code: i32,
    /// The delivery promise kept.
    pub delivery: String,
    /// Whether this process took an interrupted run up again.
    pub resumed: bool,
    /// Counts of source records over the whole run.
    pub counts: ReportCounts,
    /// Rows written over the whole run.
    pub rows_written: u64,
    /// RFC 3339: when the run began.
    pub started_at: String,
    /// Wall time of all its processes.
    pub duration_ms: u64,
    /// CPU time of all its processes.
    pub cpu_ms: u64,
    /// Peak memory of this process.
    pub memory_peak_bytes: u64,
    /// Records per second, over this process.
    pub records_per_second: f64,
    /// Records per second in the best second of this process; the average if it took no longer.
    pub records_per_second_peak: f64,
    /// Rows and CPU time by stage.
    pub stages: Vec<StageReport>,
    /// The components used.
    pub plugins: Vec<PluginReport>,
    /// What verification found.
    pub verified: Option<String>,
    /// Values dropped under `schema_drift = "discard_value"`.
    pub values_discarded: u64,
    /// What its owner should know and that is no error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// `read = written + unchanged + filtered + deduplicated + skipped + dead_lettered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReportCounts {
    /// Records read.
    pub read: u64,
    /// With at least one row written.
    pub written: u64,
    /// Met a row that stays.
    pub unchanged: u64,
    /// Dropped on purpose.
    pub filtered: u64,
    /// Folded into a later one with the same key.
    pub deduplicated: u64,
    /// Refused and passed over.
    pub skipped: u64,
    /// Refused and kept.
    pub dead_lettered: u64,
}

impl From<&Counts> for ReportCounts {
    fn from(counts: &Counts) -> Self {
        ReportCounts {
            read: counts.read,
            written: counts.written,
            unchanged: counts.unchanged,
            filtered: counts.filtered,
            deduplicated: counts.deduplicated,
            skipped: counts.skipped,
            dead_lettered: counts.dead_lettered,
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One stage.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// Its name in the plan.
    pub name: String,
    /// Rows given to it.
    pub rows_in: u64,
    /// Rows it gave on.
    pub rows_out: u64,
    /// Records it refused.
    pub rejected: u64,
    /// CPU time in it.
    pub cpu_ms: u64,
    /// Rows that were already what it makes of others.
    #[serde(skip_serializing_if = "is_zero")]
    pub kept: u64,
    /// A plugin's own counters, of this process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<(String, u64)>,
}

/// One component.
#[derive(Debug, Clone, Serialize)]
pub struct PluginReport {
    /// The stage that runs it.
    pub stage: String,
    /// Name and version.
    pub name: String,
    /// `sha256:…`
    pub digest: String,
}

/// An error, for programs.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorReport {
    /// Stable code.
    pub code: String,
    /// Message and causes.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        ErrorReport {
            code: error.code().to_owned(),
            message: error.chain(),
            help: error.help_text().map(str::to_owned),
        }
    }
}

/// `error`, and what went wrong because of it or after it: neither hides the other.
pub(super) fn also(error: Error, what: &str, second: &Error) -> Error {
    let besides = format!("{what}: {} [{}]", second.chain(), second.code());
    let help = match error.help_text() {
        Some(help) => format!("{help}; besides, {besides}"),
        None => besides,
    };
    error.help(help)
}

/// The exit code of a run that ended so.
pub fn exit_code(error: Option<&Error>, signal: i32, counts: &Counts) -> i32 {
    match error {
        Some(error) if error.class() == Class::Stopped => 128 + signal,
        Some(error) => error.class().exit_code(),
        None if counts.dead_lettered > 0 => 3,
        None => 0,
    }
}
