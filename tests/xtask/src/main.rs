//! The project's own chores: `cargo xtask quickstart | test | torture | deny | bench`.
//!
//! Whoever clones the project types one of the first two and needs nothing but Rust: each chore
//! looks for what it needs and installs what is absent ([`needs`]). The chores call `cargo` and the
//! built binary as a person would; nothing of the product is linked in here, so that this crate
//! compiles in a second.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod needs;
mod quickstart;
mod shell;
mod suite;
mod torture;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask quickstart            build dkhost and a plugin, run a real job, show what came of it
cargo xtask test [CARGO-ARGS…]    install what the tests need, run all of them, count them
cargo xtask torture               200 seeds of kills and faults, and every fuzz target for a minute
cargo xtask deny                  licences, banned crates and sources of every dependency
cargo xtask bench [OPTIONS]       CPU and memory beside peers and against our targets, as a table
                                  (`cargo xtask bench --help`)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match chore.as_str() {
        "quickstart" => quickstart::run(),
        "test" => suite::run(&rest),
        "torture" => torture::run(&rest),
        "deny" => needs::cargo_deny().and_then(|deny| suite::deny(&deny)),
        "bench" => bench::run(&rest),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("there is no chore `{other}`\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nxtask: {why}");
            ExitCode::FAILURE
        }
    }
}
