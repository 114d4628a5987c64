//! Where a database is, and how it is opened: read-only for sources, with patience for targets.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dkhost_core::error::nearest;
use dkhost_core::{Class, Error, Options, Result, Span};
use rusqlite::{Connection, OpenFlags};

use crate::fault::fault;

/// How long a lock is waited for before the engine's own retries take over.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As the job file says it, for messages and fingerprints.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Where the job file says it.
    pub span: Span,
}

impl Place {
    /// Takes the `path` option.
    pub(crate) fn take(options: &mut Options, base: &Path) -> Result<Self> {
        let span = options.span_of("path");
        let name: String = options.require("path")?;
        if name == ":memory:" || name.is_empty() {
            return Err(Error::config(
                "sqlite::no_file",
                "a database in memory would be gone when the run ends",
            )
            .at(span, "name a file")
            .help("for trials without a file there is `backend = \"memory\"`"));
        }
        // `./` in front: SQLite takes a name that begins with `file:` for a URI.
        let path = if base.as_os_str().is_empty() {
            Path::new(".").join(&name)
        } else {
            base.join(&name)
        };
        let place = Place { name, path, span };
        // A link that leads nowhere at all is known now, not when the file is created.
        match std::fs::metadata(&place.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(place.unreachable(cause)),
            _ => Ok(place),
        }
    }

    /// The file alone, for labels.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Opens the database for reading; it must be there and is not changed.
    pub(crate) fn open_to_read(&self) -> Result<Connection> {
        if !self.exists() {
            return Err(self.missing());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self.try_open(&self.path, flags) {
            // A database in WAL mode cannot be read from a folder nobody may write to, unless it
            // is known that nobody writes: which is so when there is no log beside it.
            Err(error) if error.code() == "sqlite::cannot_open" && !self.has_log() => {
                self.try_open(&self.immutable(), flags | OpenFlags::SQLITE_OPEN_URI)
            }
            opened => opened,
        }
    }

    /// Opens a target to look at it. Where a process was killed in a transaction, looking means
    /// first to undo that, which SQLite does for whoever may write.
    pub(crate) fn open_to_look(&self) -> Result<Connection> {
        match self.open_to_read() {
            Err(error) if ["sqlite::read_only", "sqlite::cannot_open"].contains(&error.code()) => {
                self.open_to_write(false)
            }
            opened => opened,
        }
    }

    /// Opens the database for writing; created when `create` says so.
    pub(crate) fn open_to_write(&self, create: bool) -> Result<Connection> {
        if !self.exists() {
            if !create {
                return Err(self.missing());
            }
            if let Some(folder) = self.path.parent().filter(|folder| !folder.is_dir()) {
                create_folder(folder)?;
            }
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let create = if create {
            OpenFlags::SQLITE_OPEN_CREATE
        } else {
            OpenFlags::empty()
        };
        let connection = self.try_open(&self.path, flags | create)?;
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;",
            )
            .map_err(|cause| fault(format!("open the database `{}`", self.name), cause))?;
        Ok(connection)
    }

    fn try_open(&self, path: &Path, flags: OpenFlags) -> Result<Connection> {
        // Opening a pipe would wait for somebody to write.
        if std::fs::metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return Err(
                Error::config("sqlite::not_a_file", format!("`{}` is no file", self.name))
                    .at(self.span.clone(), "this path")
                    .help("name the file of a database"),
            );
        }
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // SQLite looks at the file only now.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        };
        open().map_err(|cause| {
            fault(format!("open the database `{}`", self.name), cause).at_least(self.span.clone())
        })
    }

    fn has_log(&self) -> bool {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
    }

    fn immutable(&self) -> PathBuf {
        let mut uri = "file:".to_owned();
        for byte in self.path.to_string_lossy().bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' => uri.push(byte as char),
                _ if byte.is_ascii_alphanumeric() => uri.push(byte as char),
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        PathBuf::from(uri + "?immutable=1")
    }

    fn unreachable(&self, cause: std::io::Error) -> Error {
        Error::io("open the database", Path::new(&self.name), cause)
            .with_class(Class::Config)
            .at(self.span.clone(), "this path")
            .help_at_least("name a file that can be reached")
    }

    /// The error for a file that is not there, with those that are.
    fn missing(&self) -> Error {
        let absent = std::io::Error::from(ErrorKind::NotFound);
        let error = Error::io("open the database", Path::new(&self.name), absent)
            .with_class(Class::Config)
            .at_least(self.span.clone());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let wanted = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        match nearest(&wanted, names.iter().map(String::as_str)) {
            Some(near) => error.help(format!(
                "did you mean `{near}`? paths are relative to the job file"
            )),
            None => error,
        }
    }
}

/// Creates a folder and those above it. Each is in its parent after a power cut: SQLite syncs only
/// the folder the database lies in.
fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|cause| Error::io("create the folder", folder, cause))?;
    for above in folder.ancestors().skip(1) {
        let synced = std::fs::File::open(above).and_then(|open| open.sync_all());
        if synced.is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path, name: &str) -> Place {
        let json = serde_json::json!({ "path": name });
        Place::take(&mut Options::from_json("[source]", &json).unwrap(), folder).unwrap()
    }

    #[test]
    fn a_missing_database_names_the_near_one_and_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        place(folder.path(), "movies.db")
            .open_to_write(true)
            .unwrap()
            .execute_batch("create table t(a)")
            .unwrap();
        let wrong = place(folder.path(), "movie.db");
        let error = wrong.open_to_read().unwrap_err();
        assert_eq!(error.code(), "io::not_found");
        assert!(error.help_text().unwrap().contains("`movies.db`"));
        assert!(!wrong.exists());
        assert_eq!(
            wrong.open_to_write(false).unwrap_err().code(),
            "io::not_found"
        );
    }

    #[test]
    fn a_file_that_is_no_database_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.db"), "name,age\n".repeat(100)).unwrap();
        let error = place(folder.path(), "a.db").open_to_read().unwrap_err();
        assert_eq!(error.code(), "sqlite::not_a_database");
    }

    #[test]
    fn a_name_like_a_uri_is_a_file_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let odd = place(folder.path(), "file:a?mode=ro #1.db");
        odd.open_to_write(true)
            .unwrap()
            .execute_batch("create table t(a)")
            .unwrap();
        assert!(odd.exists());
        let plain = Connection::open_with_flags(
            odd.immutable(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        );
        assert!(plain.unwrap().prepare("select * from t").is_ok());
    }
}
