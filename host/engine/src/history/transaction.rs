//! Every word with the history is one transaction: done whole, or not at all.
//!
//! A server may go away in the middle. Whatever was not committed is then done again from its
//! beginning on a new connection; where the reply to a commit is lost, the server is asked what
//! became of that transaction before anything is repeated.

use std::time::{Duration, Instant};

use dkhost_core::Result;

use super::epoch::Refusal;
use super::place::Place;
use super::postgres::{self, STEP_TIMEOUT, execute, limited, passes};
use super::statement::{Connection, statement};
use super::{History, Inner};

/// How long a server that was there may be away: as long as a restart takes. The retries of a run
/// come on top.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(150);

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// How one try ended.
enum Tried<T> {
    Done(T),
    /// For good.
    Refused(Refusal),
    /// Nothing of it is in the history, and it may be tried again.
    Lost(sqlx::Error),
    /// Whether the transaction of this number is in the history is not known.
    Doubt(T, i64, sqlx::Error),
}

impl History {
    /// What `work` reads, all from one state of the history.
    pub(super) fn read<T>(
        &self,
        doing: &str,
        work: impl AsyncFnMut(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T> {
        self.transact(doing, Purpose::Read, work)
    }

    /// Does `work` and commits it.
    pub(super) fn write<T>(
        &self,
        doing: &str,
        work: impl AsyncFnMut(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T> {
        self.transact(doing, Purpose::Write, work)
    }

    fn transact<T>(
        &self,
        doing: &str,
        purpose: Purpose,
        mut work: impl AsyncFnMut(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T> {
        let mut inner = self.lock();
        let Inner {
            runtime,
            connection,
        } = &mut *inner;
        let done = runtime.block_on(async {
            let until = Instant::now() + PATIENCE;
            loop {
                let cause = match self.attempt(connection, purpose, &mut work).await {
                    Tried::Done(value) => return Ok(value),
                    Tried::Refused(refusal) => return Err(refusal),
                    Tried::Lost(cause) => cause,
                    Tried::Doubt(value, number, cause) => {
                        *connection = None;
                        match self.is_committed(connection, number, until).await {
                            Some(true) => return Ok(value),
                            Some(false) => cause,
                            None => return Err(Refusal::Driver(cause)),
                        }
                    }
                };
                *connection = None;
                if Instant::now() > until {
                    return Err(Refusal::Driver(cause));
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        done.map_err(|refusal| self.refused(doing, refusal))
    }

    async fn attempt<T>(
        &self,
        slot: &mut Option<Connection>,
        purpose: Purpose,
        work: &mut impl AsyncFnMut(&mut Connection) -> Result<T, Refusal>,
    ) -> Tried<T> {
        let connection = match self.connected(slot).await {
            Ok(connection) => connection,
            Err(refusal) => return self.tried(refusal),
        };
        let number = match begin(connection, purpose).await {
            Ok(number) => number,
            Err(cause) => return self.tried(Refusal::Driver(cause)),
        };
        let value = match work(connection).await {
            Ok(value) => value,
            Err(refusal) => {
                let gone = matches!(refusal, Refusal::Driver(sqlx::Error::Io(_)));
                if gone || roll_back(connection).await.is_err() {
                    *slot = None;
                }
                return self.tried(refusal);
            }
        };
        match (limited_for(connection, "COMMIT").await, number) {
            (Ok(()), _) => Tried::Done(value),
            (Err(_), _) if purpose == Purpose::Read => {
                *slot = None;
                Tried::Done(value)
            }
            (Err(cause), Some(number)) if passes(&cause) => Tried::Doubt(value, number, cause),
            (Err(cause), _) => {
                let _ = roll_back(connection).await;
                Tried::Refused(Refusal::Driver(cause))
            }
        }
    }

    /// The connection, made anew where it was lost.
    async fn connected<'c>(
        &self,
        slot: &'c mut Option<Connection>,
    ) -> Result<&'c mut Connection, Refusal> {
        let connection = match (slot.take(), self.place.place()) {
            (Some(connection), _) => connection,
            (None, Place::Sqlite(path)) => {
                let connection = super::sqlite::connect(path).await;
                Connection::Sqlite(Box::new(connection.map_err(Refusal::Ours)?))
            }
            (None, Place::Postgres(options)) => {
                Connection::Postgres(Box::new(postgres::connect(options).await?))
            }
        };
        Ok(slot.insert(connection))
    }

    fn tried<T>(&self, refusal: Refusal) -> Tried<T> {
        match refusal {
            Refusal::Driver(cause) if self.place.is_server() && passes(&cause) => {
                Tried::Lost(cause)
            }
            // SQLite has done its waiting by then.
            other => Tried::Refused(other),
        }
    }

    /// Asks what became of a transaction whose commit was not answered; `None` if that cannot be
    /// found out in time.
    async fn is_committed(
        &self,
        slot: &mut Option<Connection>,
        number: i64,
        until: Instant,
    ) -> Option<bool> {
        while Instant::now() < until {
            let asked = async {
                let connection = self.connected(slot).await?;
                begin(connection, Purpose::Read).await?;
                let row = statement("SELECT txid_status($1) AS status")
                    .bind(number)
                    .row(connection)
                    .await?;
                roll_back(connection).await?;
                Ok::<_, Refusal>(row.text_or_null("status")?)
            };
            match asked.await.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Some(true),
                // The old session may still be at it.
                Ok(Some("in progress")) => {}
                Ok(_) => return Some(false),
                // A number this server has not come to: it took over from one that had.
                Err(Refusal::Driver(cause)) if is_future(cause) => {
                    *slot = None;
                    return Some(false);
                }
                Err(_) => *slot = None,
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }
}

fn is_future(cause: &sqlx::Error) -> bool {
    let code = cause.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("22023")
}

/// Begins; for a transaction that writes on a server, its number there.
async fn begin(connection: &mut Connection, purpose: Purpose) -> sqlx::Result<Option<i64>> {
    match (&connection, purpose) {
        (Connection::Sqlite(_), Purpose::Read) => execute(connection, "BEGIN").await?,
        (Connection::Sqlite(_), Purpose::Write) => execute(connection, "BEGIN IMMEDIATE").await?,
        (Connection::Postgres(_), Purpose::Read) => {
            limited_for(connection, postgres::BEGIN_READ).await?;
        }
        (Connection::Postgres(_), Purpose::Write) => {
            limited_for(connection, postgres::BEGIN_WRITE).await?;
            // What is committed here must outlive the server's crash: dead letters are written
            // before the checkpoint moves past their records.
            let number = statement(
                "SELECT txid_current() AS number, CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END AS durable",
            );
            let row = limited(STEP_TIMEOUT, number.row(connection)).await?;
            return row.number("number").map(Some);
        }
    }
    Ok(None)
}

async fn limited_for(connection: &mut Connection, sql: &'static str) -> sqlx::Result<()> {
    match connection {
        Connection::Sqlite(_) => execute(connection, sql).await,
        Connection::Postgres(_) => limited(STEP_TIMEOUT, execute(connection, sql)).await,
    }
}

async fn roll_back(connection: &mut Connection) -> sqlx::Result<()> {
    let rolled_back = limited_for(connection, "ROLLBACK").await;
    match connection {
        // Some errors roll back by themselves, and then there is nothing to roll back.
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(_) => rolled_back,
    }
}
