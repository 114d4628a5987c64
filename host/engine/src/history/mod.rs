//! The log of runs: what ran, how far it came, what it refused.
//!
//! The history may lag behind the target, never lead it (invariant 6): a checkpoint is copied here
//! only after the target holds it durably, and dead letters are written before that. It is one
//! SQLite file, created readable by its owner only; whoever deletes it loses the log, not data,
//! because the target's own checkpoint is the authority.

mod epoch;
mod letters;
mod lock;
mod lookup;
mod record;
mod runs;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dkhost_core::{Class, Error, Result, fail};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection};

pub use letters::{Letter, LetterFilter, OpenLetter, OpenLetters};
pub use lock::JobLock;
pub use record::{Base, NewRun, RunEnd, RunRecord, Status};

/// An open history; clones share its connection.
#[derive(Clone)]
pub struct History {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

/// The connection and the runtime its driver needs; used by one thread at a time.
struct Inner {
    runtime: tokio::runtime::Runtime,
    connection: Connected,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Dropping it would leave the closing to the driver's thread, which the end of the process
        // cuts off, and with it what SQLite does at the end: to empty and remove the log.
        if let Some(connection) = self.connection.0.take() {
            // Everything is committed already; a log that stays is read when it is opened next.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

/// A connection that closing takes away; nothing but the drop of [`Inner`] does.
struct Connected(Option<SqliteConnection>);

impl Deref for Connected {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match &self.0 {
            Some(connection) => connection,
            None => unreachable!("only a drop closes the history"),
        }
    }
}

impl DerefMut for Connected {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match &mut self.0 {
            Some(connection) => connection,
            None => unreachable!("only a drop closes the history"),
        }
    }
}

impl History {
    /// Opens the history at `path`, creating the file and its folder when absent.
    ///
    /// *Errors* – `state::corrupt` and `state::newer` leave the file untouched.
    pub fn open(path: &Path) -> Result<History> {
        if let Some(folder) = path.parent() {
            create_private_folder(folder)?;
        }
        create_private_file(path)?;
        fail::point("history.open.created")?;
        Self::connect(path)
    }

    /// Opens the history at `path` if it is there.
    pub fn open_existing(path: &Path) -> Result<Option<History>> {
        if path.exists() {
            Self::connect(path).map(Some)
        } else {
            Ok(None)
        }
    }

    fn connect(path: &Path) -> Result<History> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|cause| {
                Error::infrastructure("state::runtime", "cannot start the history's runtime")
                    .caused_by(cause)
            })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(10))
            .disable_statement_logging();
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await?;
            migrator().run_direct(None, &mut connection, false).await?;
            Ok::<_, MigrateError>(connection)
        });
        let connection = connection.map_err(|cause| open_error(path, cause))?;
        Ok(History {
            path: path.to_path_buf(),
            inner: Arc::new(Mutex::new(Inner {
                runtime,
                connection: Connected(Some(connection)),
            })),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the connection usable: every change is one transaction.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, doing: &str, cause: sqlx::Error) -> Error {
        let class = match code_of(&cause) {
            Some(11 | 26) => Class::State,
            Some(5 | 6) => Class::Transient,
            _ => Class::Infrastructure,
        };
        let code = match (class, code_of(&cause)) {
            (Class::State, _) => "state::corrupt",
            (_, Some(13)) => "state::disk_full",
            _ => "state::failed",
        };
        let error = Error::new(
            class,
            code,
            format!("cannot {doing} in the history `{}`", self.path.display()),
        )
        .caused_by(cause);
        if code == "state::disk_full" {
            return error.help("free some space and run the same command again");
        }
        if class == Class::State {
            error.help(move_aside(&self.path))
        } else {
            error
        }
    }
}

/// A fail point inside a transaction, whose errors are the driver's.
fn point(name: &'static str) -> Result<(), sqlx::Error> {
    fail::point(name).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))
}

/// SQLite's primary result code.
///
/// *Source* – "Result and Error Codes": the low byte of an extended code.
fn code_of(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn migrator() -> Migrator {
    let migration = |version, description: &'static str, sql: &'static str| {
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(1, "runs", include_str!("migrations/0001_runs.sql")),
        migration(2, "attempts", include_str!("migrations/0002_attempts.sql")),
    ])
}

fn open_error(path: &Path, cause: MigrateError) -> Error {
    let shown = path.display();
    match &cause {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Error::state(
            "state::newer",
            format!("the history `{shown}` was written by a newer dkhost"),
        )
        .help("use that version, or name another file in [state] url")
        .caused_by(cause),
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => Error::state(
            "state::corrupt",
            format!("the history `{shown}` is not as dkhost left it"),
        )
        .help(move_aside(path))
        .caused_by(cause),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            match code_of(error) {
                Some(5 | 6) => Error::new(
                    Class::Locked,
                    "state::busy",
                    format!("the history `{shown}` is locked by another process"),
                )
                .help("wait for it to finish; `fuser` names the process")
                .caused_by(cause),
                Some(8 | 14) => Error::infrastructure(
                    "state::unwritable",
                    format!("the history `{shown}` cannot be written"),
                )
                .help("check its permissions, or name another file in [state] url")
                .caused_by(cause),
                Some(13) => Error::infrastructure(
                    "state::disk_full",
                    format!("no space left for the history `{shown}`"),
                )
                .help("free some space and run the same command again")
                .caused_by(cause),
                Some(10) => Error::infrastructure(
                    "state::failed",
                    format!("the history `{shown}` cannot be read or written"),
                )
                .help("run the same command again once the disk is well")
                .caused_by(cause),
                _ => Error::state(
                    "state::corrupt",
                    format!("`{shown}` is not a usable history"),
                )
                .help(move_aside(path))
                .caused_by(cause),
            }
        }
        _ => Error::state(
            "state::corrupt",
            format!("`{shown}` is not a usable history"),
        )
        .help(move_aside(path))
        .caused_by(cause),
    }
}

fn move_aside(path: &Path) -> String {
    format!(
        "nothing was changed. Move it aside (mv {0} {0}.broken) and run again: targets keep their own checkpoints, an unfinished run goes on from there",
        path.display()
    )
}

/// Creates a folder (and those above it) that only its owner may enter.
pub fn create_private_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|cause| Error::io("create the state folder", folder, cause))
}

fn create_private_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(Error::io("create the history", path, cause)),
    }
}

/// Now, as the history writes it: RFC 3339 in UTC with milliseconds.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
