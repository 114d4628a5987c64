//! Real servers for tests and chores: installed when absent, started on a free loopback port with
//! a data folder of their own, and gone when whoever started them is gone, `kill -9` included.
//!
//! Most tests want a fresh database and nothing else: [`postgres`] gives one, on a server that all
//! tests of the process share. `cargo xtask test` starts that server once for all test binaries
//! and names it in `DKHOST_TEST_POSTGRES_URL`; the variable may as well name one of yours. A test
//! that stops, pauses or fills its server starts one alone: [`Server`].
//!
//! Nothing of the product is linked in here, nor any driver: what has to be said to a server is
//! said by its own `psql`. What cannot be had makes a test fail with a sentence that says what to
//! install; nothing is skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(feature = "certificates")]
mod certificates;
mod database;
mod kept;
mod pooler;
pub mod programs;
mod server;

use std::sync::OnceLock;

#[cfg(feature = "certificates")]
pub use certificates::{Authority, Certificate};
pub use database::Database;
pub use pooler::Pooler;
pub use server::{Server, Settings, Stop};

/// The variable that names a running server: `postgres://user@host:port/database`, as a user who
/// may create databases.
pub const POSTGRES_URL: &str = "DKHOST_TEST_POSTGRES_URL";

/// A fresh, empty database on the server that this process's tests share.
///
/// # Panics
/// With a sentence, if there is no server and none can be installed or started.
pub fn postgres() -> Database {
    Database::create(&postgres_url()).unwrap_or_else(|why| panic!("{why}"))
}

/// What `psql` answers to SQL at an address: a row a line, columns separated by `|`.
///
/// *Errors* – what the server or `psql` said.
pub fn query(url: &str, sql: &str) -> Result<String, String> {
    database::query(url, sql)
}

/// The address of the server that this process's tests share; started on the first call, unless
/// the variable names one.
///
/// # Panics
/// As [`postgres`].
pub fn postgres_url() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    match std::env::var(POSTGRES_URL) {
        Ok(url) => url,
        Err(_) => SHARED
            .get_or_init(|| {
                Server::start(&Settings::default()).unwrap_or_else(|why| panic!("{why}"))
            })
            .url(),
    }
}
