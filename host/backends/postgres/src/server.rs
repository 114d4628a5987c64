//! Which server, and how it is reached: the options `url`, `sslmode` and the timeouts.
//!
//! Encryption is never a matter of luck. Unless the job says otherwise a server on this machine is
//! spoken to in clear, and any other must show a certificate for its name of an authority the
//! system trusts. What cannot be had is an error that says what to write.

mod address;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Node, NodeKind, OptionSpec, OptionType, Options, Result, Span};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::{self, refusal};
use address::Address;
use tls::{MODES, Mode, Papers};

/// A commit that was confirmed is one that a crash of the server leaves, whatever the role has set.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true) \
                       WHERE current_setting('synchronous_commit') = 'off'";

/// The options that say where a server is: of sources and targets alike.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::required(
        "url",
        OptionType::Text,
        "Where the database is: postgres://user@host:5432/database, or host=… dbname=…; several hosts are tried in turn.",
    ),
    OptionSpec::optional(
        "password",
        OptionType::Text,
        "The password, where it is not in the url; like any text from a file or variable: { file = \"…\" }.",
    ),
    OptionSpec::optional(
        "sslmode",
        OptionType::Word(&MODES),
        "What is asked of the server before anything is said to it; default verify-full, on this machine disable.",
    ),
    OptionSpec::optional(
        "sslrootcert",
        OptionType::Text,
        "A PEM file of the authorities that may have signed the server's certificate; default those the system trusts.",
    ),
    OptionSpec::optional(
        "sslcert",
        OptionType::Text,
        "A PEM file with our own certificate, for servers that ask for one; needs sslkey.",
    ),
    OptionSpec::optional(
        "sslkey",
        OptionType::Text,
        "A PEM file with the private key of sslcert.",
    ),
    OptionSpec::optional(
        "connect_timeout_ms",
        OptionType::Integer,
        "How long a connection may take to come about, login included; default 15000.",
    ),
    OptionSpec::optional(
        "silence_timeout_ms",
        OptionType::Integer,
        "How long the server may say nothing before it is asked through a second connection whether it is still there; default 60000.",
    ),
    OptionSpec::optional(
        "statement_timeout_ms",
        OptionType::Integer,
        "How long one statement may take on the server, a COPY of a whole partition included; default 0: as long as it takes.",
    ),
    OptionSpec::optional(
        "lock_timeout_ms",
        OptionType::Integer,
        "How long a statement may wait for a lock that somebody else holds; default 60000.",
    ),
];

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    connect: Duration,
    /// Before the server is asked whether it is still there.
    pub silence: Duration,
    statement: Duration,
    lock: Duration,
}

/// A server and database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    /// For people, without a password: `crm on db.example.com:5432`.
    pub name: String,
    /// Where the job file says it.
    pub span: Span,
    /// How long things may take.
    pub times: Times,
    hosts: Arc<[Host]>,
}

/// One of the hosts, and how it is spoken to.
struct Host {
    config: Config,
    place: String,
    tls: MakeRustlsConnect,
}

