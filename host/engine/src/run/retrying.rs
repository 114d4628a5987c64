//! Trouble that may pass is tried again, with growing pauses, as long as nobody wants us to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dkhost_core::{Error, Result};

use super::progress::StopFlag;
use crate::job::settings::Retry;

/// How long a pause may go on before it looks whether to stop.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The retry policy of a run.
pub struct Retrying<'a> {
    /// The policy.
    pub retry: Retry,
    /// A signal asked us to stop.
    pub stop: &'a StopFlag,
    /// Another part of the run failed.
    pub halted: &'a AtomicBool,
}

impl Retrying<'_> {
    /// Does `work` until it succeeds, fails for good, or tries are used up.
    pub fn run<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        let mut attempt = 0;
        loop {
            match work() {
                Err(error) if self.may_retry(&error, attempt) => {
                    attempt += 1;
                    self.pause(self.retry.pause(attempt));
                }
                Err(error) if attempt > 0 => return Err(tried(error, attempt)),
                result => return result,
            }
        }
    }

    fn may_retry(&self, error: &Error, attempt: u32) -> bool {
        self.retry.covers(error.class()) && attempt < self.retry.max_retries && !self.is_stopping()
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst) != 0 || self.halted.load(Ordering::SeqCst)
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.is_stopping() {
            std::thread::sleep(LOOK_UP.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

fn tried(error: Error, attempts: u32) -> Error {
    if error.help_text().is_some() {
        return error;
    }
    error.help(format!(
        "tried {} times; run the same command again to go on where it stopped",
        attempts + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_core::Class;
    use std::sync::Arc;

    fn attempts(class: Class, max_retries: u32, succeed_at: u32) -> (bool, u32) {
        let retry = Retry {
            max_retries,
            initial: Duration::ZERO,
            ..crate::job::RunSettings::default().retry
        };
        let (stop, halted) = (Arc::default(), AtomicBool::new(false));
        let retrying = Retrying {
            retry,
            stop: &stop,
            halted: &halted,
        };
        let mut tries = 0;
        let result = retrying.run(|| {
            tries += 1;
            if tries == succeed_at {
                Ok(())
            } else {
                Err(Error::new(class, "t::t", "trouble"))
            }
        });
        (result.is_ok(), tries)
    }

    #[test]
    fn only_trouble_that_may_pass_is_tried_again() {
        assert_eq!(attempts(Class::Transient, 3, 3), (true, 3));
        assert_eq!(attempts(Class::Transient, 3, 99), (false, 4));
        assert_eq!(attempts(Class::Infrastructure, 3, 2), (false, 1));
    }
}
