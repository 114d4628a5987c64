//! A history in a PostgreSQL database, in a schema of its own: it may share the database with a
//! target, whose state lies in another schema.
//!
//! Nothing is assumed of a session between two transactions, because a pooler may hand the next one
//! to another: settings are local to a transaction, and no statement has a name.

use std::time::Duration;

use dkhost_core::{Class, Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use super::place::StateUrl;
use super::statement::{Connection, statement};

/// The schema that holds the tables.
pub(super) const SCHEMA: &str = "dkhost_history";

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the server may take for one step of a transaction.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Begins a transaction that only reads, and sees one state of the tables.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO dkhost_history, pg_temp";

/// Begins a transaction that writes. Nobody waits for a lock for longer than a server restarts; and
/// a dead letter that was kept is on disk before its batch's checkpoint is.
pub(super) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path TO dkhost_history, pg_temp; SET LOCAL lock_timeout TO '30s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// How long saying goodbye may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// What to do about tables that cannot be read.
pub(super) const MOVE_ASIDE: &str = "nothing was changed. Rename the schema (ALTER SCHEMA dkhost_history RENAME TO …) and run again: targets keep their own checkpoints, an unfinished run goes on from there";

/// What lets a user write a history.
const DENIED: &str = "share what is there: GRANT USAGE ON SCHEMA dkhost_history TO …; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dkhost_history TO …; \
    or let an administrator make one: CREATE SCHEMA dkhost_history AUTHORIZATION …";

/// The migrations: name and text; the version is the place in the list.
const MIGRATIONS: [(&str, &str); 3] = [
    ("runs", include_str!("migrations/postgres/0001_runs.sql")),
    (
        "cursor",
        include_str!("migrations/postgres/0002_cursor.sql"),
    ),
    (
        "applications",
        include_str!("migrations/postgres/0003_applications.sql"),
    ),
];

/// Connects, and nothing else.
pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    let quiet = options.clone().disable_statement_logging();
    let connected = limited(CONNECT_TIMEOUT, quiet.connect()).await;
    connected.map_err(|cause| match cause {
        // Nothing else of a file is read on the way to another host.
        sqlx::Error::Io(cause)
            if options.get_socket().is_none()
                && matches!(cause.kind(), NotFound | PermissionDenied) =>
        {
            sqlx::Error::Tls(cause.into())
        }
        other => other,
    })
}

/// `work`, or an error of the connection when it takes longer than `limit`.
pub(super) async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let late = |_| {
        let seconds = limit.as_secs();
        let why = format!("no answer within {seconds} s");
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why))
    };
    tokio::time::timeout(limit, work)
        .await
        .map_err(late)
        .flatten()
}

/// Brings the tables up to date; where there are none, makes them if `create`.
///
/// *Shape* – whether there is a history now.
///
/// *Errors* – `state::newer`, `state::foreign`, `state::encoding`; what [`fault`] says.
pub(super) async fn migrate(
    connection: &mut Connection,
    place: &StateUrl,
    create: bool,
) -> Result<bool> {
    let found = look(connection, place).await?;
    let is_current = |found: &Found| found.version == MIGRATIONS.len() as i64;
    if is_current(&found) {
        return Ok(true);
    }
    if found.version == 0 && !create {
        return Ok(false);
    }
    if found.encoding != "UTF8" && found.encoding != "SQL_ASCII" {
        let (shown, encoding) = (place.to_string(), &found.encoding);
        let message = format!("the database of the history `{shown}` is encoded in {encoding}");
        return Err(Error::config("state::encoding", message)
            .help("name a database that was created with ENCODING 'UTF8'"));
    }
    let made = limited(STEP_TIMEOUT, upgrade(connection)).await;
    made.map(|()| true)
        .map_err(|cause| fault(place, "make the tables", cause))
}

/// What lies in the schema.
struct Found {
    /// 0 when there is nothing of ours.
    version: i64,
    encoding: String,
}

async fn look(connection: &mut Connection, place: &StateUrl) -> Result<Found> {
    let failed = |cause| fault(place, "look for the history", cause);
    let found = limited(STEP_TIMEOUT, async {
        execute(connection, BEGIN_READ).await?;
        let row = statement(
            "SELECT count(c.oid) AS relations, count(c.oid) FILTER (WHERE c.relname = 'migration') AS ours,
                 (SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = current_database()) AS encoding,
                 coalesce(max(CASE WHEN has_schema_privilege(n.oid, 'USAGE') THEN 0 ELSE 1 END), 0)::int8 AS closed
             FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
             WHERE n.nspname = $1",
        )
        .bind(SCHEMA)
        .row(connection)
        .await?;
        let is_closed = row.number("closed")? > 0;
        let version = match row.number("ours")? {
            0 => 0,
            // Without the right to look into the schema its tables are as good as not there.
            _ if is_closed => 0,
            _ => statement("SELECT coalesce(max(version), 0) AS version FROM migration")
                .row(connection)
                .await?
                .number("version")?,
        };
        execute(connection, "COMMIT").await?;
        let foreign = row.number("ours")? == 0 && row.number("relations")? > 0;
        Ok((
            foreign,
            is_closed,
            Found {
                version,
                encoding: row.text("encoding")?,
            },
        ))
    });
    let (foreign, is_closed, found) = found.await.map_err(failed)?;
    if is_closed {
        let message =
            format!("the user of `{place}` may not use the schema `{SCHEMA}`, which is there");
        return Err(Error::config("state::denied", message).help(DENIED));
    }
    if foreign {
        let message =
            format!("the schema `{SCHEMA}` in `{place}` holds tables that are not dkhost's");
        return Err(Error::state("state::foreign", message).help(
            "nothing was changed. Move them elsewhere, or name another database in [state] url",
        ));
    }
    if found.version > MIGRATIONS.len() as i64 {
        let message = format!("the history `{place}` was written by a newer dkhost");
        return Err(Error::state("state::newer", message)
            .help("use that version, or name another database in [state] url"));
    }
    Ok(found)
}

