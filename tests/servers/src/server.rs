//! A PostgreSQL of one's own: started, stopped, paused, and started again on the same port.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::database::{self, Database};
use crate::kept::Kept;
use crate::programs;

/// How long a start may take; a loaded machine needs seconds.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    settings: Vec<(String, String)>,
    access: Option<String>,
    disk_mib: Option<u32>,
    durable: bool,
    files: Vec<(String, String)>,
}

impl Settings {
    /// A line of `postgresql.conf`: `max_connections`, `5`. `{folder}` in a value becomes the
    /// server's folder, where [`Settings::file`] puts files.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Who may connect over TCP, as lines of `pg_hba.conf`, in place of everybody; through the unix
    /// socket everybody still may.
    #[must_use]
    pub fn access(mut self, lines: &str) -> Self {
        self.access = Some(lines.to_owned());
        self
    }

    /// Tables on a disk of this size, which only root can make; an empty database takes 8, an
    /// empty server 40.
    #[must_use]
    pub fn disk_mib(mut self, mib: u32) -> Self {
        self.disk_mib = Some(mib);
        self
    }

    /// Written to the disk before a commit is answered, as servers do; without it what survives is
    /// what a killed server has handed to the operating system, which is all a test can see.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// A file that only the server may read, in its folder.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, transactions rolled back, and a checkpoint written.
    Fast,
    /// As by a power cut: sessions are cut off, the next start recovers.
    Immediate,
}

/// A running PostgreSQL, gone when this is dropped or its process ends.
pub struct Server {
    kept: Kept,
    port: u16,
    paused: Vec<u32>,
}

