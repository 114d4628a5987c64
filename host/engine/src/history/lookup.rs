//! Looking runs up: by job, by id, or by the beginning of one.

use dkhost_core::{Error, Result};
use serde::de::DeserializeOwned;

use super::epoch::Refusal;
use super::statement::{Connection, Row, Statement, statement};
use super::{History, RunRecord, Status};

impl History {
    /// The unfinished run of a job, if there is one.
    pub fn unfinished(&self, job: &str) -> Result<Option<RunRecord>> {
        let ids = self.ids(|| statement("SELECT id FROM run WHERE job = $1 AND status IN ('running', 'stopped', 'failed') ORDER BY id DESC LIMIT 1").bind(job))?;
        ids.first().map(|id| self.run(id)).transpose()
    }

    /// The run that `name` means: an id, an unambiguous prefix of one, a job's name (its latest
    /// run); the latest run of all for `None`.
    ///
    /// *Errors* – `history::unknown_run`, `history::ambiguous_run`.
    pub fn find(&self, name: Option<&str>) -> Result<RunRecord> {
        let Some(name) = name else {
            let latest = self.ids(|| statement("SELECT id FROM run ORDER BY id DESC LIMIT 1"))?;
            return match latest.first() {
                Some(id) => self.run(id),
                None => Err(
                    Error::config("history::empty", "the history has no runs yet")
                        .help("dkhost run job.toml"),
                ),
            };
        };
        let by_job = "SELECT id FROM run WHERE job = $1 ORDER BY id DESC LIMIT 1";
        let by_job = self.ids(|| statement(by_job).bind(name))?;
        if let Some(id) = by_job.first() {
            return self.run(id);
        }
        let by_prefix =
            "SELECT id FROM run WHERE substr(id, 1, length($1)) = $1 ORDER BY id DESC LIMIT 2";
        let by_prefix = self.ids(|| statement(by_prefix).bind(name))?;
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
        let ids = self.ids(|| {
            statement("SELECT id FROM run WHERE $1 IS NULL OR job = $1 ORDER BY id DESC LIMIT $2")
                .bind(job)
                .bind(limit)
        })?;
        ids.iter().map(|id| self.run(id)).collect()
    }

    fn ids<'a>(&self, wanted: impl Fn() -> Statement<'a>) -> Result<Vec<String>> {
        self.read("look up runs", async |tx: &mut Connection| {
            let rows = wanted().rows(tx).await?;
            let ids = rows.iter().map(|row| row.text("id"));
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// A run by its whole id, if the history has it.
    pub fn known(&self, id: &str) -> Result<Option<RunRecord>> {
        let ids = self.ids(|| statement("SELECT id FROM run WHERE id = $1").bind(id))?;
        ids.first().map(|id| self.run(id)).transpose()
    }

    /// A run by its whole id.
    pub fn run(&self, id: &str) -> Result<RunRecord> {
        let doing = "read a run";
        let rows = self.read(doing, async |tx: &mut Connection| {
            let run = statement("SELECT * FROM run WHERE id = $1")
                .bind(id)
                .row(tx)
                .await?;
            let checkpoints = "SELECT body FROM checkpoint WHERE run = $1 ORDER BY partition";
            let plugins = "SELECT stage, name, digest FROM plugin WHERE run = $1 ORDER BY stage";
            let remarks = "SELECT at, text FROM remark WHERE run = $1 ORDER BY at";
            Ok(Rows {
                run,
                checkpoints: statement(checkpoints).bind(id).rows(tx).await?,
                plugins: statement(plugins).bind(id).rows(tx).await?,
                remarks: statement(remarks).bind(id).rows(tx).await?,
            })
        })?;
        self.record(&rows)
            .map_err(|refusal| self.refused(doing, refusal))
    }

    fn record(&self, rows: &Rows) -> Result<RunRecord, Refusal> {
        let row = &rows.run;
        let checkpoint = |row: &Row| self.parse(&row.text("body")?).map_err(Refusal::Ours);
        let plugin = |row: &Row| -> Result<_, Refusal> {
            Ok((row.text("stage")?, row.text("name")?, row.text("digest")?))
        };
        let remark = |row: &Row| -> Result<_, Refusal> { Ok((row.text("at")?, row.text("text")?)) };
        Ok(RunRecord {
            id: row.text("id")?,
            job: row.text("job")?,
            kind: row.text("kind")?,
            status: Status::from_word(&row.text("status")?),
            epoch: row.number("epoch")? as u64,
            plan_hash: row.text("plan_hash")?,
            fingerprint: self
                .parse(&row.text("fingerprint")?)
                .map_err(Refusal::Ours)?,
            partitions: self
                .parse(&row.text("partitions")?)
                .map_err(Refusal::Ours)?,
            base: self.parse_any(row.text_or_null("base")?)?,
            source: row.text("source")?,
            target: row.text("target")?,
            delivery: row.text("delivery")?,
            job_path: row.text("job_path")?,
            started_at: row.text("started_at")?,
            finished_at: row.text_or_null("finished_at")?,
            busy_ms: row.number("busy_ms")? as u64,
            cpu_ms: row.number("cpu_ms")? as u64,
            exit_code: row.number_or_null("exit_code")?.map(|code| code as i32),
            message: row.text_or_null("message")?,
            report: self.parse_any(row.text_or_null("report")?)?,
            cursor: self.parse_any(row.text_or_null("cursor")?)?,
            checkpoints: rows
                .checkpoints
                .iter()
                .map(checkpoint)
                .collect::<Result<_, _>>()?,
            plugins: rows.plugins.iter().map(plugin).collect::<Result<_, _>>()?,
            remarks: rows.remarks.iter().map(remark).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn parse_any<T: DeserializeOwned>(
        &self,
        text: Option<String>,
    ) -> Result<Option<T>, Refusal> {
        let parsed = text.map(|text| self.parse(&text)).transpose();
        parsed.map_err(Refusal::Ours)
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text)
            .map_err(|cause| self.corrupt("something unreadable").caused_by(cause))
    }
}

/// What the tables say of one run.
struct Rows {
    run: Row,
    checkpoints: Vec<Row>,
    plugins: Vec<Row>,
    remarks: Vec<Row>,
}
