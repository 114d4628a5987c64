//! Writing a run down: its begin, who takes it over, how far it came, its end.
//!
//! A process that was paused while another took its run over finds that out here too: whatever it
//! would still record is refused, so that it can neither end nor move the run of its successor.

use dkhost_core::sink::fenced;
use dkhost_core::{Checkpoint, Result};
use serde::Serialize;
use sqlx::Connection;

use super::epoch::{self, Refusal};
use super::{Base, History, NewRun, RunEnd, letters, now, point};

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
            point("history.begin.prepared")?;
            tx.commit().await?;
            point("history.begin.committed")
        });
        result.map_err(|cause| self.error("record the run", cause))
    }

    /// Records that a process takes an unfinished run over: in a greater epoch than all before it.
    ///
    /// *Errors* – `run::fenced` when another process was faster.
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
            let held = sqlx::query_scalar::<_, i64>("SELECT epoch FROM run WHERE id = ?")
                .bind(run)
                .fetch_one(&mut *tx)
                .await?;
            if held as u64 >= epoch {
                return Err(Refusal::NotOurs(fenced(run, epoch, held as u64)));
            }
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
            point("history.take-over.prepared")?;
            tx.commit().await?;
            Ok(point("history.take-over.committed")?)
        });
        result.map_err(|cause| self.refused("take the run over", cause))
    }

    /// Copies checkpoints the target holds durably.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now.
    pub fn copy_checkpoints(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            for checkpoint in checkpoints {
                epoch::check(&mut tx, &checkpoint.run, checkpoint.epoch).await?;
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
            point("history.copy.prepared")?;
            tx.commit().await?;
            Ok(point("history.copy.committed")?)
        });
        result.map_err(|cause| self.refused("copy a checkpoint", cause))
    }

    /// Records how the process that worked on `run` in `epoch` ended.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now, and stays as
    /// that one says.
    pub fn end(&self, run: &str, epoch: u64, end: &RunEnd) -> Result<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let result = inner.runtime.block_on(async {
            let mut tx = inner.connection.begin_with("BEGIN IMMEDIATE").await?;
            epoch::check(&mut tx, run, epoch).await?;
            letters::resolve(&mut tx, run, &end.resolves).await?;
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
            point("history.end.prepared")?;
            tx.commit().await?;
            Ok(point("history.end.committed")?)
        });
        result.map_err(|cause| self.refused("record the end of the run", cause))
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
