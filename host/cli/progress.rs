//! Shows how far a run has come while it runs: live lines, plain lines, events, or nothing.
//!
//! The run counts in [`Progress`]; a thread of ours looks at it now and then and never holds it
//! up. On a terminal the lines are redrawn in place and cleared before the report; without one a
//! plain line appears every `run.progress_interval`; `--json` prints an event instead.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dkhost_engine::run::{PartitionProgress, Progress};
use indicatif::MultiProgress;
use serde_json::{Value, json};

use crate::escape::escape;
use crate::live::Live;
use crate::screen::{Screen, complain};
use crate::table::{bytes, count, duration, rate};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Redrawn in place; at most so many partitions at once.
    Live { partitions: usize },
    /// A line on stderr every so often.
    Lines(Duration),
    /// An event on stdout every so often.
    Events(Duration),
    /// Not at all.
    Silent,
}

/// How often live lines are redrawn: often enough to look alive, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(150);

/// Says things on stderr without tearing the live lines.
#[derive(Debug, Clone)]
pub struct Voice {
    lines: MultiProgress,
    quiet: bool,
}

impl Voice {
    /// A voice that says nothing but errors when `quiet`.
    pub fn new(quiet: bool) -> Voice {
        // Hidden until a live display needs it, so that nothing is drawn where nobody looks.
        let lines = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        Voice { lines, quiet }
    }

    /// Says a line, already escaped.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.lines.suspend(|| complain(text));
        }
    }

    /// Where live lines are drawn.
    pub fn lines(&self) -> &MultiProgress {
        &self.lines
    }
}

/// A thread that shows progress until it is told to end.
pub struct Watch {
    end: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to show `progress`.
    pub fn start(progress: Arc<Progress>, mode: Mode, voice: &Voice) -> Watch {
        let (end, ended) = channel();
        let voice = voice.clone();
        let mut shown = Shown::new(progress, mode, &voice);
        let pause = match mode {
            Mode::Live { .. } => REDRAW,
            Mode::Lines(every) | Mode::Events(every) => every,
            Mode::Silent => return Watch { end, thread: None },
        };
        let watch = move || {
            shown.begin();
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                shown.update(&voice);
            }
            shown.clear();
        };
        // Without a thread there is no progress to see, and the run is none the worse for it.
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(watch)
            .ok();
        Watch { end, thread }
    }

    /// Clears what was drawn and ends the thread.
    pub fn end(mut self) {
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Shown {
    progress: Arc<Progress>,
    mode: Mode,
    live: Option<Live>,
    events: Screen,
    speed: Speed,
}

impl Shown {
    fn new(progress: Arc<Progress>, mode: Mode, voice: &Voice) -> Shown {
        let live = match mode {
            Mode::Live { partitions } => Some(Live::new(voice.lines(), &progress, partitions)),
            _ => None,
        };
        let speed = Speed::from(progress.began, progress.totals().4);
        Shown {
            progress,
            mode,
            live,
            events: Screen::new(crate::args::ColorChoice::Never, true),
            speed,
        }
    }

    fn begin(&mut self) {
        if let Mode::Events(_) = self.mode {
            // The report that follows tells when stdout cannot be written to.
            let _ = self.events.object(&start_event(&self.progress));
        }
    }

    fn update(&mut self, voice: &Voice) {
        let speed = self.speed.update(Instant::now(), self.progress.totals().0);
        match self.mode {
            Mode::Live { .. } => {
                if let Some(live) = &mut self.live {
                    live.draw(&self.progress, speed);
                }
            }
            Mode::Lines(_) => voice.say(&plain_line(&self.progress, speed)),
            Mode::Events(_) => {
                let _ = self.events.object(&progress_event(&self.progress, speed));
            }
            Mode::Silent => {}
        }
    }

    fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }
}

/// Records per second over the last few seconds.
#[derive(Debug)]
pub struct Speed {
    at: Instant,
    records: u64,
    per_second: Option<f64>,
}

/// Older samples count for little after so many seconds.
const SPEED_MEMORY_SECONDS: f64 = 5.0;

impl Speed {
    /// From `records` at `at`.
    pub fn from(at: Instant, records: u64) -> Speed {
        Speed {
            at,
            records,
            per_second: None,
        }
    }

    /// The speed, given so many records now.
    pub fn update(&mut self, now: Instant, records: u64) -> f64 {
        let seconds = now.duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return self.per_second.unwrap_or(0.0);
        }
        let latest = records.saturating_sub(self.records) as f64 / seconds;
        let weight = 1.0 - (-seconds / SPEED_MEMORY_SECONDS).exp();
        let speed = self
            .per_second
            .map_or(latest, |before| before + weight * (latest - before));
        (self.at, self.records, self.per_second) = (now, records, Some(speed));
        speed
    }
}

/// How much of the whole is done, 0 to 1, if the whole is known.
pub fn share(progress: &Progress) -> Option<f64> {
    let (records, _, _, bytes, _) = progress.totals();
    let of = |done: u64, total: Option<u64>| {
        total
            .filter(|total| *total > 0)
            .map(|total| done as f64 / total as f64)
    };
    of(records, progress.total_records)
        .or_else(|| of(bytes, progress.total_bytes))
        .map(|share| share.min(1.0))
}

