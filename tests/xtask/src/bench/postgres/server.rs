//! The server of the benchmark: its own, so that what it costs can be told from everything else.

use std::time::{Duration, Instant};

use dkhost_servers::Settings;

use crate::shell::Outcome;

/// Ticks of the clock that `/proc` counts CPU time in; the same on every Linux.
const TICKS_A_SECOND: u64 = 100;

/// A PostgreSQL that writes to the disk as servers do, and does nothing on its own account while
/// somebody is measured: no vacuum, no checkpoint by the clock.
pub struct Server {
    server: dkhost_servers::Server,
    /// Processes it keeps when nobody is connected.
    idle: usize,
}

impl Server {
    /// Starts one, installed if need be.
    pub fn start() -> Outcome<Server> {
        let settings = Settings::default()
            .durable()
            .set("autovacuum", "off")
            .set("checkpoint_timeout", "1h")
            .set("max_wal_size", "4GB")
            .set("shared_buffers", "512MB");
        let server = dkhost_servers::Server::start(&settings)?;
        let mut server = Server { server, idle: 0 };
        // Background processes come one after the other.
        std::thread::sleep(Duration::from_secs(1));
        server.idle = server.children().len();
        Ok(server)
    }

    /// As every contender takes it.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What `psql` answers.
    pub fn sql(&self, sql: &str) -> Outcome<String> {
        self.server.sql(sql)
    }

    /// Waits until nobody is connected any more, some seconds at most: a session that has lost its
    /// client still costs something.
    pub fn settle(&self) {
        let began = Instant::now();
        while self.children().len() > self.idle && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// CPU time of all its processes since it started, of ended sessions too; `None` where the
    /// system does not tell.
    pub fn cpu(&self) -> Option<Duration> {
        let of_running = self.children().into_iter().filter_map(ticks);
        let of_running = of_running.map(|(own, _)| own).sum();
        Some(cpu_of(self.server.pid()?)? + time(of_running))
    }

    fn children(&self) -> Vec<u32> {
        let Some(pid) = self.server.pid() else {
            return Vec::new();
        };
        let told = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let told = told.unwrap_or_default();
        told.split_whitespace().flat_map(str::parse).collect()
    }
}

/// CPU time of a process and of its children that have ended; `None` where the system does not tell.
pub fn cpu_of(pid: u32) -> Option<Duration> {
    let (own, of_ended) = ticks(pid)?;
    Some(time(own + of_ended))
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

/// CPU ticks of a process itself, and of those of its children that have ended.
fn ticks(pid: u32) -> Option<(u64, u64)> {
    of_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn of_stat(stat: &str) -> Option<(u64, u64)> {
    // The name of the program stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut times = rest.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || times.next()?.ok();
    Some((next()? + next()?, next()? + next()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ended_sessions_count_for_the_server() {
        let stat = "42 (postgres: a) b) S 1 42 42 0 -1 4194560 900 80 0 0 7 5 300 41 20 0 1 0 9 8";
        assert_eq!(super::of_stat(stat), Some((12, 341)));
        assert_eq!(super::of_stat(""), None);
    }
}
