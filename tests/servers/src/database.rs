//! A database of a test's own, on whatever server.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::programs;

/// A database that goes when this does.
#[derive(Debug)]
pub struct Database {
    /// `postgres://user@host:port/name`.
    pub url: String,
    /// Its name.
    pub name: String,
    /// Where it was created from.
    server: String,
}

impl Database {
    /// Creates one beside the one that `server`, an address, names.
    ///
    /// *Errors* – a sentence.
    pub fn create(server: &str) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The server may be one that stays: what a killed test left there has another name.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("test_{}_{}_{count}", now.as_millis(), std::process::id());
        query(server, &format!("CREATE DATABASE {name}"))?;
        let url = with_database(server, &name);
        let server = server.to_owned();
        Ok(Database { url, name, server })
    }

    /// Runs SQL as `psql` does, each statement on its own; what it answers, a row a line, columns
    /// separated by `|`, without headings.
    ///
    /// # Panics
    /// With what the server said, if it refuses.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`Database::sql`].
    ///
    /// *Errors* – what the server said, if it refuses.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        query(&self.url, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that the test has stopped took its databases with it.
        let _ = query(
            &self.server,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
    }
}

/// What `psql` answers.
pub(crate) fn query(url: &str, sql: &str) -> Result<String, String> {
    let psql = programs::postgres("psql")?;
    let mut command = Command::new(psql);
    command.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        url,
        "-f",
        "-",
    ]);
    let own = std::env::vars_os().map(|(name, _)| name);
    for name in own.filter(|name| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let failed = |cause: std::io::Error| format!("cannot run psql: {cause}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        use std::io::Write;
        // A server that is not there ends psql before it has read this.
        let _ = input.write_all(sql.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()),
        false => Err(format!(
            "psql was refused: {}\n{sql}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// The address with another database in it.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (url, String::new()),
    };
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = address[start..]
        .find('/')
        .map_or(address.len(), |at| start + at);
    format!("{}/{name}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn the_database_of_an_address_is_replaced() {
        for (url, other) in [
            (
                "postgres://a@h:1/x?sslmode=disable",
                "postgres://a@h:1/t?sslmode=disable",
            ),
            ("postgres://a@h:1", "postgres://a@h:1/t"),
            ("postgres://h/", "postgres://h/t"),
        ] {
            assert_eq!(with_database(url, "t"), other);
        }
    }
}
