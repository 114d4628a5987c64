//! Whose word counts about a run: that of the process whose epoch the history knows.
//!
//! A process may be paused, lose its lock, and go on after another took its run over. The target
//! refuses its next commit; the history refuses here, in the transaction of each change.

use dkhost_core::sink::fenced;
use dkhost_core::{Class, Error};
use sqlx::SqliteConnection;

use super::{History, Status};

/// Why something could not be recorded.
pub(super) enum Refusal {
    /// The driver failed.
    Driver(sqlx::Error),
    /// Another process owns the run.
    NotOurs(Error),
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
            Refusal::NotOurs(error) => error,
        }
    }
}

/// Asks, inside a transaction, whether `run` is still in the epoch of this process.
///
/// *Errors* – `run::fenced` when it was taken over, `run::given_up` when a newer run took its place.
pub(super) async fn check(
    transaction: &mut SqliteConnection,
    run: &str,
    epoch: u64,
) -> Result<(), Refusal> {
    let (held, status) =
        sqlx::query_as::<_, (i64, String)>("SELECT epoch, status FROM run WHERE id = ?")
            .bind(run)
            .fetch_one(transaction)
            .await?;
    if held as u64 != epoch {
        return Err(Refusal::NotOurs(fenced(run, epoch, held as u64)));
    }
    if Status::from_word(&status) == Status::Abandoned {
        let message = format!("run {run} was given up, and another one took its place");
        let error = Error::new(Class::Locked, "run::given_up", message);
        return Err(Refusal::NotOurs(
            error.help("`dkhost history` shows the run that goes on"),
        ));
    }
    Ok(())
}
