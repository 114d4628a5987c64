//! The log of runs: what ran, how far it came, what it refused.
//!
//! The history may lag behind the target, never lead it (invariant 6): a checkpoint is copied here
//! only after the target holds it durably, and dead letters are written before that. It is one
//! SQLite file, or a schema in a PostgreSQL database that several hosts share; whoever deletes it
//! loses the log, not data, because the target's own checkpoint is the authority.

mod applications;
mod cursor;
mod edits;
mod epoch;
mod letters;
mod lock;
mod lookup;
mod place;
mod postgres;
mod record;
mod runs;
mod sqlite;
mod statement;
mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dkhost_core::{Error, Result, fail};
use sqlx::Connection as _;

use epoch::Refusal;
use place::Place;
use statement::Connection;

pub use applications::{
    Application, ApplicationCounts, ApplicationEnd, ApplicationFilter, ApplicationRecord, Author,
    Hop,
};
pub use edits::{Edited, digest, edited};
pub use letters::{Letter, LetterFilter, OpenLetter, OpenLetters};
pub use lock::JobLock;
pub use place::StateUrl;
pub use record::{Base, NewRun, RunEnd, RunRecord, Status, Window};
pub use sqlite::create_private_folder;

/// An open history; clones share its connection.
#[derive(Clone)]
pub struct History {
    place: StateUrl,
    inner: Arc<Mutex<Inner>>,
}

/// The connection and the runtime its driver needs; used by one thread at a time.
struct Inner {
    runtime: tokio::runtime::Runtime,
    /// Absent after it was lost, until it is needed again.
    connection: Option<Connection>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Dropping it would leave the closing to the driver's thread, which the end of the process
        // cuts off, and with it what SQLite does at the end: to empty and remove the log.
        let _ = self.runtime.block_on(async {
            // Everything is committed already; a log that stays is read when it is opened next.
            match self.connection.take() {
                Some(Connection::Sqlite(connection)) => connection.close().await,
                Some(Connection::Postgres(connection)) => {
                    postgres::limited(postgres::FAREWELL, connection.close()).await
                }
                None => Ok(()),
            }
        });
    }
}

impl History {
    /// Opens the history at `place`; its file or its tables are made when absent.
    ///
    /// *Errors* – `state::corrupt`, `state::newer` and `state::foreign` leave it untouched;
    /// `state::unreachable`, `state::denied` and the like for a server.
    pub fn open(place: &StateUrl) -> Result<History> {
        if let Place::Sqlite(path) = place.place() {
            sqlite::create(path)?;
        }
        Self::connect(place, true)?
            .ok_or_else(|| Error::bug("a history that was made is not there"))
    }

    /// Opens the history at `place` if it is there.
    pub fn open_existing(place: &StateUrl) -> Result<Option<History>> {
        match place.place() {
            Place::Sqlite(path) if !path.exists() => Ok(None),
            _ => Self::connect(place, false),
        }
    }

    fn connect(place: &StateUrl, create: bool) -> Result<Option<History>> {
        let runtime = runtime()?;
        let connection = runtime.block_on(async {
            match place.place() {
                Place::Sqlite(path) => {
                    let connection = sqlite::connect(path).await?;
                    Ok(Some(Connection::Sqlite(Box::new(connection))))
                }
                Place::Postgres(options) => {
                    let failed = |cause| postgres::fault(place, "open what is kept", cause);
                    let connection = postgres::connect(options).await.map_err(failed)?;
                    let mut connection = Connection::Postgres(Box::new(connection));
                    let is_there = postgres::migrate(&mut connection, place, create).await?;
                    Ok::<_, Error>(is_there.then_some(connection))
                }
            }
        })?;
        Ok(connection.map(|connection| History {
            place: place.clone(),
            inner: Arc::new(Mutex::new(Inner {
                runtime,
                connection: Some(connection),
            })),
        }))
    }

    /// Where it is kept.
    pub fn place(&self) -> &StateUrl {
        &self.place
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the connection usable: every change is one transaction.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error of the driver while `doing` something means.
    fn error(&self, doing: &str, cause: sqlx::Error) -> Error {
        match self.place.place() {
            Place::Sqlite(path) => sqlite::fault(path, doing, cause),
            Place::Postgres(_) => postgres::fault(&self.place, doing, cause),
        }
    }

    /// The error for something in it that cannot be read.
    fn corrupt(&self, what: &str) -> Error {
        let error = Error::state(
            "state::corrupt",
            format!("the history `{}` holds {what}", self.place),
        );
        match self.place.place() {
            Place::Sqlite(path) => error.help(sqlite::move_aside(path)),
            Place::Postgres(_) => error.help(postgres::MOVE_ASIDE),
        }
    }

    /// A fail point behind a commit.
    fn passed(&self, name: &'static str, doing: &str) -> Result<()> {
        point(name).map_err(|refusal| self.refused(doing, refusal))
    }
}

/// A runtime for one connection.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| {
            Error::infrastructure("state::runtime", "cannot start the history's runtime")
                .caused_by(cause)
        })
}

/// A fail point inside a transaction.
fn point(name: &'static str) -> Result<(), Refusal> {
    fail::point(name).map_err(Refusal::Ours)
}

/// Now, as the history writes it: RFC 3339 in UTC with milliseconds.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
