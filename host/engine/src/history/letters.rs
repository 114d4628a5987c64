//! Dead letters in the history.
//!
//! A letter is open until some run brings its record in. A record that a retry refuses again is a
//! letter of the retry and names the one it repeats: of such a chain only the last is tried again,
//! and all of it is resolved when the record gets in.

use dkhost_core::{DeadLetter, Error, Result, StageKind};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::epoch::{self, Refusal};
use super::{History, point};

/// A dead letter with its number.
#[derive(Debug, Clone, Serialize)]
pub struct Letter {
    /// What `dkhost errors show` calls it.
    pub number: i64,
    /// The run that brought the record in after all.
    pub resolved_by: Option<String>,
    /// The letter.
    #[serde(flatten)]
    pub letter: DeadLetter,
}

/// Which dead letters.
#[derive(Debug, Clone, Copy, Default)]
pub struct LetterFilter<'a> {
    /// Of this run only.
    pub run: Option<&'a str>,
    /// Only those that no later run brought in.
    pub unresolved: bool,
    /// Only this one.
    pub number: Option<i64>,
    /// With larger numbers only, for paging.
    pub after: i64,
    /// So many at most.
    pub limit: u32,
}

/// Which letters a retry takes.
#[derive(Debug, Clone, Copy)]
pub struct OpenLetters<'a> {
    /// Of this job.
    pub job: &'a str,
    /// Of this run only.
    pub run: Option<&'a str>,
    /// Not those of this run: the retry that is taken up again.
    pub except: Option<&'a str>,
    /// So many at most.
    pub limit: u32,
}

/// A letter that a retry takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLetter {
    /// Its number.
    pub number: i64,
    /// Bytes kept of its payload.
    pub kept: u64,
    /// Bytes the payload had.
    pub length: u64,
}

impl History {
    /// Keeps dead letters of a run; a repeat of the same batch overwrites itself.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now.
    pub fn keep_letters(&self, epoch: u64, letters: &[DeadLetter]) -> Result<()> {
        let Some(first) = letters.first() else {
            return Ok(());
        };
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            epoch::check(&mut tx, &first.run, epoch).await?;
            for letter in letters {
                insert(letter).execute(&mut *tx).await?;
            }
            point("history.letters.prepared")?;
            tx.commit().await?;
            Ok::<_, Refusal>(point("history.letters.kept")?)
        });
        result.map_err(|cause| self.refused("keep dead letters", cause))
    }

    /// Drops the letters of batches that will be read again: from `batch` on in that partition.
    pub fn forget_letters(&self, run: &str, partition: u32, batch: u64) -> Result<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query =
            sqlx::query("DELETE FROM dead_letter WHERE run = ? AND partition = ? AND batch >= ?")
                .bind(run)
                .bind(partition as i64)
                .bind(batch as i64)
                .execute(&mut *inner.connection);
        inner
            .runtime
            .block_on(query)
            .map(drop)
            .map_err(|cause| self.error("forget dead letters", cause))
    }

    /// Dead letters by number, ascending.
    pub fn letters(&self, filter: LetterFilter<'_>) -> Result<Vec<Letter>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query = sqlx::query(
            "SELECT * FROM dead_letter WHERE (?1 IS NULL OR run = ?1) AND (NOT ?2 OR resolved_by IS NULL)
             AND (?3 IS NULL OR number = ?3) AND number > ?4 ORDER BY number LIMIT ?5",
        )
        .bind(filter.run)
        .bind(filter.unresolved)
        .bind(filter.number)
        .bind(filter.after)
        .bind(filter.limit as i64)
        .fetch_all(&mut *inner.connection);
        let rows = inner.runtime.block_on(query);
        self.parsed(rows)
    }

    /// The letters of a job that a retry takes: open, and not repeated by a later letter. Of one
    /// run only, if `run` is given; the letters of the retry `except` itself do not count.
    ///
    /// *Shape* – by number, ascending, at most `limit`.
    pub fn open_letters(&self, filter: OpenLetters<'_>) -> Result<Vec<OpenLetter>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query = sqlx::query_as::<_, (i64, i64, i64)>(
            "SELECT number, length(payload), payload_length FROM dead_letter letter
             WHERE job = ?1 AND resolved_by IS NULL AND (?2 IS NULL OR run = ?2) AND (?3 IS NULL OR run <> ?3)
             AND NOT EXISTS (SELECT 1 FROM dead_letter later WHERE later.repeats = letter.number AND (?3 IS NULL OR later.run <> ?3))
             ORDER BY number LIMIT ?4",
        )
        .bind(filter.job)
        .bind(filter.run)
        .bind(filter.except)
        .bind(filter.limit as i64)
        .fetch_all(&mut *inner.connection);
        let rows = inner
            .runtime
            .block_on(query)
            .map_err(|cause| self.error("look dead letters up", cause))?;
        let open = rows.into_iter().map(|(number, kept, length)| OpenLetter {
            number,
            kept: kept as u64,
            length: length as u64,
        });
        Ok(open.collect())
    }

    /// The letters with these numbers, ascending; those that are gone are left out.
    pub fn letters_numbered(&self, numbers: &[i64]) -> Result<Vec<Letter>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query = sqlx::query(
            "SELECT * FROM dead_letter WHERE number IN (SELECT value FROM json_each(?1)) ORDER BY number",
        )
        .bind(serde_json::json!(numbers).to_string())
        .fetch_all(&mut *inner.connection);
        let rows = inner.runtime.block_on(query);
        self.parsed(rows)
    }

    fn parsed(&self, rows: Result<Vec<SqliteRow>, sqlx::Error>) -> Result<Vec<Letter>> {
        let failed = |cause| self.error("read dead letters", cause);
        rows.map_err(failed)?
            .iter()
            .map(|row| letter(row).map_err(failed)?.ok_or_else(|| unreadable(self)))
            .collect()
    }

    /// How many dead letters a run has: all, and those that no later run brought in.
    pub fn count_letters(&self, run: &str) -> Result<(u64, u64)> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query = sqlx::query_as::<_, (i64, i64)>("SELECT count(*), count(*) FILTER (WHERE resolved_by IS NULL) FROM dead_letter WHERE run = ?")
            .bind(run)
            .fetch_one(&mut *inner.connection);
        let (all, open) = inner
            .runtime
            .block_on(query)
            .map_err(|cause| self.error("count dead letters", cause))?;
        Ok((all as u64, open as u64))
    }
}

