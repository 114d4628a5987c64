//! Which store was brought to which version of a schema, by whom, by which migrations, with what
//! outcome.
//!
//! An application is a run, and stands as its run does: a process that dies writes nothing down, so
//! that what this table says of the status is not the last word. Its row is written once the run
//! has begun, and stays when the run is taken up again.

use dkhost_core::{Error, Result};
use dkhost_schema::Direction;
use serde::{Deserialize, Serialize};

use super::epoch::{self, Refusal};
use super::statement::{Connection, Row, statement};
use super::{History, Status, now};

/// The application of a version to a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Application {
    /// The run that does it: UUIDv7.
    pub run: String,
    /// The schema's name.
    pub schema: String,
    /// The version the records had; `None` for a store that holds records of several.
    pub from: Option<String>,
    /// The version they get.
    pub to: String,
    /// Which way.
    #[serde(with = "direction")]
    pub direction: Direction,
    /// The job's name.
    pub job: String,
    /// The store, for people; without secrets.
    pub store: String,
    /// User and host, as the caller knows them: `ada@build-7`.
    pub who: String,
    /// What takes the records there. For a store of several versions, the hops of every path.
    #[serde(rename = "steps")]
    pub hops: Vec<Hop>,
}

/// One migration of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The version it starts from.
    pub from: String,
    /// The version it leads to.
    pub to: String,
    /// Which way: the same file is gone up and down.
    #[serde(with = "direction")]
    pub direction: Direction,
    /// Who says what happens.
    pub by: Author,
    /// Of the file's text or of the component: [`super::digest`].
    pub digest: String,
    /// Of the text of the version it starts from.
    pub from_digest: String,
    /// Of the text of the version it leads to.
    pub to_digest: String,
}

/// Who says what happens on a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// A migration file in the schema's folder: `1.0.0--2.0.0.toml`.
    File(String),
    /// A component: `customers-v2@0.1.0`.
    Plugin(String),
}

impl Author {
    /// The file, or the plugin with its version.
    pub fn name(&self) -> &str {
        match self {
            Author::File(name) | Author::Plugin(name) => name,
        }
    }
}

/// How a process that worked on an application ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationEnd {
    /// How it stands now.
    pub status: Status,
    /// Of all its processes.
    pub counts: ApplicationCounts,
    /// Wall time of all its processes.
    pub duration_ms: u64,
    /// Why it stopped.
    pub message: Option<String>,
}

/// What an application made of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplicationCounts {
    /// They have another version now.
    pub changed: u64,
    /// They had the version already.
    pub unchanged: u64,
    /// They could not be brought there.
    pub rejected: u64,
}

impl ApplicationCounts {
    /// Those of a run's report: what a stage kept had the version already. `None` if it counts
    /// nothing.
    pub fn of(report: &serde_json::Value) -> Option<ApplicationCounts> {
        let counts = &report["counts"];
        let counted = |name: &str| counts[name].as_u64();
        let stages = report["stages"].as_array().into_iter().flatten();
        let kept = stages.filter_map(|stage| stage["kept"].as_u64()).sum();
        Some(ApplicationCounts {
            changed: (counted("written")? + counted("unchanged")?).saturating_sub(kept),
            unchanged: kept,
            rejected: counted("dead_lettered")? + counted("skipped")?,
        })
    }
}

/// Which applications.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplicationFilter<'a> {
    /// Of this schema only.
    pub schema: Option<&'a str>,
    /// By this job only.
    pub job: Option<&'a str>,
    /// So many at most.
    pub limit: u32,
}

/// An application as the history knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplicationRecord {
    /// What was begun.
    #[serde(flatten)]
    pub application: Application,
    /// How its run stands.
    pub status: Status,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; `None` while it goes on, or when nobody lived to write it down.
    pub ended_at: Option<String>,
    /// `None` as long as no process has ended.
    pub counts: Option<ApplicationCounts>,
    /// Wall time of all its processes, as far as they lived to tell.
    pub duration_ms: u64,
    /// Why it stopped.
    pub message: Option<String>,
}

impl History {
    /// Records what a run that has begun applies. A run that was taken up again keeps its row: who
    /// began it and when stay, the hops are those of the plan it goes on with; an application that
    /// is done stays as it is.
    ///
    /// *Errors* – if the history does not know the run.
    pub fn begin_application(&self, application: &Application) -> Result<()> {
        let doing = "record the application of a schema";
        let steps = serde_json::to_string(&application.hops)
            .map_err(|cause| Error::bug("hops could not be written as JSON").caused_by(cause))?;
        self.write(doing, async |tx: &mut Connection| {
            statement(
                "INSERT INTO schema_application (run, \"schema\", from_version, to_version, direction, job, store, who, started_at, status, steps)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'running', $10)
                 ON CONFLICT (run) DO UPDATE SET status = 'running', steps = excluded.steps, ended_at = NULL, counts = NULL, message = NULL
                 WHERE schema_application.status <> 'done'",
            )
            .bind(&application.run)
            .bind(&application.schema)
            .bind(&application.from)
            .bind(&application.to)
            .bind(application.direction.word())
            .bind(&application.job)
            .bind(&application.store)
            .bind(&application.who)
            .bind(now())
            .bind(&steps)
            .run(tx)
            .await
            .map_err(Into::into)
        })
    }