/// A connection that has just been made.
pub(crate) struct Line {
    pub client: Client,
    /// Ends when the connection does.
    pub ended: JoinHandle<()>,
    /// For another connection of the same kind.
    pub tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

impl Server {
    /// Takes the options of [`OPTIONS`]; files are looked for from `base`, the job file's folder.
    ///
    /// *Errors* – `postgres::bad_url`, `postgres::bad_sslmode`, `postgres::certificates`; none
    /// repeats a password.
    pub(crate) fn take(options: &mut Options, base: &Path) -> Result<Self> {
        let span = options.span_of("url");
        let url: String = options.require("url")?;
        let address = Address::parse(&url).map_err(|error| error.at(span.clone(), "here"))?;
        let password: Option<String> = options.take("password")?;
        let mode = mode(options, &address)?;
        let papers = papers(options, &address, base)?;
        let times = times(options, &address)?;
        let host = |mut config: Config| -> Result<Host> {
            password.as_ref().map(|password| config.password(password));
            config.connect_timeout(times.connect);
            let mode = mode.unwrap_or(match address::is_local(&config) {
                true => Mode::Disable,
                false => Mode::VerifyFull,
            });
            config.ssl_mode(match mode {
                Mode::Disable => SslMode::Disable,
                _ => SslMode::Require,
            });
            let tls = tls::connector(mode, &papers).map_err(|e| e.at_least(span.clone()))?;
            let place = address::place(&config);
            Ok(Host { config, place, tls })
        };
        let hosts: Arc<[Host]> = address.hosts.into_iter().map(host).collect::<Result<_>>()?;
        let places: Vec<&str> = hosts.iter().map(|host| host.place.as_str()).collect();
        let first = &hosts[0].config;
        let database = first.get_dbname().or(first.get_user());
        let name = match database {
            Some(database) => format!("{database} on {}", places.join(", ")),
            None => places.join(", "),
        };
        Ok(Server {
            name,
            span,
            times,
            hosts,
        })
    }

    /// What every transaction begins with, so that values are written in one way whatever the
    /// server, the role or a pooler have set, and waiting ends.
    pub(crate) fn settings(&self) -> String {
        format!(
            "SET LOCAL client_encoding = 'UTF8'; SET LOCAL DateStyle = 'ISO, YMD'; \
             SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL TimeZone = 'UTC'; \
             SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; \
             SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; {DURABLE}",
            self.times.statement.as_millis(),
            self.times.lock.as_millis()
        )
    }

    /// Connects to the first host that lets us in; the connection is driven by the runtime this
    /// is called in.
    ///
    /// *Errors* – by class: what another try may mend is transient; a refusal of the user, the
    /// password or the database is the job's and ends the search.
    pub(crate) async fn connect(&self) -> Result<Line> {
        let mut failed = None;
        for host in self.hosts.iter() {
            let error = match self.connect_to(host, None).await {
                Ok(line) => return Ok(line),
                Err(error) => error,
            };
            let of_the_job = refusal(&error).is_some_and(|said| said.is_about_the_login());
            let error = match refusal(&error).map(|said| said.state.clone()) {
                Some(state) if state == SqlState::INVALID_CATALOG_NAME => {
                    self.with_near_names(host, error).await
                }
                _ => error,
            };
            failed = Some(error);
            if of_the_job {
                break;
            }
        }
        let error = failed.unwrap_or_else(|| Error::bug("a server without a host"));
        Err(error.at_least(self.span.clone()))
    }

    /// Whether a new connection gets an answer, if only a refusal.
    pub(crate) async fn is_there(&self) -> bool {
        match self.connect().await {
            Ok(_) => true,
            Err(error) => refusal(&error).is_some(),
        }
    }

    async fn connect_to(&self, host: &Host, database: Option<&str>) -> Result<Line> {
        let mut config = host.config.clone();
        database.map(|database| config.dbname(database));
        let to = match config.get_dbname() {
            Some(database) => format!("connect to {database} on {}", host.place),
            None => format!("connect to {}", host.place),
        };
        let connected = timeout(self.times.connect, config.connect(host.tls.clone())).await;
        let (client, connection) = connected
            .map_err(|_| fault::too_late(&to, self.times.connect))?
            .map_err(|cause| fault::fault(&to, cause))?;
        // Its end shows in whatever waits for an answer.
        let ended = tokio::spawn(async move {
            let _ = connection.await;
        });
        let tls = host.tls.clone();
        Ok(Line { client, ended, tls })
    }

