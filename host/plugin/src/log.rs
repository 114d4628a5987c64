//! What plugins say: rate-limited here, kept as text, shown by whoever holds the sink.
//!
//! A plugin may not flood a log or a terminal. Each stage has a budget of lines that refills by
//! the second; what is over it is counted and said once. Nothing is escaped here: text from a
//! guest stays what it was, and the reader of a [`LogLine`] escapes it for its own medium.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the plugin's author.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd.
    Warn,
    /// Something went wrong.
    Error,
}

/// A line a plugin wrote. Escape it before it reaches a terminal or a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The plugin's name.
    pub plugin: String,
    /// The stage's name in the job.
    pub stage: String,
    /// The partition; `None` while planning.
    pub partition: Option<u32>,
    /// How loud.
    pub level: Level,
    /// At most [`MESSAGE_MAX`] bytes of what it said.
    pub message: String,
    /// Names and values beside it.
    pub fields: Vec<(String, String)>,
}

/// Takes the lines of plugins.
#[derive(Clone)]
pub struct LogSink(Arc<dyn Fn(LogLine) + Send + Sync>);

impl LogSink {
    /// A sink that calls `take` for each line, from the thread of the stage.
    pub fn new(take: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        LogSink(Arc::new(take))
    }

    pub(crate) fn take(&self, line: LogLine) {
        (self.0)(line);
    }
}

impl Default for LogSink {
    /// Hands every line to `tracing`, escaped.
    fn default() -> Self {
        LogSink::new(|line| {
            let text = line.message.escape_debug();
            let (plugin, stage) = (&line.plugin, &line.stage);
            match line.level {
                Level::Error => tracing::error!(plugin, stage, "{text}"),
                Level::Warn => tracing::warn!(plugin, stage, "{text}"),
                Level::Info => tracing::info!(plugin, stage, "{text}"),
                Level::Debug => tracing::debug!(plugin, stage, "{text}"),
                Level::Trace => tracing::trace!(plugin, stage, "{text}"),
            }
        })
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

/// Bytes of a message that are kept.
pub const MESSAGE_MAX: usize = 4096;
/// Fields beside a message that are kept.
pub(crate) const FIELDS_MAX: usize = 16;
/// Lines a stage may write at once, and per second in the long run.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;

/// The lines one stage may still write.
#[derive(Debug)]
pub(crate) struct Budget {
    lines: f64,
    filled: Instant,
    suppressed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            lines: BURST,
            filled: Instant::now(),
            suppressed: 0,
        }
    }
}

impl Budget {
    /// Takes one line at `now`. `None`: it is over the budget. `Some(n)`: write it, and say that
    /// `n` lines before it were left out.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        let refilled = now.saturating_duration_since(self.filled).as_secs_f64() * PER_SECOND;
        self.lines = (self.lines + refilled).min(BURST);
        self.filled = now;
        if self.lines < 1.0 {
            self.suppressed += 1;
            return None;
        }
        self.lines -= 1.0;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// At most `max` bytes of `text`, cut at a character; the mark of the cut is one of them.
pub(crate) fn clip(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max.saturating_sub('…'.len_utf8()))
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Bytes of a guest's own words in an error.
const SAID_MAX: usize = 1000;

/// A guest's own words as part of an error: one line, so that they cannot pass for a line of ours,
/// and no more than a person reads.
pub(crate) fn in_an_error(said: &str) -> String {
    let mut line = String::with_capacity(said.len().min(SAID_MAX) + 8);
    for c in said.trim_end().chars() {
        if line.len() >= SAID_MAX {
            line.push('…');
            break;
        }
        match c {
            '\n' | '\t' => line.push(' '),
            '\r' => {}
            c if c.is_control() => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_cut_and_the_gap_is_told() {
        let mut budget = Budget::default();
        let start = budget.filled;
        let written = (0..1000).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(written, 100);
        assert_eq!(budget.take(start + Duration::from_secs(1)), Some(900));
    }

    #[test]
    fn what_a_guest_says_in_an_error_is_one_line() {
        assert_eq!(
            in_an_error("panicked at lib.rs:1:2:\r\nno\u{1b}[2J\n"),
            "panicked at lib.rs:1:2: no\\u{1b}[2J"
        );
        assert_eq!(
            in_an_error(&"é".repeat(9000)).len(),
            SAID_MAX + '…'.len_utf8()
        );
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        assert_eq!(clip("aé".repeat(3), 8), "aéa…");
        assert_eq!(clip("aé".repeat(3), 9), "aéaéaé");
        assert_eq!(clip("a".repeat(30), 8).len(), 8);
    }
}
