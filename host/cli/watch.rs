//! Shows a run while it runs: live lines, plain lines, events, or nothing.
//!
//! A thread of ours looks at the run's counts now and then and never holds it up. On a terminal the
//! lines are redrawn in place and cleared before the report; without one a plain line appears every
//! `run.progress_interval`; `--json` prints an event instead.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dkhost_engine::Job;
use dkhost_engine::run::Progress;
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::args::ColorChoice;
use crate::live::Live;
use crate::progress::{Speed, plain_line, progress_event, start_event};
use crate::screen::{Screen, complain};
use crate::table::counted;

/// How often the counts are looked at and live lines redrawn: often enough to look alive, seldom
/// enough to cost nothing.
const LOOK: Duration = Duration::from_millis(150);

/// Says things on stderr without tearing the live lines.
#[derive(Debug, Clone)]
pub struct Voice {
    lines: MultiProgress,
    quiet: bool,
}

impl Voice {
    /// A voice that says nothing when `quiet`.
    pub fn new(quiet: bool) -> Voice {
        // Hidden until a live display needs it, so that nothing is drawn where nobody looks.
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Voice { lines, quiet }
    }

    /// Says a line, already escaped.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.lines.suspend(|| complain(text));
        }
    }
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Redrawn in place; at most so many partitions at once.
    Live { partitions: usize },
    /// A line on stderr every so often.
    Lines(Duration),
    /// An event on stdout every so often.
    Events(Duration),
    /// Not at all.
    Silent,
}

/// Watches one run.
pub struct Watch {
    mode: Mode,
    voice: Voice,
    thread: Mutex<Option<Watching>>,
}

/// The thread that looks, and how it is told to end; it returns the peak speed.
struct Watching {
    end: Sender<()>,
    thread: JoinHandle<Option<f64>>,
}

impl Watch {
    /// Decides how the progress of a job is shown.
    pub fn new(job: &Job, voice: &Voice, quiet: bool, screen: &Screen) -> Watch {
        let every = job.run.progress_interval.max(Duration::from_millis(1));
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let mode = if quiet {
            Mode::Silent
        } else if screen.json {
            Mode::Events(every)
        } else if std::io::stderr().is_terminal() && !dumb {
            Mode::Live {
                partitions: job.run.parallel,
            }
        } else {
            Mode::Lines(every)
        };
        Watch {
            mode,
            voice: voice.clone(),
            thread: Mutex::default(),
        }
    }

    /// Begins, when records begin to move.
    pub fn start(&self, progress: Arc<Progress>) {
        if progress.resumed {
            let done = counted(progress.totals().0, "record");
            self.voice.say(&format!(
                "taking up the interrupted run {} after {done}",
                progress.run
            ));
        }
        if self.mode == Mode::Silent {
            return;
        }
        let (end, ended) = channel();
        let mut shown = Shown::new(progress, self.mode, self.voice.clone());
        let look = move || {
            while ended.recv_timeout(shown.pause()) == Err(RecvTimeoutError::Timeout) {
                shown.look();
            }
            shown.clear();
            shown.peak
        };
        // Without a thread there is no progress to see, and the run is none the worse for it.
        if let Ok(thread) = std::thread::Builder::new()
            .name("progress".into())
            .spawn(look)
        {
            *self.lock() = Some(Watching { end, thread });
        }
    }

    /// Clears what was drawn and ends; the peak speed in records per second, if there was time to
    /// see one.
    pub fn end(&self) -> Option<f64> {
        let watching = self.lock().take()?;
        let _ = watching.end.send(());
        watching.thread.join().ok().flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Watching>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shown {
    progress: Arc<Progress>,
    mode: Mode,
    voice: Voice,
    live: Option<Live>,
    events: Screen,
    speed: Speed,
    peak: Option<f64>,
    last: Instant,
}

/// The first moments of a run say nothing about its speed.
const WARM_UP: Duration = Duration::from_secs(1);

impl Shown {
    /// The first event is printed here, before a record moves.
    fn new(progress: Arc<Progress>, mode: Mode, voice: Voice) -> Shown {
        let live = match mode {
            Mode::Live { partitions } => Some(Live::new(&voice.lines, &progress, partitions)),
            _ => None,
        };
        let mut events = Screen::new(ColorChoice::Never, true);
        if let Mode::Events(_) = mode {
            // The report that follows tells when stdout cannot be written to.
            let _ = events.object(&start_event(&progress));
        }
        let speed = Speed::from(progress.began, progress.totals().4);
        Shown {
            speed,
            progress,
            mode,
            voice,
            live,
            events,
            peak: None,
            last: Instant::now(),
        }
    }

    fn pause(&self) -> Duration {
        match self.mode {
            Mode::Lines(every) | Mode::Events(every) => every.min(LOOK),
            _ => LOOK,
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let speed = self.speed.update(now, self.progress.totals().0);
        if now.duration_since(self.progress.began) > WARM_UP {
            self.peak = Some(self.peak.map_or(speed, |peak| peak.max(speed)));
        }
        match self.mode {
            Mode::Live { .. } => {
                if let Some(live) = &mut self.live {
                    live.draw(&self.progress, speed);
                }
            }
            Mode::Lines(every) if now.duration_since(self.last) >= every => {
                self.last = now;
                self.voice.say(&plain_line(&self.progress, speed));
            }
            Mode::Events(every) if now.duration_since(self.last) >= every => {
                self.last = now;
                let _ = self.events.object(&progress_event(&self.progress, speed));
            }
            Mode::Lines(_) | Mode::Events(_) | Mode::Silent => {}
        }
    }

    fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }
}
