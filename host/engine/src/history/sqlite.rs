//! A history in one SQLite file, readable by its owner only.

use std::path::Path;

use dkhost_core::{Class, Error, Result, fail};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};

/// Creates the file and its folder where they are absent.
pub(super) fn create(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    create_private_file(path)?;
    fail::point("history.open.created")
}

/// Opens the file and brings its tables up to date.
///
/// *Errors* – `state::corrupt` and `state::newer` leave the file untouched.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(std::time::Duration::from_secs(10))
        .disable_statement_logging();
    let connection = async {
        let mut connection = options.connect().await?;
        migrator().run_direct(None, &mut connection, false).await?;
        Ok::<_, MigrateError>(connection)
    };
    connection.await.map_err(|cause| open_error(path, cause))
}

/// An error of the driver while `doing` something.
pub(super) fn fault(path: &Path, doing: &str, cause: sqlx::Error) -> Error {
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
        format!("cannot {doing} in the history `{}`", path.display()),
    )
    .caused_by(cause);
    if code == "state::disk_full" {
        return error.help("free some space and run the same command again");
    }
    if class == Class::State {
        error.help(move_aside(path))
    } else {
        error
    }
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
        migration(3, "cursor", include_str!("migrations/0003_cursor.sql")),
        migration(
            4,
            "applications",
            include_str!("migrations/0004_applications.sql"),
        ),
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

pub(super) fn move_aside(path: &Path) -> String {
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