/// Applies what is missing in one transaction, one process at a time.
async fn upgrade(connection: &mut Connection) -> sqlx::Result<()> {
    execute(connection, BEGIN_WRITE).await?;
    statement("SELECT pg_advisory_xact_lock($1)::text")
        .bind(key("migrations"))
        .run(connection)
        .await?;
    // Read again: another process may just have made them.
    let applied = "SELECT count(*) AS relations FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid WHERE n.nspname = $1 AND c.relname = 'migration'";
    let there = statement(applied).bind(SCHEMA).row(connection).await?;
    let mut version = 0;
    if there.number("relations")? > 0 {
        let row = statement("SELECT coalesce(max(version), 0) AS version FROM migration");
        version = row.row(connection).await?.number("version")?;
    } else {
        create_schema(connection).await?;
        execute(connection, "CREATE TABLE migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)").await?;
    }
    for (index, (name, sql)) in MIGRATIONS.iter().enumerate().skip(version as usize) {
        execute(connection, sql).await?;
        statement("INSERT INTO migration (version, name, applied_at) VALUES ($1, $2, $3)")
            .bind(index as i64 + 1)
            .bind(*name)
            .bind(super::now())
            .run(connection)
            .await?;
    }
    execute(connection, "COMMIT").await
}

/// The schema, unless somebody made it for us: that takes a right we then do not need.
async fn create_schema(connection: &mut Connection) -> sqlx::Result<()> {
    let found = statement("SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = $1");
    match found
        .bind(SCHEMA)
        .row(connection)
        .await?
        .number("schemas")?
    {
        0 => execute(connection, "CREATE SCHEMA dkhost_history").await,
        _ => Ok(()),
    }
}

/// Runs statements, separated by semicolons, for their effect.
pub(super) async fn execute(connection: &mut Connection, sql: &'static str) -> sqlx::Result<()> {
    match connection {
        Connection::Sqlite(connection) => {
            sqlx::raw_sql(sql).execute(&mut **connection).await?;
        }
        Connection::Postgres(connection) => {
            sqlx::raw_sql(sql).execute(&mut **connection).await?;
        }
    }
    Ok(())
}

/// The key of an advisory lock; 64 bits of a digest, since locks of the whole database share them.
pub(super) fn key(of: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{SCHEMA}\0{of}").as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |key, byte| key << 8 | i64::from(*byte))
}

/// Whether an error says that the same may work on a new connection or in a moment.
///
/// *Source* – "PostgreSQL Error Codes".
pub(super) fn passes(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Io(cause) => !is_distrust(cause),
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") && code != "08P01"
                || [
                    "57P01", "57P02", "57P03", "57P05", "53300", "40001", "40P01", "55P03",
                ]
                .contains(&&*code)
        }),
        _ => false,
    }
}

/// Whether a handshake failed for what the server said, which it would say again.
fn is_distrust(cause: &std::io::Error) -> bool {
    cause.kind() == std::io::ErrorKind::InvalidData
}

/// An error of the driver while `doing` something.
pub(super) fn fault(place: &StateUrl, doing: &str, cause: sqlx::Error) -> Error {
    let code = cause
        .as_database_error()
        .and_then(|error| error.code().map(|code| code.into_owned()))
        .unwrap_or_default();
    let (class, ours, help) = told(&cause, &code);
    let error = Error::new(
        class,
        ours,
        format!("cannot {doing} in the history `{place}`"),
    )
    .caused_by(cause);
    match help {
        "" => error,
        help => error.help(help),
    }
}

fn told(cause: &sqlx::Error, code: &str) -> (Class, &'static str, &'static str) {
    match code {
        "" if matches!(cause, sqlx::Error::Tls(_) | sqlx::Error::Configuration(_))
            || matches!(cause, sqlx::Error::Io(cause) if is_distrust(cause)) =>
        {
            (
                Class::Config,
                "state::tls",
                "check sslmode (disable, require, verify-ca, verify-full) and sslrootcert in the address of the history",
            )
        }
        "" if passes(cause) => (
            Class::Transient,
            "state::unreachable",
            "check that the server runs and the address in [state] url; then run the same command again",
        ),
        "53300" => (
            Class::Transient,
            "state::busy",
            "the server has no connection left; raise max_connections or run again later",
        ),
        "28000" | "28P01" => (
            Class::Config,
            "state::denied",
            "check the user and the password in [state] url, and the server's pg_hba.conf",
        ),
        "3D000" => (
            Class::Config,
            "state::no_database",
            "create it (CREATE DATABASE … ENCODING 'UTF8'), or name another in [state] url",
        ),
        "42501" => (Class::Config, "state::denied", DENIED),
        "25006" => (
            Class::Infrastructure,
            "state::unwritable",
            "the server takes no writes: name the primary in [state] url",
        ),
        "53100" => (
            Class::Infrastructure,
            "state::disk_full",
            "free some space on the server and run the same command again",
        ),
        "42P01" | "42703" | "42883" | "3F000" => (Class::State, "state::corrupt", MOVE_ASIDE),
        _ if code.starts_with("XX") => (
            Class::State,
            "state::corrupt",
            "the server reports damaged data; see its log",
        ),
        "57P01" | "57P02" | "57P03" | "57P05" => (
            Class::Transient,
            "state::unreachable",
            "the server is stopping or starting; run the same command again",
        ),
        _ if passes(cause) => (Class::Transient, "state::failed", ""),
        _ => (Class::Infrastructure, "state::failed", ""),
    }
}