    /// Adds the databases that the server has, or the one that is meant.
    async fn with_near_names(&self, host: &Host, error: Error) -> Error {
        let Ok(line) = self.connect_to(host, Some("postgres")).await else {
            return error;
        };
        let sql = "SELECT datname::text FROM pg_catalog.pg_database \
                   WHERE datallowconn AND NOT datistemplate ORDER BY 1";
        let Ok(Ok(rows)) = timeout(self.times.connect, line.client.query_typed(sql, &[])).await
        else {
            return error;
        };
        let names: Vec<&str> = rows.iter().flat_map(|row| row.try_get(0)).collect();
        let wanted = host.config.get_dbname().or(host.config.get_user());
        match nearest(wanted.unwrap_or_default(), names.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("the server has {}", names.join(", "))),
        }
    }
}

/// The option, else what the url says; `None` if neither says anything.
fn mode(options: &mut Options, address: &Address) -> Result<Option<Mode>> {
    let span = match options.get("sslmode") {
        Some(_) => options.span_of("sslmode"),
        None => options.span_of("url"),
    };
    let option: Option<String> = options.take("sslmode")?;
    let word = option.as_deref().or(address.ours("sslmode"));
    word.map(Mode::parse)
        .transpose()
        .map_err(|error| error.at(span, "here"))
}

fn papers(options: &mut Options, address: &Address, base: &Path) -> Result<Papers> {
    let mut path = |name: &str| -> Result<_> {
        let option: Option<String> = options.take(name)?;
        let named = option.as_deref().or(address.ours(name));
        // libpq's word for what is the default here.
        let named = named.filter(|path| *path != "system");
        Ok(named.map(|path| base.join(path)))
    };
    let root = path("sslrootcert")?;
    let own = match (path("sslcert")?, path("sslkey")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (certificate, _) => {
            let missing = if certificate.is_some() {
                "sslkey"
            } else {
                "sslcert"
            };
            let message =
                format!("`sslcert` and `sslkey` come together, and `{missing}` is missing");
            return Err(Error::config("postgres::certificates", message)
                .at(options.span.clone(), "here")
                .help(format!("add a line `{missing} = \"….pem\"`")));
        }
    };
    Ok(Papers { root, own })
}

fn times(options: &mut Options, address: &Address) -> Result<Times> {
    let in_url = address.hosts[0].get_connect_timeout().copied();
    let mut time = |name: &str, default: Duration| -> Result<Duration> {
        let Some(node) = options.take_node(name) else {
            return Ok(default);
        };
        // What the server can hold: a signed 32-bit number of milliseconds.
        match node.parse::<i64>(name).map(i32::try_from) {
            Ok(Ok(ms @ 0..)) => Ok(Duration::from_millis(ms as u64)),
            _ => Err(no_time(name, &node)),
        }
    };
    let never_zero = |time: Duration, default| if time.is_zero() { default } else { time };
    let (connect, silence) = (Duration::from_secs(15), Duration::from_secs(60));
    Ok(Times {
        connect: never_zero(
            time("connect_timeout_ms", in_url.unwrap_or(connect))?,
            connect,
        ),
        silence: never_zero(time("silence_timeout_ms", silence)?, silence),
        statement: time("statement_timeout_ms", Duration::ZERO)?,
        lock: time("lock_timeout_ms", Duration::from_secs(60))?,
    })
}

/// The error for a time that is no number of milliseconds, with the number that `1s` may mean.
fn no_time(name: &str, node: &Node) -> Error {
    let message = format!(
        "`{name}` is a number of milliseconds from 0 to {}",
        i32::MAX
    );
    let label = match node.kind {
        NodeKind::Integer(_) => "here".to_owned(),
        _ => format!("this is {}", node.what()),
    };
    let error = Error::config("job::wrong_value", message).at(node.span.clone(), label);
    match node.to_json().as_str().and_then(milliseconds) {
        Some(ms) => error.help(format!("{name} = {ms}")),
        None => error,
    }
}

/// A time as people and PostgreSQL write it: `250`, `1s`, `2 min`.
fn milliseconds(text: &str) -> Option<i32> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<i32>().ok()?.checked_mul(factor)
}