    /// Records how the process that worked on an application in `epoch` of its run ended.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now, and the
    /// application stays as that one says.
    pub fn end_application(&self, run: &str, epoch: u64, end: &ApplicationEnd) -> Result<()> {
        let doing = "record the end of the application";
        let counts = serde_json::json!(end.counts).to_string();
        self.write(doing, async |tx: &mut Connection| {
            epoch::check(tx, run, epoch).await?;
            let ended = statement(
                "UPDATE schema_application SET status = $1, counts = $2, duration_ms = $3, message = $4, ended_at = $5 WHERE run = $6 RETURNING id",
            )
            .bind(end.status.word())
            .bind(&counts)
            .bind(end.duration_ms)
            .bind(&end.message)
            .bind(now())
            .bind(run)
            .rows(tx)
            .await?;
            if ended.is_empty() {
                let message = format!("run {run} ended an application that was never begun");
                return Err(Refusal::Ours(Error::bug(message)));
            }
            Ok(())
        })
    }

    /// Applications, latest first, each as its run stands.
    pub fn applications(&self, filter: ApplicationFilter<'_>) -> Result<Vec<ApplicationRecord>> {
        let doing = "look up applications";
        let rows = self.read(doing, async |tx: &mut Connection| {
            let found = statement(
                "SELECT a.run, a.\"schema\", a.from_version, a.to_version, a.direction, a.job, a.store, a.who, a.started_at, a.steps, a.counts,
                     run.status, a.duration_ms, run.busy_ms, run.report,
                     CASE WHEN run.status <> 'running' THEN coalesce(a.ended_at, run.finished_at) END AS ended_at,
                     CASE WHEN run.status <> 'running' THEN coalesce(a.message, run.message) END AS message
                 FROM schema_application a JOIN run ON run.id = a.run
                 WHERE ($1 IS NULL OR a.\"schema\" = $1) AND ($2 IS NULL OR a.job = $2)
                 ORDER BY a.id DESC LIMIT $3",
            )
            .bind(filter.schema)
            .bind(filter.job)
            .bind(filter.limit)
            .rows(tx)
            .await?;
            Ok(found)
        })?;
        let records = rows.iter().map(|row| self.application(row));
        let records: Result<_, _> = records.collect();
        records.map_err(|refusal| self.refused(doing, refusal))
    }

    fn application(&self, row: &Row) -> Result<ApplicationRecord, Refusal> {
        let steps = row.text("steps")?;
        let way = row.text("direction")?;
        let way = direction::from_word(&way)
            .ok_or_else(|| Refusal::Ours(self.corrupt("an application in no direction")))?;
        Ok(ApplicationRecord {
            application: Application {
                run: row.text("run")?,
                schema: row.text("schema")?,
                from: row.text_or_null("from_version")?,
                to: row.text("to_version")?,
                direction: way,
                job: row.text("job")?,
                store: row.text("store")?,
                who: row.text("who")?,
                hops: self.parse(&steps).map_err(Refusal::Ours)?,
            },
            status: Status::from_word(&row.text("status")?),
            started_at: row.text("started_at")?,
            ended_at: row.text_or_null("ended_at")?,
            counts: self.application_counts(row)?,
            // The run's is that of all its processes.
            duration_ms: match row.number("busy_ms")? {
                0 => row.number_or_null("duration_ms")?.unwrap_or_default() as u64,
                busy => busy as u64,
            },
            message: row.text_or_null("message")?,
        })
    }

    /// What a process said at its end, or what its run knows where it was killed before it could.
    fn application_counts(&self, row: &Row) -> Result<Option<ApplicationCounts>, Refusal> {
        if let Some(told) = self.parse_any(row.text_or_null("counts")?)? {
            return Ok(Some(told));
        }
        let report: Option<serde_json::Value> = self.parse_any(row.text_or_null("report")?)?;
        let is_over = row.text("status")? != Status::Running.word();
        Ok(report
            .filter(|_| is_over)
            .and_then(|report| ApplicationCounts::of(&report)))
    }
}

/// A [`Direction`] as a word.
mod direction {
    use dkhost_schema::Direction;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn from_word(word: &str) -> Option<Direction> {
        let both = [Direction::Up, Direction::Down];
        both.into_iter().find(|direction| direction.word() == word)
    }

    pub fn serialize<S: Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(direction.word())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Direction, D::Error> {
        let named = String::deserialize(from)?;
        from_word(&named).ok_or_else(|| D::Error::custom("a direction is `up` or `down`"))
    }
}
