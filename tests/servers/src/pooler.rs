//! pgbouncer before a server: sessions of clients share those of the server, one transaction each.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::database;
use crate::kept::Kept;
use crate::programs;
use crate::server::{Server, free_port, private_file};

/// A running pgbouncer in transaction mode, gone as a [`Server`] is.
pub struct Pooler {
    _kept: Kept,
    port: u16,
}

impl Pooler {
    /// Starts one before `server`, with this many sessions on it for each database.
    ///
    /// *Errors* – a sentence: what to install, or what it wrote about itself.
    pub fn start(server: &Server, sessions: u32) -> Result<Self, String> {
        let program = programs::pgbouncer()?.display().to_string();
        let mut kept = Kept::new("pool", None, "TERM")?;
        let port = free_port()?;
        let settings = format!(
            // With `any` everybody is this user, whoever he says he is.
            "[databases]\n* = user=postgres host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\nauth_file = {folder}/users\n\
             pool_mode = transaction\ndefault_pool_size = {sessions}\nmax_client_conn = 200\n\
             logfile =\nserver_reset_query =\n",
            server.port(),
            folder = kept.folder.display(),
        );
        private_file(&kept, "pgbouncer.ini", &settings)?;
        private_file(&kept, "users", "\"postgres\" \"\"\n")?;
        let mut words = programs::as_ordinary_user();
        words.extend([program, format!("{}/pgbouncer.ini", kept.folder.display())]);
        kept.script("start.sh", &words)?;
        kept.start()?;
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if !kept.is_running() || began.elapsed() > Duration::from_secs(60) {
                return Err(format!("pgbouncer did not start:\n{}", kept.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Pooler { _kept: kept, port })
    }

    /// The address of a database of the server, through the pooler.
    pub fn url(&self, database: &str) -> String {
        let url = format!("postgres://postgres@127.0.0.1:{}/x", self.port);
        database::with_database(&url, database)
    }
}
