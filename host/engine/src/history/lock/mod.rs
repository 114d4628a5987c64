//! One process per job, wherever its history is: a lock that goes with the process that holds it.

mod file;
mod server;

use dkhost_core::{Class, Error, Result};

use super::History;
use super::place::Place;

/// Held as long as a process works on a job.
#[derive(Debug)]
pub struct JobLock(Held);

#[derive(Debug)]
enum Held {
    /// Beside the history's file; the kernel drops it with the process, and never before.
    #[expect(dead_code, reason = "held, and let go of by its drop")]
    File(file::FileLock),
    /// On the history's server.
    Server(server::ServerLock),
}

impl JobLock {
    /// Takes the lock of `job`, for all processes that share the history.
    ///
    /// *Errors* – `run::locked` names the process that has it.
    pub fn take(history: &History, job: &str) -> Result<JobLock> {
        match history.place.place() {
            Place::Sqlite(path) => file::FileLock::take(path, job).map(Held::File),
            Place::Postgres(_) => server::ServerLock::take(history, job).map(Held::Server),
        }
        .map(JobLock)
    }

    /// Sees that the lock is still held, and takes it again where a server was restarted; asks the
    /// server once a second at most. Meant to be asked before every commit; what slips through in
    /// that second is refused by the target, which knows the newer epoch.
    ///
    /// *Errors* – `run::lock_lost` when another process took it meanwhile; of class `Transient`
    /// while the server is away.
    pub fn ensure_held(&self) -> Result<()> {
        match &self.0 {
            Held::File(_) => Ok(()),
            Held::Server(lock) => lock.ensure_held(),
        }
    }
}

fn locked(job: &str, holder: &str) -> Error {
    let holder = if holder.is_empty() {
        "another process"
    } else {
        holder
    };
    Error::new(
        Class::Locked,
        "run::locked",
        format!("job `{job}` is being run by {holder}"),
    )
    .help("wait for it, or stop it (SIGINT finishes its batch) and run again")
}
