//! How fast a run was at its best.
//!
//! Measured over a second at least, so that one batch that was ready in a moment is no record.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a peak is measured over, at least.
const WINDOW: Duration = Duration::from_secs(1);

/// Measures how many records a second are committed.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Instant,
    records: u64,
    peak: f64,
}

impl Pace {
    /// Begins to measure.
    pub(super) fn new(now: Instant) -> Self {
        Pace(Mutex::new(Window {
            began: now,
            records: 0,
            peak: 0.0,
        }))
    }

    /// So many records were committed just now.
    pub(super) fn add(&self, records: u64) {
        self.add_at(records, Instant::now());
    }

    fn add_at(&self, records: u64, now: Instant) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.records += records;
        let took = now.saturating_duration_since(window.began);
        if took >= WINDOW {
            let rate = window.records as f64 / took.as_secs_f64();
            *window = Window {
                began: now,
                records: 0,
                peak: window.peak.max(rate),
            };
        }
    }

    /// Records per second in the best window; `average` for a run too short to have one, and never
    /// less.
    pub(super) fn peak(&self, average: f64) -> f64 {
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.peak.max(average)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_that_of_the_best_second_and_no_burst() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        pace.add_at(900, at(10));
        assert_eq!(pace.peak(300.0), 300.0);
        pace.add_at(100, at(2_000));
        assert_eq!(pace.peak(300.0), 500.0);
        pace.add_at(4_000, at(3_000));
        pace.add_at(10, at(4_000));
        assert_eq!(pace.peak(1_000.0), 4_000.0);
    }
}
