//! The program `dkhost`: arguments, wiring, printing, exit codes.
//!
//! Everything that happens to records happens in the engine; this crate turns a command line into
//! calls of it and what comes back into text, JSON and an exit code. It is the only place that
//! prints, reads the environment or exits (invariant 4), and no panic of ours reaches a user as
//! anything but a short request to report it.

mod args;
mod commands;
mod error;
mod escape;
mod live;
mod progress;
mod registry;
mod report;
mod screen;
mod signals;
mod snippet;
mod table;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use dkhost_core::Error;

use crate::args::Cli;
use crate::escape::escape;
use crate::screen::complain;

fn main() {
    install_panic_hook();
    signals::ignore_file_size_limit();
    let code = match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(wrong) => usage(&wrong),
    };
    std::process::exit(code);
}

/// Prints what clap has to say: help and version on stdout, mistakes on stderr.
fn usage(wrong: &clap::Error) -> i32 {
    if let Some((word, sentence)) = asked_for_later(wrong) {
        let error = Error::config(
            "cli::later",
            format!("`{word}` is not in this version of dkhost"),
        )
        .help(sentence);
        complain(error::render(&error, None, screen::Paint::PLAIN));
        return error::exit_code(&error);
    }
    // A closed stdout is no trouble: whoever asked for help has gone.
    let _ = wrong.print();
    wrong.exit_code()
}

/// A command or option of the design that this version does not have.
fn asked_for_later(wrong: &clap::Error) -> Option<(&str, &'static str)> {
    let kind = match wrong.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    match wrong.get(kind)? {
        ContextValue::String(word) => Some((word, args::later(word)?)),
        _ => None,
    }
}

/// A panic is our mistake: say so in a few lines, with what a report needs, and stop at once. What
/// was committed is safe, and the run can be resumed.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        let command = std::env::args().nth(1).unwrap_or_default();
        complain(format!(
            "error[dkhost::bug]: dkhost made a mistake: {}\n  at {place}, version {}, command `{}`\n  \
             help: this is a bug in dkhost, not in your job. Batches that were committed are safe, and the same\n        \
             command goes on from there. Please report these lines with the job file, secrets removed",
            escape(what),
            env!("CARGO_PKG_VERSION"),
            escape(&command),
        ));
        std::process::exit(101);
    }));
}
