//! Dead letters in the history.

use dkhost_core::{DeadLetter, Error, Result, StageKind};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row};

use super::History;

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

impl History {
    /// Keeps dead letters; a repeat of the same batch overwrites itself.
    pub fn keep_letters(&self, letters: &[DeadLetter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            for letter in letters {
                insert(letter).execute(&mut *tx).await?;
            }
            tx.commit().await
        });
        result.map_err(|cause| self.error("keep dead letters", cause))
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
                .execute(&mut inner.connection);
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
        .fetch_all(&mut inner.connection);
        let rows = inner
            .runtime
            .block_on(query)
            .map_err(|cause| self.error("read dead letters", cause))?;
        rows.iter()
            .map(|row| {
                letter(row)
                    .map_err(|cause| self.error("read dead letters", cause))?
                    .ok_or_else(|| unreadable(self))
            })
            .collect()
    }

    /// How many dead letters a run has: all, and those that no later run brought in.
    pub fn count_letters(&self, run: &str) -> Result<(u64, u64)> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let query = sqlx::query_as::<_, (i64, i64)>("SELECT count(*), count(*) FILTER (WHERE resolved_by IS NULL) FROM dead_letter WHERE run = ?")
            .bind(run)
            .fetch_one(&mut inner.connection);
        let (all, open) = inner
            .runtime
            .block_on(query)
            .map_err(|cause| self.error("count dead letters", cause))?;
        Ok((all as u64, open as u64))
    }
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
             plugin_digest, payload, media, payload_length, payload_sha256)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (run, partition, batch, row) DO UPDATE SET locator = excluded.locator, kind = excluded.kind, stage = excluded.stage,
             "column" = excluded."column", code = excluded.code, message = excluded.message, plugin_digest = excluded.plugin_digest,
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
            payload: row.try_get("payload")?,
            media: row.try_get("media")?,
            payload_length: row.try_get::<i64, _>("payload_length")? as u64,
            payload_sha256: row.try_get("payload_sha256")?,
        },
    }))
}
