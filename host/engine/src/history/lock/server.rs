//! The lock of a job on the server of a history that several hosts share.
//!
//! It is an advisory lock of a *transaction* that stays open as long as the run: it ends with the
//! connection, so a killed process holds nothing, and it is right behind a pooler as well, which
//! leaves a transaction with one session and rolls it back when its client goes. (A lock of a
//! session would stay with the pooler's session; a lease would need clocks that agree.) The
//! transaction writes nothing and keeps no snapshot, so it holds up neither vacuum nor anybody.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dkhost_core::{Class, Error, Result};
use sqlx::Connection as _;

use super::super::epoch::Refusal;
use super::super::place::Place;
use super::super::postgres::{FAREWELL, STEP_TIMEOUT, connect, execute, key, limited, passes};
use super::super::statement::{Connection, statement};
use super::super::transaction::{PATIENCE, PAUSE};
use super::super::{History, now, runtime};

/// How long an answer that the lock is held counts.
const TRUST: Duration = Duration::from_secs(1);

/// The server must not end the transaction for its age, and must notice within a quarter of a
/// minute that a host is gone without a word.
const SETTINGS: &str = "BEGIN; SET LOCAL search_path TO dkhost_history, pg_temp;
    SELECT set_config(name, wanted, true) FROM pg_settings JOIN (VALUES
        ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), ('statement_timeout', '0'),
        ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '3'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '15000')
    ) AS settings (setting_name, wanted) ON name = setting_name";

/// A lock, and the connection that holds it.
pub(super) struct ServerLock {
    history: History,
    job: String,
    holder: String,
    holding: Mutex<Holding>,
}

struct Holding {
    runtime: tokio::runtime::Runtime,
    /// Absent after it was lost.
    connection: Option<Connection>,
    seen_at: Instant,
}

impl std::fmt::Debug for ServerLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServerLock").field(&self.holder).finish()
    }
}

impl ServerLock {
    /// Takes the lock of `job`, and says so to others.
    pub fn take(history: &History, job: &str) -> Result<ServerLock> {
        let lock = ServerLock {
            history: history.clone(),
            job: job.to_owned(),
            holder: format!(
                "process {} on {} since {}",
                std::process::id(),
                rustix::system::uname().nodename().to_string_lossy(),
                now()
            ),
            holding: Mutex::new(Holding {
                runtime: runtime()?,
                connection: None,
                seen_at: Instant::now(),
            }),
        };
        let taken = lock.with(|holding| lock.try_once(holding));
        match taken.map_err(|cause| history.error("lock the job", cause))? {
            true => lock.tell().map(|()| lock),
            false => Err(super::locked(job, &lock.holder_now()?)),
        }
    }

    /// As [`super::JobLock::ensure_held`].
    pub fn ensure_held(&self) -> Result<()> {
        let again = self.with(|holding| {
            if holding.seen_at.elapsed() < TRUST {
                return Ok(false);
            }
            if holding.is_held() {
                holding.seen_at = Instant::now();
                return Ok(false);
            }
            self.take_again(holding).map(|()| true)
        })?;
        match again {
            true => self.tell(),
            false => Ok(()),
        }
    }

    /// Takes a lost lock again. The server may be away for a moment, and may take another to notice
    /// that the old connection is gone.
    fn take_again(&self, holding: &mut Holding) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let why = match self.try_once(holding) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() > until => return Err(self.lost()?),
                Ok(false) => None,
                Err(cause) if passes(&cause) => Some(cause),
                Err(cause) => return Err(self.history.error("lock the job again", cause)),
            };
            if let Some(cause) = why
                && Instant::now() > until
            {
                return Err(self.history.error("lock the job again", cause));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Tries once, on a new connection; whether the lock was free.
    fn try_once(&self, holding: &mut Holding) -> sqlx::Result<bool> {
        let Place::Postgres(options) = self.history.place.place() else {
            return Ok(false);
        };
        let taken = holding.runtime.block_on(async {
            let mut connection = Connection::Postgres(Box::new(connect(options).await?));
            limited(STEP_TIMEOUT, execute(&mut connection, SETTINGS)).await?;
            let row = statement(
                "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1 ELSE 0 END::int8 AS taken",
            )
            .bind(key(&format!("run\0{}", self.job)))
            .row(&mut connection)
            .await?;
            let taken = row.number("taken")? == 1;
            if !taken {
                goodbye(connection).await;
                return Ok(None);
            }
            Ok::<_, sqlx::Error>(Some(connection))
        })?;
        holding.connection = taken;
        holding.seen_at = Instant::now();
        Ok(holding.connection.is_some())
    }

    /// Says who holds the lock; only for people.
    fn tell(&self) -> Result<()> {
        self.history
            .write("say who runs the job", async |tx: &mut Connection| {
                statement(
                    "INSERT INTO job_holder (job, holder) VALUES ($1, $2)
                     ON CONFLICT (job) DO UPDATE SET holder = excluded.holder",
                )
                .bind(&self.job)
                .bind(&self.holder)
                .run(tx)
                .await
                .map_err(Refusal::Driver)
            })
    }

    fn holder_now(&self) -> Result<String> {
        self.history
            .read("ask who runs the job", async |tx: &mut Connection| {
                let rows = statement("SELECT holder FROM job_holder WHERE job = $1")
                    .bind(&self.job)
                    .rows(tx)
                    .await?;
                let holder = rows.first().map(|row| row.text("holder"));
                Ok(holder.transpose()?.unwrap_or_default())
            })
    }

    fn lost(&self) -> Result<Error> {
        let holder = self.holder_now()?;
        let message = format!(
            "the connection that kept job `{}` for this process was lost, and now {holder} has it",
            self.job
        );
        Ok(Error::new(Class::Locked, "run::lock_lost", message)
            .help("`dkhost history` shows the run that goes on"))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Holding) -> T) -> T {
        // A panic elsewhere leaves at worst a lock to be taken again.
        work(&mut self.holding.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Holding {
    /// Whether the transaction that holds the lock is still there.
    fn is_held(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let answered = self
            .runtime
            .block_on(limited(FAREWELL, execute(connection, "SELECT 1")));
        if answered.is_err() {
            self.connection = None;
        }
        answered.is_ok()
    }
}

impl Drop for ServerLock {
    fn drop(&mut self) {
        let (job, holder) = (self.job.clone(), self.holder.clone());
        self.with(|holding| {
            let Some(mut connection) = holding.connection.take() else {
                return;
            };
            holding.runtime.block_on(async {
                // In the very transaction that holds the lock: nobody sees the one without the other.
                let told = async {
                    statement("DELETE FROM job_holder WHERE job = $1 AND holder = $2")
                        .bind(&job)
                        .bind(&holder)
                        .run(&mut connection)
                        .await?;
                    execute(&mut connection, "COMMIT").await
                };
                let _ = limited(FAREWELL, told).await;
                goodbye(connection).await;
            });
        });
    }
}

/// Closes a connection; the server ends its transaction, and with it the lock.
async fn goodbye(connection: Connection) {
    if let Connection::Postgres(connection) = connection {
        let _ = limited(FAREWELL, connection.close()).await;
    }
}
