//! The live lines of a run: one for the whole, one for each partition under way.
//!
//! indicatif does the drawing and clearing; what the lines say is put together here, in columns
//! that stay where they are.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use dkhost_engine::run::{PartitionProgress, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::escape::escape;
use crate::progress::{Speed, active, left_ms, share, whole_seconds};
use crate::table::{bytes, clip, count, rate};

/// Lines for partitions at most: a terminal has few.
const LINES_MAX: usize = 12;
/// Columns for a partition's label.
const LABEL_WIDTH: usize = 28;

/// Lines that are redrawn in place.
pub struct Live {
    lines: MultiProgress,
    whole: ProgressBar,
    slots: Vec<ProgressBar>,
    speeds: BTreeMap<String, Speed>,
}

impl Live {
    /// Begins to draw on stderr, with lines for at most `partitions` at once.
    pub fn new(lines: &MultiProgress, progress: &Progress, partitions: usize) -> Live {
        lines.set_draw_target(ProgressDrawTarget::stderr());
        let line = || {
            let bar = lines.add(ProgressBar::new_spinner());
            // The template is fixed and known to be right.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        };
        let whole = line();
        // A single partition is the whole.
        let slots = match progress.partitions.len() {
            0 | 1 => 0,
            n => n.min(partitions).min(LINES_MAX),
        };
        Live {
            lines: lines.clone(),
            whole,
            slots: (0..slots).map(|_| line()).collect(),
            speeds: BTreeMap::new(),
        }
    }

    /// Draws where the run stands.
    pub fn draw(&mut self, progress: &Progress, speed: f64) {
        self.whole.set_message(whole_line(progress, speed));
        let texts = self.partition_lines(progress, Instant::now());
        for (slot, text) in self.slots.iter().zip(texts) {
            slot.set_message(text);
        }
    }

    /// One line per slot: partitions under way, then empty ones.
    fn partition_lines(&mut self, progress: &Progress, now: Instant) -> Vec<String> {
        let mut busy = active(progress);
        let mut lines = Vec::with_capacity(self.slots.len());
        for _ in &self.slots {
            let Some(partition) = busy.next() else {
                lines.push(String::new());
                continue;
            };
            let speed = self
                .speeds
                .entry(partition.label.clone())
                .or_insert_with(|| Speed::from(progress.began, partition.read_before))
                .update(now, partition.read.load(Ordering::Relaxed));
            lines.push(partition_line(partition, speed));
        }
        lines
    }

    /// Takes everything drawn away.
    pub fn clear(&mut self) {
        self.whole.finish_and_clear();
        for slot in &self.slots {
            slot.finish_and_clear();
        }
        // A line that cannot be cleared any more is on a terminal that has gone.
        let _ = self.lines.clear();
        self.lines.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn whole_line(progress: &Progress, speed: f64) -> String {
    let (records, _, refused, source_bytes, _) = progress.totals();
    let name = clip(&escape(&progress.job), LABEL_WIDTH);
    let mut line = format!("{name}  {} records", count(records));
    if let Some(share) = share(progress) {
        line.push_str(&format!(" ({:.0} %)", share * 100.0));
    }
    line.push_str(&format!("  {}  {}", rate(speed), bytes(source_bytes)));
    if refused > 0 {
        line.push_str(&format!("  {} refused", count(refused)));
    }
    if let Some(left) = left_ms(progress, speed) {
        line.push_str(&format!("  about {} left", whole_seconds(left)));
    }
    let done = progress
        .partitions
        .iter()
        .filter(|partition| partition.phase() == "done")
        .count();
    match progress.partitions.as_slice() {
        all if done == all.len() => line.push_str("  verifying and publishing"),
        [only] => line.push_str(&format!("  {}", only.phase())),
        all => line.push_str(&format!("  {done} of {} partitions done", all.len())),
    }
    line
}

fn partition_line(partition: &PartitionProgress, speed: f64) -> String {
    let label = clip(&escape(&partition.label), LABEL_WIDTH);
    let read = count(partition.read.load(Ordering::Relaxed));
    let taken = bytes(partition.bytes.load(Ordering::Relaxed));
    let mut line = format!(
        "  {label:<LABEL_WIDTH$}  {read:>13}  {:>11}  {taken:>9}  {}",
        rate(speed),
        partition.phase()
    );
    let refused = partition.refused.load(Ordering::Relaxed);
    if refused > 0 {
        line.push_str(&format!("  {} refused", count(refused)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_for_the_whole_and_one_for_each_partition_under_way() {
        let partition = |label: &str, phase: u64| PartitionProgress {
            label: label.to_owned(),
            read: 1_500.into(),
            read_before: 0,
            written: 0.into(),
            refused: 0.into(),
            bytes: 2_048.into(),
            phase: phase.into(),
        };
        let progress = Progress {
            job: "movies".into(),
            run: "0198".into(),
            resumed: false,
            total_records: None,
            total_bytes: None,
            partitions: vec![
                partition("a.json", 5),
                partition("b.json", 1),
                partition("c.json", 3),
            ],
            began: Instant::now(),
        };
        assert_eq!(
            whole_line(&progress, 300.0),
            "movies  4,500 records  300/s  6.0 KiB  1 of 3 partitions done"
        );
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut live = Live::new(&lines, &progress, 3);
        let texts = live.partition_lines(&progress, progress.began + Duration::from_secs(1));
        assert_eq!(
            texts[0],
            "  b.json                                1,500      1,500/s    2.0 KiB  reading"
        );
        assert_eq!(
            texts[1],
            "  c.json                                1,500      1,500/s    2.0 KiB  writing"
        );
        assert_eq!(texts[2], "");
    }
}
