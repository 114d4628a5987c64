//! Ends the process when an input takes too long or too much memory: a test that hangs says nothing.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::corpus;

/// An input of some kilobytes that takes longer than this is a hang, also on a loaded machine.
const TIME_MAX: Duration = Duration::from_secs(60);
/// What a small input may cost in memory, the whole process counted.
const MEMORY_MAX_BYTES: usize = 2 << 30;

type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Watches the inputs of one target.
#[derive(Debug)]
pub struct Watch {
    current: Current,
}

impl Watch {
    /// Begins to watch.
    pub fn new(target: &str) -> Watch {
        let current = Current::default();
        let (target, weak) = (target.to_owned(), Arc::downgrade(&current));
        thread::spawn(move || {
            while let Some(current) = weak.upgrade() {
                look(&target, &current);
                drop(current);
                thread::sleep(Duration::from_millis(200));
            }
        });
        Watch { current }
    }

    /// This input begins.
    pub fn begin(&self, input: &[u8]) {
        *self.lock() = Some((Instant::now(), input.to_vec()));
    }

    /// It ended.
    pub fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Vec<u8>)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(target: &str, current: &Current) {
    let guard = current.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((since, input)) = &*guard else {
        return;
    };
    let why = if since.elapsed() > TIME_MAX {
        format!("took longer than {} s", TIME_MAX.as_secs())
    } else if memory_bytes() > MEMORY_MAX_BYTES {
        format!("took more than {} MiB", MEMORY_MAX_BYTES >> 20)
    } else {
        return;
    };
    let kept = corpus::keep(&corpus::found(target), input);
    let _ = writeln!(
        std::io::stderr(),
        "fuzz target `{target}`: an input {why}; it is kept at {kept:?}"
    );
    std::process::abort();
}

/// Resident memory of this process, in bytes; 0 where nobody tells.
fn memory_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    resident.unwrap_or(0) * 4096
}
