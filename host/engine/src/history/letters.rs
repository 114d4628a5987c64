//! Dead letters in the history.
//!
//! A letter is open until some run brings its record in. A record that a retry refuses again is a
//! letter of the retry and names the one it repeats: of such a chain only the last is tried again,
//! and all of it is resolved when the record gets in.

use dkhost_core::{DeadLetter, Result, StageKind};
use serde::Serialize;

use super::epoch;
use super::statement::{Connection, Row, Statement, assembled, statement};
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
        let doing = "keep dead letters";
        self.write(doing, async |tx: &mut Connection| {
            epoch::check(tx, &first.run, epoch).await?;
            for some in letters.chunks(LETTERS_AT_ONCE) {
                insert(&last_of_each(some)).run(tx).await?;
            }
            point("history.letters.prepared")
        })?;
        self.passed("history.letters.kept", doing)
    }

    /// Drops the letters of batches that will be read again: from `batch` on in that partition.
    pub fn forget_letters(&self, run: &str, partition: u32, batch: u64) -> Result<()> {
        self.write("forget dead letters", async |tx: &mut Connection| {
            statement("DELETE FROM dead_letter WHERE run = $1 AND partition = $2 AND batch >= $3")
                .bind(run)
                .bind(partition)
                .bind(batch)
                .run(tx)
                .await
                .map_err(Into::into)
        })
    }

    /// Dead letters by number, ascending.
    pub fn letters(&self, filter: LetterFilter<'_>) -> Result<Vec<Letter>> {
        self.read_letters(|| {
            statement(
                "SELECT * FROM dead_letter WHERE ($1 IS NULL OR run = $1) AND ($2 = 0 OR resolved_by IS NULL)
                 AND ($3 IS NULL OR number = $3) AND number > $4 ORDER BY number LIMIT $5",
            )
            .bind(filter.run)
            .bind(filter.unresolved)
            .bind(filter.number)
            .bind(filter.after)
            .bind(filter.limit)
        })
    }

    /// The letters of a job that a retry takes: open, and not repeated by a later letter. Of one
    /// run only, if `run` is given; the letters of the retry `except` itself do not count.
    ///
    /// *Shape* – by number, ascending, at most `limit`.
    pub fn open_letters(&self, filter: OpenLetters<'_>) -> Result<Vec<OpenLetter>> {
        self.read("look dead letters up", async |tx: &mut Connection| {
            let rows = statement(
                "SELECT number, CAST(length(payload) AS BIGINT) AS kept, payload_length FROM dead_letter letter
                 WHERE job = $1 AND resolved_by IS NULL AND ($2 IS NULL OR run = $2) AND ($3 IS NULL OR run <> $3)
                 AND NOT EXISTS (SELECT 1 FROM dead_letter later WHERE later.repeats = letter.number AND ($3 IS NULL OR later.run <> $3))
                 ORDER BY number LIMIT $4",
            )
            .bind(filter.job)
            .bind(filter.run)
            .bind(filter.except)
            .bind(filter.limit)
            .rows(tx)
            .await?;
            let open = rows.iter().map(|row| {
                Ok(OpenLetter {
                    number: row.number("number")?,
                    kept: row.number("kept")? as u64,
                    length: row.number("payload_length")? as u64,
                })
            });
            open.collect::<Result<_, _>>()
        })
    }

    /// The letters with these numbers, ascending; those that are gone are left out.
    pub fn letters_numbered(&self, numbers: &[i64]) -> Result<Vec<Letter>> {
        let numbers = serde_json::json!(numbers).to_string();
        self.read_letters(|| {
            statement("SELECT * FROM dead_letter WHERE number IN (SELECT value FROM json_each($1)) ORDER BY number")
                .bind(&numbers)
        })
    }

    fn read_letters<'a>(&self, wanted: impl Fn() -> Statement<'a>) -> Result<Vec<Letter>> {
        let doing = "read dead letters";
        let rows = self.read(doing, async |tx: &mut Connection| {
            Ok(wanted().rows(tx).await?)
        })?;
        rows.iter()
            .map(|row| {
                letter(row)
                    .map_err(|cause| self.error(doing, cause))?
                    .ok_or_else(|| self.corrupt("an unreadable dead letter"))
            })
            .collect()
    }

    /// How many dead letters a run has: all, and those that no later run brought in.
    pub fn count_letters(&self, run: &str) -> Result<(u64, u64)> {
        self.read("count dead letters", async |tx: &mut Connection| {
            let row = statement("SELECT count(*) AS kept, count(*) FILTER (WHERE resolved_by IS NULL) AS open FROM dead_letter WHERE run = $1")
                .bind(run)
                .row(tx)
                .await?;
            Ok((row.number("kept")? as u64, row.number("open")? as u64))
        })
    }
}