impl Server {
    /// Makes a data folder and starts a server on a free loopback port.
    ///
    /// *Errors* – a sentence: what to install, or what the server wrote about itself.
    pub fn start(settings: &Settings) -> Result<Self, String> {
        if settings.disk_mib.is_some() && !programs::is_root() {
            return Err(
                "a server with a disk of its own needs root\n  help: sudo -E cargo test …"
                    .to_owned(),
            );
        }
        let mut kept = Kept::new("pg", settings.disk_mib, "QUIT")?;
        prepare(&kept, settings)?;
        kept.init()?;
        // Between the search for a free port and the start another process may take it.
        let mut tries = 5;
        loop {
            let port = free_port()?;
            kept.script("start.sh", &start_words(&kept, settings, port)?)?;
            let mut server = Server {
                kept,
                port,
                paused: Vec::new(),
            };
            match server.begin() {
                Ok(()) => return Ok(server),
                Err(why) if tries == 1 || !why.contains("could not bind") => return Err(why),
                Err(_) => {
                    tries -= 1;
                    server.kept.stop("QUIT")?;
                    kept = server.kept;
                }
            }
        }
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`; a user who may do everything.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port on 127.0.0.1; it stays the same after a stop and a start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its unix socket and files.
    pub fn folder(&self) -> &std::path::Path {
        &self.kept.folder
    }

    /// The process that accepts connections; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.kept.pid
    }

    /// A fresh database, reached over TCP.
    pub fn database(&self) -> Result<Database, String> {
        Database::create(&self.url())
    }

    /// Runs SQL in the database `postgres`, through the unix socket; answers as [`Database::sql`].
    pub fn sql(&self, sql: &str) -> Result<String, String> {
        let folder = self.kept.folder.display();
        database::query(
            &format!(
                "host={folder} port={} user=postgres dbname=postgres",
                self.port
            ),
            sql,
        )
    }

    /// What the server has written about itself.
    pub fn log(&self) -> String {
        self.kept.log()
    }

    /// Stops it; returns when it has ended.
    pub fn stop(&mut self, how: Stop) -> Result<(), String> {
        self.resume();
        self.kept.stop(match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        })
    }

    /// Starts it again on the same port and data; returns when it answers.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.begin()
    }

    /// Stops it in its tracks, sessions too: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        let Some(pid) = self.kept.pid else { return };
        // The parent first: it could start another child.
        signal("STOP", &[pid]);
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children: Vec<u32> = children.split_whitespace().flat_map(str::parse).collect();
        signal("STOP", &children);
        self.paused = children;
        self.paused.push(pid);
    }

    /// Lets it go on after [`Server::pause`].
    pub fn resume(&mut self) {
        signal("CONT", &std::mem::take(&mut self.paused));
    }

    fn begin(&mut self) -> Result<(), String> {
        let logged = self.kept.log().len();
        self.kept.start()?;
        let began = Instant::now();
        loop {
            let refused = match self.sql("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(why) => why,
            };
            if !self.kept.is_running() || began.elapsed() > READY_WITHIN {
                let log = self.kept.log();
                let log = log.get(logged..).unwrap_or(&log);
                return Err(format!("PostgreSQL did not start: {refused}\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A port that is free at the moment.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|cause| format!("there is no free port on 127.0.0.1: {cause}"))
}

/// Writes everything but the data.
fn prepare(kept: &Kept, settings: &Settings) -> Result<(), String> {
    let access = settings
        .access
        .as_deref()
        .unwrap_or("host all all 127.0.0.1/32 trust");
    let access = format!("local all all trust\n{access}\n");
    let own = ("pg_hba.conf".to_owned(), access);
    for (name, content) in settings.files.iter().chain([&own]) {
        private_file(kept, name, content)?;
    }
    let initdb = programs::postgres("initdb")?.display().to_string();
    let data = kept.folder.join("data/pg").display().to_string();
    let mut words = programs::as_ordinary_user();
    // What initdb writes need not survive a power cut; templates of other encodings stay possible.
    let arguments = [
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "-D",
    ];
    words.push(initdb);
    words.extend(arguments.map(str::to_owned));
    words.push(data);
    if settings.disk_mib.is_some() {
        // Where its log does not fit any more a server dies; where tables do not fit, it refuses.
        words.push(format!("--waldir={}/wal", kept.folder.display()));
    }
    kept.script("init.sh", &words)
}

fn start_words(kept: &Kept, settings: &Settings, port: u16) -> Result<Vec<String>, String> {
    let folder = kept.folder.display().to_string();
    let mut all = vec![
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("port".to_owned(), port.to_string()),
        ("unix_socket_directories".to_owned(), folder.clone()),
        ("hba_file".to_owned(), format!("{folder}/pg_hba.conf")),
        // Many tests at once, on a small machine.
        ("max_connections".to_owned(), "200".to_owned()),
        ("shared_buffers".to_owned(), "64MB".to_owned()),
        ("autovacuum_naptime".to_owned(), "10min".to_owned()),
    ];
    if !settings.durable {
        all.extend(["fsync", "full_page_writes"].map(|name| (name.to_owned(), "off".to_owned())));
    }
    all.extend(settings.settings.iter().cloned());
    let mut words = programs::as_ordinary_user();
    words.push(programs::postgres("postgres")?.display().to_string());
    words.extend(["-D".to_owned(), format!("{folder}/data/pg")]);
    for (name, value) in all {
        words.extend([
            "-c".to_owned(),
            format!("{name}={}", value.replace("{folder}", &folder)),
        ]);
    }
    Ok(words)
}

/// A file in the server's folder that nobody but the server's user may read.
pub(crate) fn private_file(kept: &Kept, name: &str, content: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let path = kept.folder.join(name);
    let failed = |cause: std::io::Error| format!("cannot write {}: {cause}", path.display());
    std::fs::write(&path, content).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    if programs::is_root() {
        let done = Command::new("chown")
            .arg("postgres:postgres")
            .arg(&path)
            .status();
        done.map_err(failed)?;
    }
    Ok(())
}

fn signal(name: &str, pids: &[u32]) {
    if !pids.is_empty() {
        let pids = pids.iter().map(u32::to_string);
        let _ = Command::new("kill")
            .arg(format!("-{name}"))
            .args(pids)
            .status();
    }
}
