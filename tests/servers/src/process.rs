//! A server of one's own that speaks HTTP: started, stopped, paused, and started again on the same
//! port and data.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::kept::{self, Kept};
use crate::server::{Stop, free_port};

/// How long a start may take; Java on a loaded machine needs its time.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A running server, gone when this is dropped or its process ends.
pub struct Process {
    kept: Kept,
    ports: [u16; 2],
    plan: Box<dyn Plan>,
}

/// What differs between one server and another.
pub(crate) trait Plan: Send + Sync {
    /// As sentences name it, and as its folder is named, which is short.
    fn names(&self) -> (&'static str, &'static str);

    /// Writes its files and says what starts it; called again when a port was taken.
    fn words(&self, kept: &Kept, ports: [u16; 2]) -> Result<Vec<String>, String>;

    /// What is to be run once before the first start.
    fn init(&self, _: &Kept) -> Option<Vec<String>> {
        None
    }

    /// Whether it answers on this port as it should, and what it says instead.
    fn ready(&self, port: u16) -> Result<(), String>;
}

impl Process {
    /// Starts a server on free loopback ports, with a folder of its own.
    pub(crate) fn start(mut plan: Box<dyn Plan>) -> Result<Self, String> {
        let mut kept = Kept::group(plan.names().1, "KILL")?;
        // Between the search for a free port and the start another process may take it.
        let mut ports = [free_port()?, free_port()?];
        let mut words = plan.words(&kept, ports)?;
        if let Some(init) = plan.init(&kept) {
            kept.script("init.sh", &init)?;
            kept.init()?;
        }
        let mut tries = 5;
        loop {
            kept.script("start.sh", &words)?;
            let mut process = Process { kept, ports, plan };
            let why = match process.start_again() {
                Ok(()) => return Ok(process),
                Err(why) => why,
            };
            let taken = ["already in use", "BindException", "bind: "];
            tries -= 1;
            if tries == 0 || !taken.iter().any(|words| why.contains(words)) {
                return Err(why);
            }
            process.kept.stop("KILL")?;
            Process { kept, plan, .. } = process;
            ports = [free_port()?, free_port()?];
            words = plan.words(&kept, ports)?;
        }
    }

    /// The port on 127.0.0.1; it stays the same after a stop and a start.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The folder with its data and files.
    pub fn folder(&self) -> &Path {
        &self.kept.folder
    }

    /// The process that leads the server's group; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.kept.pid
    }

    /// What the server has written about itself.
    pub fn log(&self) -> String {
        self.kept.log()
    }

    /// Stops it, `Fast` as an administrator would (TERM), `Immediate` as a power cut (KILL);
    /// returns when it has ended. One that was paused is stopped too.
    ///
    /// *Errors* – a sentence, if whoever keeps it is gone.
    pub fn stop(&mut self, how: Stop) -> Result<(), String> {
        self.kept.stop(match how {
            Stop::Fast => "TERM",
            Stop::Immediate => "KILL",
        })
    }

    /// Starts it again on the same port and data; returns when it answers.
    ///
    /// *Errors* – a sentence with what it wrote about itself.
    pub fn start_again(&mut self) -> Result<(), String> {
        let logged = self.kept.log().len();
        self.kept.start()?;
        let began = Instant::now();
        loop {
            let refused = match self.plan.ready(self.port()) {
                // Or somebody else answers on a port that this one did not get.
                Ok(()) if self.kept.is_running() => return Ok(()),
                Ok(()) => "another process answers".to_owned(),
                Err(why) => why,
            };
            if !self.kept.is_running() || began.elapsed() > READY_WITHIN {
                let log = self.kept.log();
                let log = log.get(logged..).unwrap_or(&log);
                return Err(format!(
                    "{} did not start: {refused}\n{log}",
                    self.plan.names().0
                ));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Stops it in its tracks: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        self.kept.signal_group("STOP");
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&mut self) {
        self.kept.signal_group("CONT");
    }
}

/// A folder below the server's, in which the user that it runs as may write.
pub(crate) fn folder(kept: &Kept, name: &str) -> Result<String, String> {
    let folder = kept.folder.join(name);
    let made = match folder.is_dir() {
        true => Ok(()),
        false => kept::make_open(&folder),
    };
    made.map_err(|cause| format!("cannot make {}: {cause}", folder.display()))?;
    Ok(folder.display().to_string())
}