/// Resolves those of `numbers` that `run` did not refuse again, and the letters they repeat.
pub(super) async fn resolve(
    transaction: &mut Connection,
    run: &str,
    numbers: &[i64],
) -> Result<(), sqlx::Error> {
    if numbers.is_empty() {
        return Ok(());
    }
    statement(
        "WITH RECURSIVE brought_in (number) AS (
             SELECT value FROM json_each($2)
             WHERE value NOT IN (SELECT repeats FROM dead_letter WHERE run = $1 AND repeats IS NOT NULL)
             UNION
             SELECT letter.repeats FROM dead_letter letter JOIN brought_in ON letter.number = brought_in.number
             WHERE letter.repeats IS NOT NULL)
         UPDATE dead_letter SET resolved_by = $1 WHERE resolved_by IS NULL AND number IN (SELECT number FROM brought_in)",
    )
    .bind(run)
    .bind(serde_json::json!(numbers).to_string())
    .run(transaction)
    .await
}

/// So many letters go in one statement: a word with a server costs more than a row.
const LETTERS_AT_ONCE: usize = 32;

/// The columns of a letter, in the order [`bound`] gives their values.
const COLUMNS: [&str; 19] = [
    "job",
    "run",
    "partition",
    "batch",
    "row",
    "source_id",
    "locator",
    "kind",
    "stage",
    "\"column\"",
    "code",
    "message",
    "plugin_digest",
    "attempts",
    "repeats",
    "payload",
    "media",
    "payload_length",
    "payload_sha256",
];

/// What a letter is told apart by; all else of it is replaced when it is written again.
const KEY: [&str; 5] = ["job", "run", "partition", "batch", "row"];

/// No record twice: one statement cannot write a row two times, and the later word counts.
fn last_of_each(letters: &[DeadLetter]) -> Vec<&DeadLetter> {
    let of = |letter: &DeadLetter| (letter.partition, letter.batch, letter.row);
    let is_last = |(index, letter): &(usize, &DeadLetter)| {
        letters[index + 1..]
            .iter()
            .all(|later| of(later) != of(letter))
    };
    let lasts = letters.iter().enumerate().filter(is_last);
    lasts.map(|(_, letter)| letter).collect()
}

fn insert<'a>(letters: &[&'a DeadLetter]) -> Statement<'a> {
    let values = (0..letters.len()).map(|letter| {
        let numbers = (1..=COLUMNS.len()).map(|n| format!("${}", letter * COLUMNS.len() + n));
        format!("({})", numbers.collect::<Vec<_>>().join(", "))
    });
    let replaced = COLUMNS.iter().filter(|column| !KEY.contains(column));
    let replaced = replaced.map(|column| format!("{column} = excluded.{column}"));
    let sql = format!(
        "INSERT INTO dead_letter ({}) VALUES {} ON CONFLICT (run, partition, batch, row) DO UPDATE SET {}",
        COLUMNS.join(", "),
        values.collect::<Vec<_>>().join(", "),
        replaced.collect::<Vec<_>>().join(", ")
    );
    letters
        .iter()
        .fold(assembled(sql), |statement, letter| bound(statement, letter))
}

fn bound<'a>(statement: Statement<'a>, letter: &'a DeadLetter) -> Statement<'a> {
    statement
        .bind(&letter.job)
        .bind(&letter.run)
        .bind(letter.partition)
        .bind(letter.batch)
        .bind(letter.row)
        .bind(&letter.source_id)
        .bind(serde_json::to_string(&letter.locator).unwrap_or_default())
        .bind(letter.kind.word())
        .bind(&letter.stage)
        .bind(&letter.column)
        .bind(&letter.code)
        .bind(&letter.message)
        .bind(&letter.plugin_digest)
        .bind(letter.attempts)
        .bind(letter.repeats)
        .bind(&letter.payload[..])
        .bind(&letter.media)
        .bind(letter.payload_length)
        .bind(&letter.payload_sha256)
}

fn letter(row: &Row) -> Result<Option<Letter>, sqlx::Error> {
    let kind = serde_json::from_value::<StageKind>(serde_json::Value::String(row.text("kind")?));
    let locator = serde_json::from_str(&row.text("locator")?);
    let (Ok(kind), Ok(locator)) = (kind, locator) else {
        return Ok(None);
    };
    Ok(Some(Letter {
        number: row.number("number")?,
        resolved_by: row.text_or_null("resolved_by")?,
        letter: DeadLetter {
            job: row.text("job")?,
            run: row.text("run")?,
            partition: row.number("partition")? as u32,
            batch: row.number("batch")? as u64,
            row: row.number("row")? as u32,
            source_id: row.text_or_null("source_id")?,
            locator,
            kind,
            stage: row.text("stage")?,
            column: row.text_or_null("column")?,
            code: row.text("code")?,
            message: row.text("message")?,
            plugin_digest: row.text_or_null("plugin_digest")?,
            attempts: row.number("attempts")? as u32,
            repeats: row.number_or_null("repeats")?,
            payload: row.bytes("payload")?,
            media: row.text("media")?,
            payload_length: row.number("payload_length")? as u64,
            payload_sha256: row.text("payload_sha256")?,
        },
    }))
}
