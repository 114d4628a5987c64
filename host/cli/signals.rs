//! SIGINT and SIGTERM: the first finishes the batches under way, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use dkhost_core::{Error, Result};
use dkhost_engine::run::StopFlag;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// A flag that the first signal sets; `told` is called with a sentence for people then.
///
/// The second signal ends the process with 128 plus its number: what was committed stays, and the
/// run can be resumed.
pub fn stop_flag(told: impl Fn(&str) + Send + 'static) -> Result<StopFlag> {
    let stop: StopFlag = Arc::new(AtomicI32::new(0));
    let flag = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|cause| {
        Error::infrastructure("cli::signals", "cannot listen to signals").caused_by(cause)
    })?;
    let listen = move || {
        for signal in signals.forever() {
            if flag.swap(signal, Ordering::SeqCst) != 0 {
                std::process::exit(128 + signal);
            }
            told("stopping: the batches under way are finished first; once more stops at once");
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(listen)
        .map_err(|cause| {
            Error::infrastructure("cli::signals", "cannot listen to signals").caused_by(cause)
        })?;
    Ok(stop)
}

/// A file that grows past `ulimit -f` then is an error with a name instead of a sudden death.
pub fn ignore_file_size_limit() {
    // Registering can only fail for signals that cannot be caught; without it the default holds.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