/// Resolves those of `numbers` that `run` did not refuse again, and the letters they repeat.
pub(super) async fn resolve(
    transaction: &mut SqliteConnection,
    run: &str,
    numbers: &[i64],
) -> Result<(), sqlx::Error> {
    if numbers.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH RECURSIVE brought_in (number) AS (
             SELECT value FROM json_each(?2)
             WHERE value NOT IN (SELECT repeats FROM dead_letter WHERE run = ?1 AND repeats IS NOT NULL)
             UNION
             SELECT letter.repeats FROM dead_letter letter JOIN brought_in ON letter.number = brought_in.number
             WHERE letter.repeats IS NOT NULL)
         UPDATE dead_letter SET resolved_by = ?1 WHERE resolved_by IS NULL AND number IN (SELECT number FROM brought_in)",
    )
    .bind(run)
    .bind(serde_json::json!(numbers).to_string())
    .execute(transaction)
    .await
    .map(drop)
}

fn unreadable(history: &History) -> Error {
    Error::state(
        "state::corrupt",
        format!(
            "the history `{}` holds an unreadable dead letter",
            history.path().display()
        ),
    )
}

fn insert(
    letter: &DeadLetter,
) -> sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(
        r#"INSERT INTO dead_letter (job, run, partition, batch, row, source_id, locator, kind, stage, "column", code, message,
             plugin_digest, attempts, repeats, payload, media, payload_length, payload_sha256)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (run, partition, batch, row) DO UPDATE SET locator = excluded.locator, kind = excluded.kind, stage = excluded.stage,
             "column" = excluded."column", code = excluded.code, message = excluded.message, plugin_digest = excluded.plugin_digest,
             attempts = excluded.attempts, repeats = excluded.repeats,
             payload = excluded.payload, payload_length = excluded.payload_length, payload_sha256 = excluded.payload_sha256"#,
    )
    .bind(&letter.job)
    .bind(&letter.run)
    .bind(letter.partition as i64)
    .bind(letter.batch as i64)
    .bind(letter.row as i64)
    .bind(&letter.source_id)
    .bind(serde_json::to_string(&letter.locator).unwrap_or_default())
    .bind(letter.kind.word())
    .bind(&letter.stage)
    .bind(&letter.column)
    .bind(&letter.code)
    .bind(&letter.message)
    .bind(&letter.plugin_digest)
    .bind(letter.attempts as i64)
    .bind(letter.repeats)
    .bind(&letter.payload)
    .bind(&letter.media)
    .bind(letter.payload_length as i64)
    .bind(&letter.payload_sha256)
}

fn letter(row: &SqliteRow) -> Result<Option<Letter>, sqlx::Error> {
    let kind = serde_json::from_value::<StageKind>(serde_json::Value::String(row.try_get("kind")?));
    let locator = serde_json::from_str(row.try_get("locator")?);
    let (Ok(kind), Ok(locator)) = (kind, locator) else {
        return Ok(None);
    };
    Ok(Some(Letter {
        number: row.try_get("number")?,
        resolved_by: row.try_get("resolved_by")?,
        letter: DeadLetter {
            job: row.try_get("job")?,
            run: row.try_get("run")?,
            partition: row.try_get::<i64, _>("partition")? as u32,
            batch: row.try_get::<i64, _>("batch")? as u64,
            row: row.try_get::<i64, _>("row")? as u32,
            source_id: row.try_get("source_id")?,
            locator,
            kind,
            stage: row.try_get("stage")?,
            column: row.try_get("column")?,
            code: row.try_get("code")?,
            message: row.try_get("message")?,
            plugin_digest: row.try_get("plugin_digest")?,
            attempts: row.try_get::<i64, _>("attempts")? as u32,
            repeats: row.try_get("repeats")?,
            payload: row.try_get("payload")?,
            media: row.try_get("media")?,
            payload_length: row.try_get::<i64, _>("payload_length")? as u64,
            payload_sha256: row.try_get("payload_sha256")?,
        },
    }))
}
