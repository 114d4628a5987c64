//! What the history keeps of a run.

use dkhost_core::{Checkpoint, ContentSum, Counts, Partition};
use serde::{Deserialize, Serialize};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A process works on it, or died while it did.
    Running,
    /// It stopped by itself or by a signal and can be resumed.
    Stopped,
    /// It ended with an error and can be resumed.
    Failed,
    /// It is finished.
    Done,
    /// A newer run took its place (`--no-resume`).
    Abandoned,
}

impl Status {
    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
            Status::Done => "done",
            Status::Abandoned => "abandoned",
        }
    }

    pub(super) fn from_word(word: &str) -> Status {
        match word {
            "running" => Status::Running,
            "stopped" => Status::Stopped,
            "done" => Status::Done,
            "abandoned" => Status::Abandoned,
            _ => Status::Failed,
        }
    }

    /// Whether the next `dkhost run` takes it up again.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Status::Running | Status::Stopped | Status::Failed)
    }
}

/// What the target held before the run, when it was not fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Base {
    /// Rows.
    pub rows: u64,
    /// Their content; only summed when `verify` needs it.
    pub content: Option<ContentSum>,
}

/// What an incremental run reads: from the job's cursor up to where its source froze the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The column that grows with every change.
    pub column: String,
    /// The job's cursor when the run began, in the source's own words; `None` reads all.
    pub from: Option<String>,
    /// The job's cursor once the run is done; `None` when there is nothing to keep.
    pub until: Option<String>,
    /// Hash of what decides which records the source has: a cursor means nothing to another source.
    pub source: String,
}

/// A run that begins.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// UUIDv7.
    pub id: String,
    /// The job's name.
    pub job: String,
    /// `run` or `retry`.
    pub kind: &'static str,
    /// SHA-256 of what decides the result, hexadecimal.
    pub plan_hash: String,
    /// What the source was.
    pub fingerprint: serde_json::Value,
    /// The frozen slices.
    pub partitions: Vec<Partition>,
    /// For people.
    pub source: String,
    /// For people.
    pub target: String,
    /// The delivery promise.
    pub delivery: String,
    /// The job file.
    pub job_path: String,
    /// Stage, name and digest of every plugin.
    pub plugins: Vec<(String, String, String)>,
    /// What it reads, if it is incremental.
    pub cursor: Option<Window>,
}

/// How a process that worked on a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// How the run stands now.
    pub status: Status,
    /// The process's exit code.
    pub exit_code: i32,
    /// Why it stopped.
    pub message: Option<String>,
    /// Its report.
    pub report: serde_json::Value,
    /// Its wall time.
    pub busy_ms: u64,
    /// Its CPU time.
    pub cpu_ms: u64,
    /// Numbers of the dead letters it took through the job again. Those it did not refuse again
    /// are resolved together with its end, or not at all.
    pub resolves: Vec<i64>,
}

/// A run as the history knows it.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// UUIDv7.
    pub id: String,
    /// The job's name.
    pub job: String,
    /// `run` or `retry`.
    pub kind: String,
    /// How it stands.
    pub status: Status,
    /// Raised whenever a process takes it over.
    pub epoch: u64,
    /// SHA-256 of what decides the result.
    pub plan_hash: String,
    /// What the source was.
    pub fingerprint: serde_json::Value,
    /// The frozen slices.
    pub partitions: Vec<Partition>,
    /// What the target held before.
    pub base: Option<Base>,
    /// For people.
    pub source: String,
    /// For people.
    pub target: String,
    /// The delivery promise.
    pub delivery: String,
    /// The job file.
    pub job_path: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Wall time of all its processes.
    pub busy_ms: u64,
    /// CPU time of all its processes.
    pub cpu_ms: u64,
    /// How its last process ended.
    pub exit_code: Option<i32>,
    /// Why it stopped.
    pub message: Option<String>,
    /// The last process's report.
    pub report: Option<serde_json::Value>,
    /// The copies of its checkpoints, by partition.
    pub checkpoints: Vec<Checkpoint>,
    /// Stage, name and digest of every plugin.
    pub plugins: Vec<(String, String, String)>,
    /// What was noted on the way.
    pub remarks: Vec<(String, String)>,
    /// What it reads, if it is incremental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Window>,
}

impl RunRecord {
    /// Counts over all partitions, as far as the history knows.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for checkpoint in &self.checkpoints {
            counts += checkpoint.counts;
        }
        counts
    }
}
