//! What SQLite's errors mean for a run: whether to try again, and what to type next.
//!
//! *Source* – <https://sqlite.org/rescode.html>.

use dkhost_core::{Class, Error};
use rusqlite::ErrorCode;

/// The error of `doing` something: "cannot read table `movies` in movies.db".
pub(crate) fn fault(doing: impl Into<String>, cause: rusqlite::Error) -> Error {
    let (class, code, help) = meaning(&cause);
    let error = Error::new(class, code, format!("cannot {}", doing.into())).caused_by(cause);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

type Meaning = (Class, &'static str, Option<&'static str>);

fn meaning(cause: &rusqlite::Error) -> Meaning {
    use Class::{Config, Data, Infrastructure, Transient};
    // In WAL mode a full disk is first met by the file that processes share.
    let full =
        |error: &rusqlite::ffi::Error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Transient,
            "sqlite::busy",
            Some(
                "another process is writing to this database; run the same command again when it is done",
            ),
        ),
        code if code == Some(ErrorCode::DiskFull) || cause.sqlite_error().is_some_and(full) => (
            Infrastructure,
            "sqlite::disk_full",
            Some("free some space and run the same command again: it goes on where it stopped"),
        ),
        Some(ErrorCode::SystemIoFailure) => (
            Infrastructure,
            "sqlite::io",
            Some(
                "the disk refused to read or write; when it works again, run the same command again",
            ),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            Infrastructure,
            "sqlite::corrupt",
            Some(
                "the database file is damaged: see `sqlite3 FILE 'pragma integrity_check'`, and `.recover` to save what is left",
            ),
        ),
        Some(ErrorCode::NotADatabase) => (
            Config,
            "sqlite::not_a_database",
            Some("`path` must name an SQLite database; this file is something else, or encrypted"),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            Infrastructure,
            "sqlite::read_only",
            Some("check who may write the database file and its folder"),
        ),
        Some(ErrorCode::CannotOpen) => (
            Infrastructure,
            "sqlite::cannot_open",
            Some(
                "check the path and who may read it; SQLite also needs to write beside a database in WAL mode",
            ),
        ),
        Some(ErrorCode::ConstraintViolation) => (Data, "sqlite::constraint", None),
        Some(ErrorCode::SchemaChanged) => (
            Infrastructure,
            "sqlite::schema_changed",
            Some("somebody changed the tables meanwhile; run the same command again"),
        ),
        _ => (Infrastructure, "sqlite::failed", None),
    }
}

/// Whether a statement failed because of its row alone, and nothing else was undone.
pub(crate) fn is_about_the_row(cause: &rusqlite::Error) -> bool {
    matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

/// SQLite's own words.
pub(crate) fn words(cause: &rusqlite::Error) -> String {
    match cause {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
