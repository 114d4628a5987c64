//! How far a run has come, in words and numbers: speed, share, time left, a line, an event.
//!
//! The run counts in [`Progress`]; nothing here changes it. Who shows what when is decided in
//! `watch`.

use std::sync::atomic::Ordering;
use std::time::Instant;

use dkhost_engine::run::{PartitionProgress, Progress};
use serde_json::{Value, json};

use crate::escape::escape;
use crate::table::{bytes, count, duration, rate};

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
    let share = share(progress).filter(|share| *share > 0.0 && *share < 1.0 && speed > 0.0)?;
    let records_left = records as f64 / share - records as f64;
    Some((records_left / speed * 1_000.0) as u64)
}

/// A time left as people say it: an estimate has no milliseconds.
pub fn whole_seconds(ms: u64) -> String {
    duration((ms / 1_000).max(1) * 1_000).replace(".00", "")
}

/// A line for people without a terminal.
pub fn plain_line(progress: &Progress, speed: f64) -> String {
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
        line.push_str(&format!(", about {} left", whole_seconds(left)));
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

/// The first event of a run.
pub fn start_event(progress: &Progress) -> Value {
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

/// Where a run stands, for programs.
pub fn progress_event(progress: &Progress, speed: f64) -> Value {
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
    use std::time::Duration;

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
