//! What the server's errors mean to the engine: tried again, a record's own, or the end of the run.
//!
//! The class follows SQLSTATE, which every server and pooler sends, and never the words, which are
//! translated; with the exception of pgbouncer, which has one state for everything.

use std::fmt;
use std::time::Duration;

use dkhost_core::{Class, Error};
use tokio_postgres::error::{DbError, SqlState};

/// What the server said when it refused something: the cause of an [`Error`] of [`fault`].
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Five letters: `23505`.
    pub state: SqlState,
    /// One line.
    pub message: String,
    /// More about it, often with values.
    pub detail: Option<String>,
    /// What the server would do about it.
    pub hint: Option<String>,
    /// The violated constraint, or the index that is one.
    pub constraint: Option<String>,
    /// The column it is about.
    pub column: Option<String>,
    /// A policy of row security would not have the row. It has the state of a right that is
    /// missing, and is told apart by the function of the server that says so.
    pub by_policy: bool,
}

impl Refusal {
    fn new(said: &DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Refusal {
            state: said.code().clone(),
            message: said.message().to_owned(),
            detail: owned(said.detail()),
            hint: owned(said.hint()),
            constraint: owned(said.constraint()),
            column: owned(said.column()),
            by_policy: *said.code() == SqlState::INSUFFICIENT_PRIVILEGE
                && said.routine() == Some("ExecWithCheckOptions"),
        }
    }

    /// Whether it refuses who we are or what we connect to, which another host of the same
    /// database would too.
    pub(crate) fn is_about_the_login(&self) -> bool {
        matches!(&self.state.code()[..2], "28" | "3D")
    }

    /// Whether it is a record that is refused, and not the statement.
    pub(crate) fn is_about_a_record(&self) -> bool {
        matches!(meaning(self).0, Class::Data)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.trim_end())?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {}", more.trim_end().trim_end_matches('.'))?;
        }
        // The server names a constraint in its message in some languages only.
        match &self.constraint {
            Some(name) if !self.message.contains(name) => write!(f, "; constraint {name}")?,
            _ => {}
        }
        write!(f, " ({})", self.state.code())
    }
}

impl std::error::Error for Refusal {}

/// What the server said, if the error is a refusal of the server.
pub(crate) fn refusal(error: &Error) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

/// An error of the driver while `doing` something (`read crm.customers`) as one of ours.
///
/// *Source* – PostgreSQL, "Error Codes", by class.
pub(crate) fn fault(doing: &str, cause: tokio_postgres::Error) -> Error {
    let message = format!("cannot {doing}");
    if let Some(said) = cause.as_db_error() {
        let said = Refusal::new(said);
        let (class, code, help) = meaning(&said);
        let error = Error::new(class, code, message).caused_by(said);
        return match help {
            "" => error,
            help => error.help(help),
        };
    }
    if let Some(refused) = in_causes::<rustls::Error>(&cause) {
        return not_trusted(message, refused.clone());
    }
    if let Some(broken) = in_causes::<std::io::Error>(&cause) {
        let (class, code, help) = broken_line(broken);
        return Error::new(class, code, message)
            .help(help)
            .caused_by(innermost(cause));
    }
    if cause.is_closed() {
        return lost(message).caused_by("the server closed the connection");
    }
    let words = innermost(cause).to_string();
    let (class, code, help) = match words.as_str() {
        "server does not support TLS" => (
            Class::Config,
            "postgres::no_tls",
            "set `ssl = on` on the server, or say sslmode = \"disable\" where the way to it is trusted",
        ),
        "password missing" => (
            Class::Config,
            "postgres::denied",
            "the server asks for a password: give it in the url or as `password`",
        ),
        _ => (Class::Infrastructure, "postgres::failed", AGAIN),
    };
    Error::new(class, code, message).help(help).caused_by(words)
}

/// Nothing came within the time for connecting.
pub(crate) fn too_late(doing: &str, after: Duration) -> Error {
    Error::new(
        Class::Transient,
        "postgres::unreachable",
        format!("cannot {doing}: no answer within {} ms", after.as_millis()),
    )
    .help("check host, port and firewall, or allow more time with `connect_timeout_ms`")
}

/// The connection is silent, and the server does not answer on a second one.
pub(crate) fn silent(doing: &str, server: &str, after: Duration) -> Error {
    let message = format!(
        "cannot {doing}: nothing came from {server} for {} ms, and it does not answer a second connection",
        after.as_millis()
    );
    Error::new(Class::Transient, "postgres::silent", message).help(AGAIN)
}

const AGAIN: &str =
    "when the server works again, run the same command again: it goes on where it stopped";
const WAIT: &str = "run the same command again: it goes on where it stopped";

type Meaning = (Class, &'static str, &'static str);

