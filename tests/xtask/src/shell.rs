//! Running other programs: where they run, what is shown of them, what their failure says.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a chore returns: nothing, or why it could not be done.
pub type Outcome<T = ()> = Result<T, String>;

/// The top folder of the checkout.
pub fn root() -> PathBuf {
    // `cargo run` sets the variable; the compiled-in one serves whoever starts the binary itself.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).map_or(here.clone(), PathBuf::from)
}

/// The folder cargo builds into: ours is `<target>/debug/xtask`.
pub fn target() -> PathBuf {
    let ours = std::env::current_exe().unwrap_or_default();
    ours.ancestors()
        .nth(2)
        .map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` as it called us, in the top folder, without what it set for us alone.
pub fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Build scripts that watch these would run again each time they are called from here.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// A program in the top folder, without standard input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs it with its output shown; anything but exit 0 is an error.
pub fn run(command: &mut Command) -> Outcome {
    run_allowing(command, &[0]).map(drop)
}

/// Runs it with its output shown; returns its exit code, which must be one of `fine`.
pub fn run_allowing(command: &mut Command, fine: &[i32]) -> Outcome<i32> {
    let status = command
        .status()
        .map_err(|cause| cannot_start(command, &cause))?;
    match status.code() {
        Some(code) if fine.contains(&code) => Ok(code),
        _ => Err(format!("`{}` ended with {status}", shown(command))),
    }
}

/// Runs it quietly and returns its standard output.
pub fn output(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|cause| cannot_start(command, &cause))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "`{}` ended with {}\n{errors}",
            shown(command),
            output.status
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the program can be started with these arguments and succeeds.
pub fn works(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let mut command = command(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command line as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let quote = if argument.contains([' ', '"', '*']) {
            "'"
        } else {
            ""
        };
        let _ = write!(line, " {quote}{argument}{quote}");
    }
    line
}

/// The error of a program that is not there or may not be run.
pub fn cannot_start(command: &Command, cause: &std::io::Error) -> String {
    format!(
        "cannot start `{}`: {cause}",
        command.get_program().to_string_lossy()
    )
}

/// `4 s`, `3 min 20 s`.
pub fn took(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
