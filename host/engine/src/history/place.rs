//! Where a history is kept: `sqlite:PATH` or `postgres://…`, without a place where a password could
//! slip out.

use std::fmt;
use std::path::{Path, PathBuf};

use dkhost_core::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::postgres::SCHEMA;

/// What a state may be, for helps.
const FORMS: &str = "use sqlite:PATH or postgres://user@host:5432/database";

/// Parameters of a `postgres://` address that mean something here.
const PARAMETERS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The place of a history. Shown and debugged without its password.
#[derive(Clone)]
pub struct StateUrl(Place);

#[derive(Clone)]
pub(super) enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A schema of its own in a database.
    Postgres(Box<PgConnectOptions>),
}

impl StateUrl {
    /// Reads the address of a history; a relative path starts at `base`.
    ///
    /// *Errors* – `job::wrong_value` and `job::unset_variable`; neither repeats an address that may
    /// hold a password.
    pub fn parse(url: &str, base: &Path) -> Result<StateUrl> {
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"));
        match path {
            Some(path) if !path.is_empty() => Ok(Self::sqlite(base.join(path))),
            _ if url.contains("${") => Err(unset(url)),
            _ if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                server(url, base).map(|options| StateUrl(Place::Postgres(Box::new(options))))
            }
            _ if url.contains("://") => Err(Error::config(
                "job::wrong_value",
                "this address is no place for the history",
            )
            .help(FORMS)),
            _ => Err(Error::config(
                "job::wrong_value",
                format!("`{}` is no place for the history", url.escape_debug()),
            )
            .help(FORMS)),
        }
    }

    /// The file at `path`.
    pub fn sqlite(path: impl Into<PathBuf>) -> StateUrl {
        StateUrl(Place::Sqlite(path.into()))
    }

    /// The folder the history lies in; `None` for a server.
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            }),
            Place::Postgres(_) => None,
        }
    }

    /// Whether it is kept on a server, and not in a file.
    pub fn is_server(&self) -> bool {
        matches!(self.0, Place::Postgres(_))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

/// The path of the file, or the server's address without a password.
impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => {
                write!(f, "{}", path.strip_prefix(".").unwrap_or(path).display())
            }
            Place::Postgres(options) => {
                let user = options.get_username();
                write!(f, "postgres://{user}@")?;
                match options.get_socket() {
                    Some(socket) => write!(f, "{}", socket.display())?,
                    None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, "/{}", options.get_database().unwrap_or(user))
            }
        }
    }
}

impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateUrl({self})")
    }
}

fn server(url: &str, base: &Path) -> Result<PgConnectOptions> {
    let named = parameters(url)?;
    // Without one the driver would take whoever happens to be logged in.
    let (_, address) = url.split_once("://").unwrap_or_default();
    if !address
        .split('/')
        .next()
        .is_some_and(|host| host.contains('@'))
    {
        return Err(Error::config(
            "job::wrong_value",
            "the address of the history names no user",
        )
        .help("write postgres://user@host:5432/database"));
    }
    let mut options: PgConnectOptions = url.parse().map_err(|_| {
        Error::config("job::wrong_value", "the address of the history cannot be read")
            .help("write postgres://user:password@host:5432/database; characters like @ : / in a password are written %40 %3A %2F")
    })?;
    let value = |wanted: &str| {
        let found = named.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| *value)
    };
    // Paths start where those of the job do.
    let path = |name| value(name).map(|path| base.join(path));
    if let Some(path) = path("sslrootcert") {
        options = options.ssl_root_cert(path);
    }
    if let (Some(certificate), Some(key)) = (path("sslcert"), path("sslkey")) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    let mode = match value("sslmode") {
        Some(word) => mode(word)?,
        None if is_here(&options) => PgSslMode::Disable,
        None => PgSslMode::VerifyFull,
    };
    Ok(options
        .ssl_mode(mode)
        .application_name("dkhost")
        // A pooler may hand the next transaction to another session, which knows no statement of
        // ours by name; it also refuses settings it does not know at the start.
        .statement_cache_capacity(0)
        .extra_float_digits(None))
}

/// Whether the server is on this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host)
}

/// "prefer" and "allow" are none: whoever can break the handshake could then read everything.
fn mode(word: &str) -> Result<PgSslMode> {
    match word {
        "disable" => Ok(PgSslMode::Disable),
        "require" => Ok(PgSslMode::Require),
        "verify-ca" => Ok(PgSslMode::VerifyCa),
        "verify-full" => Ok(PgSslMode::VerifyFull),
        _ => Err(Error::config(
            "job::wrong_value",
            format!(
                "the address of the history asks for sslmode `{}`",
                word.escape_debug()
            ),
        )
        .help("use disable, require, verify-ca or verify-full")),
    }
}

/// The parameters behind `?`, as they are written.
fn parameters(url: &str) -> Result<Vec<(&str, &str)>> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let parts = query.split('&').filter(|part| !part.is_empty());
    let named: Vec<(&str, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect();
    match named.iter().find(|(name, _)| !PARAMETERS.contains(name)) {
        None => Ok(named),
        Some((unknown, _)) => Err(Error::config(
            "job::wrong_value",
            format!(
                "the address of the history has a parameter `{}` that dkhost does not know",
                unknown.escape_debug()
            ),
        )
        .help(format!(
            "known are {}; the schema is always `{SCHEMA}`",
            PARAMETERS.join(", ")
        ))),
    }
}

/// Looking at a state fills in no variable that is not set; here it is needed after all.
fn unset(url: &str) -> Error {
    let name = url
        .split_once("${")
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or("", |(name, _)| name);
    Error::config(
        "job::unset_variable",
        format!(
            "the environment variable `{}` is not set",
            name.escape_debug()
        ),
    )
    .help("the address of the history needs it")
}
