//! Looking runs up: by job, by id, or by the beginning of one.

use dkhost_core::{Checkpoint, Error, Result};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{History, RunRecord, Status};

impl History {
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
                    .fetch_all(&mut *inner.connection),
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
            let connection = &mut *inner.connection;
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
