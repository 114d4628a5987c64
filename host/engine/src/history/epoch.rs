//! Whose word counts about a run: that of the process whose epoch the history knows.
//!
//! A process may be paused, lose its lock, and go on after another took its run over. The target
//! refuses its next commit; the history refuses here, in the transaction of each change.

use dkhost_core::sink::fenced;
use dkhost_core::{Class, Error};

use super::statement::{Connection, statement};
use super::{History, Status, now};

/// Why something could not be recorded.
pub(super) enum Refusal {
    /// The driver failed.
    Driver(sqlx::Error),
    /// It says itself what there is to say, as when another process owns the run.
    Ours(Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(cause: sqlx::Error) -> Self {
        Refusal::Driver(cause)
    }
}

impl History {
    /// The error of `doing` something that was refused.
    pub(super) fn refused(&self, doing: &str, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Driver(cause) => self.error(doing, cause),
            Refusal::Ours(error) => error,
        }
    }
}

/// The epoch and status of a run, which stay so until the end of this transaction: the row is
/// written, and that keeps others from it in either store.
pub(super) async fn hold(
    transaction: &mut Connection,
    run: &str,
) -> Result<(u64, Status), Refusal> {
    let row = statement("UPDATE run SET updated_at = $2 WHERE id = $1 RETURNING epoch, status")
        .bind(run)
        .bind(now())
        .row(transaction)
        .await?;
    let status = Status::from_word(&row.text("status")?);
    Ok((row.number("epoch")? as u64, status))
}

/// Asks, inside a transaction, whether `run` is still in the epoch of this process.
///
/// *Errors* – `run::fenced` when it was taken over, `run::given_up` when a newer run took its place.
pub(super) async fn check(
    transaction: &mut Connection,
    run: &str,
    epoch: u64,
) -> Result<(), Refusal> {
    let (held, status) = hold(transaction, run).await?;
    if held != epoch {
        return Err(Refusal::Ours(fenced(run, epoch, held)));
    }
    if status == Status::Abandoned {
        let message = format!("run {run} was given up, and another one took its place");
        let error = Error::new(Class::Locked, "run::given_up", message);
        return Err(Refusal::Ours(
            error.help("`dkhost history` shows the run that goes on"),
        ));
    }
    Ok(())
}
