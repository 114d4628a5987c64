//! Up to where an incremental job has come.
//!
//! The cursor is that of the last run that ended: it moves in the transaction that says so, so that
//! a run that never ends leaves it where it was, and the next one reads the same records again.

use dkhost_core::Result;

use super::statement::{Connection, statement};
use super::{History, Window, now};

impl History {
    /// What the last finished run of a job read: its `until` is where the next one begins.
    pub fn cursor(&self, job: &str) -> Result<Option<Window>> {
        let body = self.read("read a cursor", async |tx: &mut Connection| {
            let rows = statement("SELECT body FROM job_cursor WHERE job = $1")
                .bind(job)
                .rows(tx)
                .await?;
            let body = rows.first().map(|row| row.text("body"));
            Ok(body.transpose()?)
        })?;
        body.map(|body| self.parse(&body)).transpose()
    }
}

/// Moves the job's cursor to where `run` has read, inside the transaction that marks it as done.
pub(super) async fn move_on(transaction: &mut Connection, run: &str) -> Result<(), sqlx::Error> {
    statement(
        "INSERT INTO job_cursor (job, body, run, moved_at)
         SELECT job, cursor, id, $1 FROM run WHERE id = $2 AND kind = 'run' AND cursor IS NOT NULL
         ON CONFLICT (job) DO UPDATE SET body = excluded.body, run = excluded.run, moved_at = excluded.moved_at",
    )
    .bind(now())
    .bind(run)
    .run(transaction)
    .await
}
