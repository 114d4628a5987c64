//! Telling the operator: log lines and counters. Both cost a call into the host.

/// How loud a line is.
pub use crate::wit::log::Level;

/// Writes a line to the host's log, with names and values beside it. The host limits the rate.
///
/// ```no_run
/// use dkhost_sdk::log::{Level, log};
/// log(Level::Info, "opened", &[("columns", "3")]);
/// ```
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    send(level, message, &fields);
}

/// Adds to a counter that the run report shows (a-z, 0-9, `_`, `-`, `.`).
pub fn count(name: &str, by: u64) {
    if by > 0 {
        add(name, by);
    }
}

#[cfg(target_arch = "wasm32")]
fn send(level: Level, message: &str, fields: &[(String, String)]) {
    crate::wit::log::log(level, message, fields);
}

#[cfg(target_arch = "wasm32")]
fn add(name: &str, by: u64) {
    crate::wit::counters::add(name, by);
}

// Outside of a host, in a plugin's own unit tests, nobody listens.
#[cfg(not(target_arch = "wasm32"))]
fn send(_: Level, _: &str, _: &[(String, String)]) {}

#[cfg(not(target_arch = "wasm32"))]
fn add(_: &str, _: u64) {}

/// Sends a panic's message to the log before the instance traps, so that the host can show it.
pub(crate) fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                send(Level::Error, &panic.to_string(), &[])
            }));
        });
    }
}