/// Time left at this speed, in milliseconds, if the whole is known.
pub fn left_ms(progress: &Progress, speed: f64) -> Option<u64> {
    let (records, ..) = progress.totals();
    let share = share(progress).filter(|share| *share > 0.0 && speed > 0.0)?;
    let records_left = records as f64 / share - records as f64;
    Some((records_left / speed * 1_000.0) as u64)
}

fn plain_line(progress: &Progress, speed: f64) -> String {
    let (records, _, refused, source_bytes, _) = progress.totals();
    let share = share(progress)
        .map(|share| format!(" ({:.0} %)", share * 100.0))
        .unwrap_or_default();
    let mut line = format!(
        "{}: {} records{share}, {}, {}",
        escape(&progress.job),
        count(records),
        rate(speed),
        bytes(source_bytes)
    );
    if refused > 0 {
        line.push_str(&format!(", {} refused", count(refused)));
    }
    if let Some(left) = left_ms(progress, speed) {
        line.push_str(&format!(", about {} left", duration(left)));
    }
    let busy: Vec<String> = active(progress)
        .take(4)
        .map(|p| format!("{} {}", escape(&p.label), p.phase()))
        .collect();
    if !busy.is_empty() {
        line.push_str(&format!("; {}", busy.join(", ")));
    }
    line
}

/// Partitions that are under way.
pub fn active(progress: &Progress) -> impl Iterator<Item = &PartitionProgress> {
    progress.partitions.iter().filter(|partition| {
        !matches!(partition.phase(), "done")
            && (partition.phase() != "waiting" || partition.read.load(Ordering::Relaxed) > 0)
    })
}

fn start_event(progress: &Progress) -> Value {
    let labels: Vec<&str> = progress
        .partitions
        .iter()
        .map(|partition| partition.label.as_str())
        .collect();
    json!({
        "event": "start",
        "job": progress.job,
        "run": progress.run,
        "resumed": progress.resumed,
        "total_records": progress.total_records,
        "total_bytes": progress.total_bytes,
        "partitions": labels,
    })
}

fn progress_event(progress: &Progress, speed: f64) -> Value {
    let (records, rows_written, refused, source_bytes, _) = progress.totals();
    let partition = |p: &PartitionProgress| {
        json!({
            "label": p.label,
            "read": p.read.load(Ordering::Relaxed),
            "rows_written": p.written.load(Ordering::Relaxed),
            "refused": p.refused.load(Ordering::Relaxed),
            "source_bytes": p.bytes.load(Ordering::Relaxed),
            "phase": p.phase(),
        })
    };
    json!({
        "event": "progress",
        "job": progress.job,
        "run": progress.run,
        "read": records,
        "rows_written": rows_written,
        "refused": refused,
        "source_bytes": source_bytes,
        "records_per_second": (speed * 10.0).round() / 10.0,
        "left_ms": left_ms(progress, speed),
        "partitions": progress.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_way() -> Progress {
        let partition = |label: &str, read: u64, phase: u64| PartitionProgress {
            label: label.to_owned(),
            read: read.into(),
            read_before: 0,
            written: read.into(),
            refused: 3.into(),
            bytes: (read * 100).into(),
            phase: phase.into(),
        };
        Progress {
            job: "movies".into(),
            run: "0198".into(),
            resumed: false,
            total_records: Some(2_000),
            total_bytes: None,
            partitions: vec![
                partition("a\x1b.json", 600, 3),
                partition("b.json", 400, 5),
                partition("c.json", 0, 0),
            ],
            began: Instant::now(),
        }
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_what_it_waits_for() {
        assert_eq!(
            plain_line(&half_way(), 100.0),
            "movies: 1,000 records (50 %), 100/s, 97.7 KiB, 9 refused, about 10 s left; a\\u{1b}.json writing"
        );
    }

    #[test]
    fn an_event_counts_as_the_run_does() {
        let event = progress_event(&half_way(), 100.0);
        assert_eq!(event["read"], 1_000);
        assert_eq!(event["left_ms"], 10_000);
        assert_eq!(event["partitions"][1]["phase"], "done");
        assert_eq!(start_event(&half_way())["partitions"][2], "c.json");
    }

    #[test]
    fn speed_follows_the_last_seconds_and_not_the_whole_run() {
        let start = Instant::now();
        let mut speed = Speed::from(start, 5_000);
        assert_eq!(speed.update(start + Duration::from_secs(1), 6_000), 1_000.0);
        let slower = speed.update(start + Duration::from_secs(21), 6_000);
        assert!(slower < 20.0, "{slower}");
    }

    #[test]
    fn nothing_is_promised_about_a_whole_that_is_not_known() {
        let unknown = Progress {
            total_records: None,
            ..half_way()
        };
        assert_eq!(left_ms(&unknown, 100.0), None);
        assert_eq!(share(&unknown), None);
    }
}
