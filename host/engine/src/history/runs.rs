//! Runs and their checkpoints.

use dkhost_core::{Checkpoint, ContentSum, Counts, Error, Partition, Result};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row};

use super::{History, now};

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

    fn from_word(word: &str) -> Status {
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
    /// Numbers of the dead letters it brought in: resolved together with its end, or not at all.
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

impl History {
    /// Records a run that begins, and marks an unfinished one of the same job as abandoned.
    pub fn begin(&self, run: &NewRun, epoch: u64, base: Option<&Base>) -> Result<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("UPDATE run SET status = 'abandoned', updated_at = ? WHERE job = ? AND status IN ('running', 'stopped', 'failed')")
                .bind(now())
                .bind(&run.job)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO run (id, job, kind, status, epoch, plan_hash, fingerprint, partitions, base, source, target, delivery, job_path, started_at, updated_at)
                 VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&run.id)
            .bind(&run.job)
            .bind(run.kind)
            .bind(epoch as i64)
            .bind(&run.plan_hash)
            .bind(run.fingerprint.to_string())
            .bind(json(&run.partitions))
            .bind(base.map(json))
            .bind(&run.source)
            .bind(&run.target)
            .bind(&run.delivery)
            .bind(&run.job_path)
            .bind(now())
            .bind(now())
            .execute(&mut *tx)
            .await?;
            for (stage, name, digest) in &run.plugins {
                sqlx::query("INSERT OR REPLACE INTO plugin (run, stage, name, digest) VALUES (?, ?, ?, ?)")
                    .bind(&run.id)
                    .bind(stage)
                    .bind(name)
                    .bind(digest)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        });
        result.map_err(|cause| self.error("record the run", cause))
    }

    /// Records that a process takes an unfinished run over.
    pub fn take_over(
        &self,
        run: &str,
        epoch: u64,
        plan_hash: &str,
        base: Option<&Base>,
        remark: &str,
    ) -> Result<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("UPDATE run SET status = 'running', epoch = ?, plan_hash = ?, base = ?, updated_at = ?, message = NULL, exit_code = NULL WHERE id = ?")
                .bind(epoch as i64)
                .bind(plan_hash)
                .bind(base.map(json))
                .bind(now())
                .bind(run)
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO remark (run, at, text) VALUES (?, ?, ?)")
                .bind(run)
                .bind(now())
                .bind(remark)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        });
        result.map_err(|cause| self.error("take the run over", cause))
    }

    /// Copies checkpoints the target holds durably. An older epoch never overwrites a newer one.
    pub fn copy_checkpoints(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            for checkpoint in checkpoints {
                sqlx::query(
                    "INSERT INTO checkpoint (run, partition, seq, epoch, body, updated_at) VALUES (?, ?, ?, ?, ?, ?)
                     ON CONFLICT (run, partition) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, body = excluded.body, updated_at = excluded.updated_at
                     WHERE excluded.epoch >= checkpoint.epoch",
                )
                .bind(&checkpoint.run)
                .bind(checkpoint.partition as i64)
                .bind(checkpoint.seq as i64)
                .bind(checkpoint.epoch as i64)
                .bind(json(checkpoint))
                .bind(now())
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        });
        result.map_err(|cause| self.error("copy a checkpoint", cause))
    }

    /// Records how the process that worked on `run` ended.
    pub fn end(&self, run: &str, end: &RunEnd) -> Result<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            for number in &end.resolves {
                sqlx::query("UPDATE dead_letter SET resolved_by = ? WHERE number = ?")
                    .bind(run)
                    .bind(number)
                    .execute(&mut *tx)
                    .await?;
            }
            sqlx::query(
                "UPDATE run SET status = ?, exit_code = ?, message = ?, report = ?, updated_at = ?, busy_ms = busy_ms + ?, cpu_ms = cpu_ms + ?,
                 finished_at = CASE WHEN ? = 'done' THEN ? ELSE finished_at END WHERE id = ?",
            )
            .bind(end.status.word())
            .bind(end.exit_code)
            .bind(&end.message)
            .bind(end.report.to_string())
            .bind(now())
            .bind(end.busy_ms as i64)
            .bind(end.cpu_ms as i64)
            .bind(end.status.word())
            .bind(now())
            .bind(run)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        });
        result
            .map(drop)
            .map_err(|cause| self.error("record the end of the run", cause))
    }

    /// The unfinished run of a job, if there is one.
    pub fn unfinished(&self, job: &str) -> Result<Option<RunRecord>> {
        let ids = self.ids("SELECT id FROM run WHERE job = ? AND status IN ('running', 'stopped', 'failed') ORDER BY id DESC LIMIT 1", job)?;
        ids.first().map(|id| self.run(id)).transpose()
    }

    /// The run that `name` means: an id, an unambiguous prefix of one, a job's name (its latest
    /// run); the latest run of all for `None`.
    ///
    /// *Errors* – `history::unknown_run`, `history::ambiguous_run`.
    pub fn find(&self, name: Option<&str>) -> Result<RunRecord> {
        let Some(name) = name else {
            let latest = self.ids(
                "SELECT id FROM run WHERE ? IS NOT NULL ORDER BY id DESC LIMIT 1",
                "",
            )?;
            return match latest.first() {
                Some(id) => self.run(id),
                None => Err(
                    Error::config("history::empty", "the history has no runs yet")
                        .help("dkhost run job.toml"),
                ),
            };
        };
        let by_job = self.ids(
            "SELECT id FROM run WHERE job = ? ORDER BY id DESC LIMIT 1",
            name,
        )?;
        if let Some(id) = by_job.first() {
            return self.run(id);
        }
        let by_prefix = self.ids(
            "SELECT id FROM run WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT 2",
            name,
        )?;
        match by_prefix.as_slice() {
            [id] => self.run(id),
            [] => Err(Error::config(
                "history::unknown_run",
                format!("the history knows no run or job `{}`", name.escape_debug()),
            )
            .help("`dkhost history` lists them")),
            _ => Err(Error::config(
                "history::ambiguous_run",
                format!("more than one run begins with `{name}`"),
            )
            .help("give more of the id; `dkhost history` lists them")),
        }
    }

    /// Runs, latest first; of one job only, if `job` is given.
    pub fn runs(&self, job: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        let ids = match job {
            Some(job) => self.ids("SELECT id FROM run WHERE job = ? ORDER BY id DESC", job)?,
            None => self.ids(
                "SELECT id FROM run WHERE ? IS NOT NULL ORDER BY id DESC",
                "",
            )?,
        };
        ids.iter()
            .take(limit as usize)
            .map(|id| self.run(id))
            .collect()
    }

    fn ids(&self, sql: &'static str, argument: &str) -> Result<Vec<String>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner
            .runtime
            .block_on(
                sqlx::query_scalar::<_, String>(sql)
                    .bind(argument)
                    .fetch_all(&mut inner.connection),
            )
            .map_err(|cause| self.error("look up runs", cause))
    }

    /// A run by its whole id, if the history has it.
    pub fn known(&self, id: &str) -> Result<Option<RunRecord>> {
        let ids = self.ids("SELECT id FROM run WHERE id = ?", id)?;
        ids.first().map(|id| self.run(id)).transpose()
    }

    /// A run by its whole id.
    pub fn run(&self, id: &str) -> Result<RunRecord> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let rows = inner.runtime.block_on(async {
            let connection = &mut inner.connection;
            let run = sqlx::query("SELECT * FROM run WHERE id = ?")
                .bind(id)
                .fetch_one(&mut *connection)
                .await?;
            let checkpoints = sqlx::query_scalar::<_, String>(
                "SELECT body FROM checkpoint WHERE run = ? ORDER BY partition",
            )
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
            let plugins = sqlx::query_as::<_, (String, String, String)>(
                "SELECT stage, name, digest FROM plugin WHERE run = ? ORDER BY stage",
            )
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
            let remarks = sqlx::query_as::<_, (String, String)>(
                "SELECT at, text FROM remark WHERE run = ? ORDER BY at",
            )
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
            Ok((run, checkpoints, plugins, remarks))
        });
        let (run, checkpoints, plugins, remarks) =
            rows.map_err(|cause| self.error("read a run", cause))?;
        let checkpoints = checkpoints
            .iter()
            .map(|body| self.parse(body))
            .collect::<Result<_>>()?;
        self.record(&run, checkpoints, plugins, remarks)
    }

    fn record(
        &self,
        row: &SqliteRow,
        checkpoints: Vec<Checkpoint>,
        plugins: Vec<(String, String, String)>,
        remarks: Vec<(String, String)>,
    ) -> Result<RunRecord> {
        let text = |name: &str| {
            row.try_get::<String, _>(name)
                .map_err(|cause| self.error("read a run", cause))
        };
        let maybe = |name: &str| {
            row.try_get::<Option<String>, _>(name)
                .map_err(|cause| self.error("read a run", cause))
        };
        let number = |name: &str| {
            row.try_get::<i64, _>(name)
                .map(|n| n as u64)
                .map_err(|cause| self.error("read a run", cause))
        };
        Ok(RunRecord {
            id: text("id")?,
            job: text("job")?,
            kind: text("kind")?,
            status: Status::from_word(&text("status")?),
            epoch: number("epoch")?,
            plan_hash: text("plan_hash")?,
            fingerprint: self.parse(&text("fingerprint")?)?,
            partitions: self.parse(&text("partitions")?)?,
            base: maybe("base")?.map(|base| self.parse(&base)).transpose()?,
            source: text("source")?,
            target: text("target")?,
            delivery: text("delivery")?,
            job_path: text("job_path")?,
            started_at: text("started_at")?,
            finished_at: maybe("finished_at")?,
            busy_ms: number("busy_ms")?,
            cpu_ms: number("cpu_ms")?,
            exit_code: row
                .try_get::<Option<i64>, _>("exit_code")
                .map_err(|cause| self.error("read a run", cause))?
                .map(|code| code as i32),
            message: maybe("message")?,
            report: maybe("report")?
                .map(|report| self.parse(&report))
                .transpose()?,
            checkpoints,
            plugins,
            remarks,
        })
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|cause| {
            Error::state(
                "state::corrupt",
                format!(
                    "the history `{}` holds something unreadable",
                    self.path.display()
                ),
            )
            .help(super::move_aside(&self.path))
            .caused_by(cause)
        })
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