fn lost(message: String) -> Error {
    Error::new(Class::Transient, "postgres::connection_lost", message).help(AGAIN)
}

/// What a state means; its class where the state itself has no line.
fn meaning(said: &Refusal) -> Meaning {
    use Class::{Config, Data, Infrastructure, Transient};
    let state = said.state.code();
    match state {
        "08P01" => of_a_pooler(&said.message),
        "57P01" | "57P02" | "57P03" => (Transient, "postgres::restarting", AGAIN),
        "57P04" => (
            Config,
            "postgres::no_database",
            "the database was dropped meanwhile",
        ),
        "57P05" | "25P03" | "25P04" => (
            Transient,
            "postgres::connection_lost",
            "the server ends sessions that wait: raise its idle timeouts for this user, and run the same command again",
        ),
        "57014" => (
            Transient,
            "postgres::canceled",
            "somebody ended the statement, or it took longer than `statement_timeout_ms` or the server's own limit",
        ),
        "53300" => (
            Transient,
            "postgres::too_many_connections",
            "fewer `partitions` need fewer connections; or raise max_connections on the server",
        ),
        "53100" => (
            Infrastructure,
            "postgres::disk_full",
            "free some space on the server and run the same command again: it goes on where it stopped",
        ),
        "53200" => (Transient, "postgres::out_of_memory", WAIT),
        "40001" | "40P01" | "40003" => (Transient, "postgres::conflict", WAIT),
        "40002" => (Data, "postgres::constraint", ""),
        "55P03" => (
            Transient,
            "postgres::locked",
            "somebody else holds a lock: see pg_locks, or allow more time with `lock_timeout_ms`",
        ),
        "25006" => (
            Infrastructure,
            "postgres::read_only",
            "this server or role may only read: name the primary in the url, or add target_session_attrs=read-write to it",
        ),
        "3D000" => (
            Config,
            "postgres::no_database",
            "check the database's name in the url",
        ),
        "28P01" => (
            Config,
            "postgres::denied",
            "check user and password; in a url write %40 for @ and %2F for /, or give the password as `password`",
        ),
        "42501" if said.by_policy => (Data, "postgres::row_security", ""),
        "42501" => (
            Config,
            "postgres::denied",
            "ask the owner for it: GRANT … ON … TO …; for tables SELECT to read, INSERT, UPDATE and CREATE to write",
        ),
        "42P01" => (
            Config,
            "postgres::no_table",
            "check the table's name and schema: SCHEMA.TABLE",
        ),
        "42703" => (
            Config,
            "postgres::no_column",
            "check the column's name; names in mixed case need quotes in a query",
        ),
        "3F000" => (
            Config,
            "postgres::no_schema",
            "check the schema's name, or create it: CREATE SCHEMA …",
        ),
        "26000" | "42P05" => (
            Infrastructure,
            "postgres::pooler",
            "a pooler between here and the server gives statements of one transaction to several servers: use pool_mode = transaction or session",
        ),
        _ => by_class(&state[..2]),
    }
}

fn by_class(class: &str) -> Meaning {
    use Class::{Config, Data, Infrastructure, Transient};
    match class {
        "08" => (Transient, "postgres::connection_lost", AGAIN),
        "57" | "40" => (Transient, "postgres::interrupted", WAIT),
        "53" => (Transient, "postgres::exhausted", AGAIN),
        "23" | "27" | "44" => (Data, "postgres::constraint", ""),
        "21" | "22" | "P0" | "38" | "39" => (Data, "postgres::refused_value", ""),
        "28" => (
            Config,
            "postgres::denied",
            "pg_hba.conf on the server says who may connect from where, and whether encrypted: see `sslmode`",
        ),
        "0A" | "42" | "3D" | "3F" => (Config, "postgres::refused", ""),
        "58" | "XX" | "F0" => (
            Infrastructure,
            "postgres::server_trouble",
            "the server's log says more",
        ),
        _ => (Infrastructure, "postgres::failed", ""),
    }
}

/// pgbouncer has one state for everything it says itself.
///
/// *Source* – pgbouncer 1.18, `send_pooler_error`.
fn of_a_pooler(message: &str) -> Meaning {
    let starts = |words: &[&str]| words.iter().any(|words| message.starts_with(words));
    if starts(&[
        "no such database",
        "no such user",
        "password authentication",
        "SASL",
        "auth failed",
    ]) {
        return (
            Class::Config,
            "postgres::denied",
            "check user, password and database; the pooler has lists of its own",
        );
    }
    if message.contains("statement pooling mode")
        || message.starts_with("unsupported startup parameter")
    {
        return (
            Class::Config,
            "postgres::pooler",
            "the pooler must offer transactions: pool_mode = transaction or session",
        );
    }
    (Class::Transient, "postgres::connection_lost", AGAIN)
}

