//! Writing a run down: its begin, who takes it over, how far it came, its end.
//!
//! A process that was paused while another took its run over finds that out here too: whatever it
//! would still record is refused, so that it can neither end nor move the run of its successor.

use dkhost_core::sink::fenced;
use dkhost_core::{Checkpoint, Result};
use serde::Serialize;

use super::epoch::{self, Refusal};
use super::statement::{Connection, Statement, statement};
use super::{Base, History, NewRun, RunEnd, Status, cursor, letters, now, point};

impl History {
    /// Records a run that begins, and marks an unfinished one of the same job as abandoned.
    pub fn begin(&self, run: &NewRun, epoch: u64, base: Option<&Base>) -> Result<()> {
        let doing = "record the run";
        let base = base.map(json);
        self.write(doing, async |tx: &mut Connection| {
            // Two processes that both believe to have the job begin one after the other.
            tx.alone(&run.job).await?;
            statement("UPDATE run SET status = 'abandoned', updated_at = $1 WHERE job = $2 AND status IN ('running', 'stopped', 'failed')")
                .bind(now())
                .bind(&run.job)
                .run(tx)
                .await?;
            insert(run, epoch, base.as_deref(), &now()).run(tx).await?;
            for (stage, name, digest) in &run.plugins {
                statement(
                    "INSERT INTO plugin (run, stage, name, digest) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (run, stage) DO UPDATE SET name = excluded.name, digest = excluded.digest",
                )
                .bind(&run.id)
                .bind(stage)
                .bind(name)
                .bind(digest)
                .run(tx)
                .await?;
            }
            point("history.begin.prepared")
        })?;
        self.passed("history.begin.committed", doing)
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
        let doing = "take the run over";
        let base = base.map(json);
        self.write(doing, async |tx: &mut Connection| {
            let (held, _) = epoch::hold(tx, run).await?;
            if held >= epoch {
                return Err(Refusal::Ours(fenced(run, epoch, held)));
            }
            statement("UPDATE run SET status = 'running', epoch = $1, plan_hash = $2, base = $3, updated_at = $4, message = NULL, exit_code = NULL WHERE id = $5")
                .bind(epoch)
                .bind(plan_hash)
                .bind(base.as_deref())
                .bind(now())
                .bind(run)
                .run(tx)
                .await?;
            statement("INSERT INTO remark (run, at, text) VALUES ($1, $2, $3)")
                .bind(run)
                .bind(now())
                .bind(remark)
                .run(tx)
                .await?;
            point("history.take-over.prepared")
        })?;
        self.passed("history.take-over.committed", doing)
    }

    /// Copies checkpoints the target holds durably.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now.
    pub fn copy_checkpoints(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        let doing = "copy a checkpoint";
        self.write(doing, async |tx: &mut Connection| {
            for checkpoint in checkpoints {
                epoch::check(tx, &checkpoint.run, checkpoint.epoch).await?;
                statement(
                    "INSERT INTO checkpoint (run, partition, seq, epoch, body, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (run, partition) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, body = excluded.body, updated_at = excluded.updated_at
                     WHERE excluded.epoch >= checkpoint.epoch",
                )
                .bind(&checkpoint.run)
                .bind(checkpoint.partition)
                .bind(checkpoint.seq)
                .bind(checkpoint.epoch)
                .bind(json(checkpoint))
                .bind(now())
                .run(tx)
                .await?;
            }
            point("history.copy.prepared")
        })?;
        self.passed("history.copy.committed", doing)
    }

    /// Records how the process that worked on `run` in `epoch` ended; the cursor of an incremental job
    /// moves in the same transaction, when the run is done.
    ///
    /// *Errors* – `run::fenced`, `run::given_up`: the run is another process's by now, and stays as
    /// that one says.
    pub fn end(&self, run: &str, epoch: u64, end: &RunEnd) -> Result<()> {
        let doing = "record the end of the run";
        let report = end.report.to_string();
        self.write(doing, async |tx: &mut Connection| {
            epoch::check(tx, run, epoch).await?;
            letters::resolve(tx, run, &end.resolves).await?;
            statement(
                "UPDATE run SET status = $1, exit_code = $2, message = $3, report = $4, updated_at = $5, busy_ms = busy_ms + $6, cpu_ms = cpu_ms + $7,
                 finished_at = CASE WHEN $1 = 'done' THEN $5 ELSE finished_at END WHERE id = $8",
            )
            .bind(end.status.word())
            .bind(end.exit_code)
            .bind(&end.message)
            .bind(&report)
            .bind(now())
            .bind(end.busy_ms)
            .bind(end.cpu_ms)
            .bind(run)
            .run(tx)
            .await?;
            if end.status == Status::Done {
                cursor::move_on(tx, run).await?;
            }
            point("history.end.prepared")
        })?;
        self.passed("history.end.committed", doing)
    }
}

fn insert<'a>(run: &'a NewRun, epoch: u64, base: Option<&'a str>, now: &'a str) -> Statement<'a> {
    statement(
        "INSERT INTO run (id, job, kind, status, epoch, plan_hash, fingerprint, partitions, base, source, target, delivery, job_path, started_at, updated_at, cursor)
         VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)",
    )
    .bind(&run.id)
    .bind(&run.job)
    .bind(run.kind)
    .bind(epoch)
    .bind(&run.plan_hash)
    .bind(run.fingerprint.to_string())
    .bind(json(&run.partitions))
    .bind(base)
    .bind(&run.source)
    .bind(&run.target)
    .bind(&run.delivery)
    .bind(&run.job_path)
    .bind(now)
    .bind(run.cursor.as_ref().map(json))
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
