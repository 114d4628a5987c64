//! What happens at the fail points of a debug build: `DKHOST_FAIL=NAME:NTH:ACTION`.
//!
//! The `NTH` time the point `NAME` is passed, the process is killed (`kill`), stopped until somebody
//! continues it (`stop`), or the point fails for good (`error`), as something that may pass (`again`)
//! or as a mistake of ours (`panic`). The module is not in a release.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use dkhost_core::{Class, Error, Result};
use rustix::process::{Signal, getpid, kill_process};

use crate::screen::complain;

/// The variable that says what is to happen.
const VARIABLE: &str = "DKHOST_FAIL";

static FAILURE: OnceLock<Failure> = OnceLock::new();
static PASSED: AtomicU64 = AtomicU64::new(0);

struct Failure {
    name: String,
    nth: u64,
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Kill,
    Stop,
    Error,
    Again,
    Panic,
}

/// Does what the variable says, if it is set.
pub fn arm() {
    let Some(wish) = std::env::var_os(VARIABLE) else {
        return;
    };
    match wish.to_str().and_then(parse) {
        Some(failure) => {
            FAILURE.get_or_init(|| failure);
            dkhost_core::fail::arm(pass);
        }
        // A test that breaks nothing would pass for the wrong reason.
        None => {
            complain(format!(
                "{VARIABLE} is not NAME:NTH:kill|stop|error|again|panic"
            ));
            std::process::exit(2);
        }
    }
}

fn parse(wish: &str) -> Option<Failure> {
    let mut words = wish.split(':');
    let (name, nth) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let action = match words.next()? {
        "kill" => Action::Kill,
        "stop" => Action::Stop,
        "error" => Action::Error,
        "again" => Action::Again,
        "panic" => Action::Panic,
        _ => return None,
    };
    Some(Failure { name, nth, action })
}

fn pass(name: &'static str) -> Result<()> {
    let Some(failure) = FAILURE.get().filter(|failure| failure.name == name) else {
        return Ok(());
    };
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 != failure.nth {
        return Ok(());
    }
    let fails = |class| {
        Err(Error::new(
            class,
            "dkhost::fail_point",
            format!("stopped at {name}"),
        ))
    };
    match failure.action {
        Action::Kill => signal(Signal::KILL),
        Action::Stop => signal(Signal::STOP),
        Action::Error => fails(Class::Infrastructure),
        Action::Again => fails(Class::Transient),
        #[allow(clippy::panic)] // The panic is what was asked for.
        Action::Panic => panic!("told to panic at {name}"),
    }
}

fn signal(signal: Signal) -> Result<()> {
    kill_process(getpid(), signal)
        .map_err(|cause| Error::bug("a fail point could not send a signal").caused_by(cause))
}