/// A certificate that was not accepted, here or there.
fn not_trusted(message: String, cause: rustls::Error) -> Error {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        UnknownIssuer,
    };
    let (code, help) = match &cause {
        rustls::Error::InvalidCertificate(why) => (
            "postgres::certificate",
            match why {
                NotValidForName | NotValidForNameContext { .. } => {
                    "the server's certificate is for another name: write that name as host in the url, or say sslmode = \"verify-ca\""
                }
                Expired | ExpiredContext { .. } => {
                    "the server's certificate has expired: have it renewed"
                }
                // A signature is bad when another authority goes by the same name.
                UnknownIssuer | BadSignature => {
                    "nobody we trust has signed the server's certificate: name the authority's file, sslrootcert = \"ca.pem\""
                }
                _ => "the server's certificate is not acceptable; see `sslmode` and `sslrootcert`",
            },
        ),
        rustls::Error::AlertReceived(_) => (
            "postgres::certificate",
            "the server refused: it may ask for a certificate of ours, see `sslcert` and `sslkey`",
        ),
        _ => (
            "postgres::tls",
            "server and client have no form of encryption in common; see ssl_min_protocol_version on the server",
        ),
    };
    Error::config(code, message).help(help).caused_by(cause)
}

fn broken_line(cause: &std::io::Error) -> Meaning {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    let words = cause.to_string();
    match cause.kind() {
        ConnectionRefused => (
            Class::Transient,
            "postgres::unreachable",
            "nobody listens there: check host and port, and whether the server runs",
        ),
        NotFound => (
            Class::Transient,
            "postgres::unreachable",
            "there is no such socket: check the folder in the url, and whether the server runs",
        ),
        PermissionDenied => (
            Class::Infrastructure,
            "postgres::denied",
            "the server, its socket or `target_session_attrs` does not let us in",
        ),
        _ if words.contains("failed to lookup address") => {
            let for_now = words.contains("Temporary");
            let class = if for_now {
                Class::Transient
            } else {
                Class::Infrastructure
            };
            (
                class,
                "postgres::unknown_host",
                "check the host's name in the url",
            )
        }
        _ => (Class::Transient, "postgres::connection_lost", AGAIN),
    }
}

/// The first cause of this type, wherever it is wrapped in.
fn in_causes<T: std::error::Error + 'static>(error: &tokio_postgres::Error) -> Option<&T> {
    let mut cause = std::error::Error::source(error);
    while let Some(each) = cause {
        if let Some(found) = each.downcast_ref() {
            return Some(found);
        }
        // What is wrapped in an I/O error is not its source, but that which it stands for.
        let wrapped = each
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        if let Some(found) = wrapped.and_then(|inner| inner.downcast_ref()) {
            return Some(found);
        }
        cause = each.source();
    }
    None
}

/// What the driver wraps in words that say nothing: `error communicating with the server`.
fn innermost(error: tokio_postgres::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let words = error.to_string();
    error.into_source().unwrap_or_else(|| words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: &str, message: &str) -> Refusal {
        Refusal {
            state: SqlState::from_code(state),
            message: message.to_owned(),
            detail: None,
            hint: None,
            constraint: None,
            column: None,
            by_policy: false,
        }
    }

    #[test]
    fn the_class_follows_the_state() {
        for (states, class) in [
            (
                "08006 08001 57P01 57P02 57P03 53300 40001 40P01 55P03 57014 53200 25P03",
                Class::Transient,
            ),
            ("53100 58030 XX000 25006", Class::Infrastructure),
            (
                "28P01 28000 3D000 42P01 42703 42501 42601 0A000 3F000 57P04",
                Class::Config,
            ),
            ("22003 22P02 23505 23503 23514 P0001 44000", Class::Data),
        ] {
            for state in states.split(' ') {
                assert_eq!(meaning(&said(state, "")).0, class, "{state}");
            }
        }
    }

    #[test]
    fn a_pooler_that_knows_no_such_database_is_not_asked_again() {
        assert_eq!(
            meaning(&said("08P01", "no such database: crm")).0,
            Class::Config
        );
        assert_eq!(
            meaning(&said("08P01", "server conn crashed?")).0,
            Class::Transient
        );
    }

    #[test]
    fn everything_the_server_said_is_kept_in_one_line() {
        let mut refusal = said("23505", "doppelter Schlüssel");
        refusal.detail = Some("Key (id)=(1) already exists.".to_owned());
        refusal.hint = Some("Try another.".to_owned());
        refusal.constraint = Some("t_pkey".to_owned());
        assert_eq!(
            refusal.to_string(),
            "doppelter Schlüssel; Key (id)=(1) already exists; Try another; constraint t_pkey (23505)"
        );
    }
}
