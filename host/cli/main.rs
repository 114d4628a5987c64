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
#[cfg(debug_assertions)]
mod fail;
mod heap;
mod live;
mod progress;
mod registry;
mod report;
mod screen;
mod signals;
mod snippet;
mod table;
mod usage;
mod watch;

use clap::Parser;

use crate::args::Cli;
use crate::escape::escape;
use crate::screen::complain;

fn main() {
    heap::bound_what_is_kept();
    install_panic_hook();
    signals::ignore_file_size_limit();
    #[cfg(debug_assertions)]
    fail::arm();
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, command, input, output] = arguments.as_slice()
        && command == dkhost_plugin::SUBCOMMAND
    {
        std::process::exit(commands::compile_plugin(input.as_ref(), output.as_ref()));
    }
    let code = match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(wrong) => usage::refuse(wrong),
    };
    std::process::exit(code);
}

/// A panic is our mistake: say so in a few lines, with what a report needs, and stop at once. What
/// was committed is safe, and the run can be resumed.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        // A reader of a foreign format fell over a broken file: an error of the source.
        if dkhost_core::foreign::is_expected() {
            return;
        }
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
