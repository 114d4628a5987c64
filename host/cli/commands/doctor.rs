//! `dkhost doctor`: what dkhost needs on this machine, and what to do where it is missing.
//!
//! What a run needs decides the exit code; what only authors of plugins need is named and does not.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use dkhost_core::Result;
use dkhost_engine::Job;
use dkhost_engine::history::{History, StateUrl};
use dkhost_engine::job::DEFAULT_STATE;
use serde::Serialize;

use crate::escape::escape;
use crate::registry;
use crate::screen::Screen;
use crate::table::{Cell, Table};

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    /// `ok`, `missing` (a run fails) or `absent` (only authors of plugins miss it).
    status: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// Looks at this machine.
pub fn doctor(job: Option<&Path>, screen: &mut Screen) -> Result<i32> {
    let state = match job {
        Some(path) => Job::load(path, &super::lenient, &[])?.state,
        None => StateUrl::parse(DEFAULT_STATE, Path::new(""))?,
    };
    let mut checks = vec![
        version(),
        match state.folder() {
            Some(folder) => writable("state folder", folder),
            None => reachable(&state),
        },
        writable("plugin cache", &registry::cache(&state)),
    ];
    checks.extend(toolchain());
    let mut table = Table::default();
    for check in &checks {
        if screen.json {
            screen.object(check)?;
            continue;
        }
        let paint = screen.paint;
        let status = Cell::new(check.status).painted(|text| match check.status {
            "ok" => paint.green(text),
            "missing" => paint.red(text),
            _ => paint.yellow(text),
        });
        table.row([
            status,
            Cell::new(check.name),
            Cell::new(escape(&check.found)),
        ]);
        if let Some(help) = &check.help {
            table.row([
                Cell::default(),
                Cell::default(),
                Cell::new(escape(help)).painted(|text| paint.cyan(text)),
            ]);
        }
    }
    if !screen.json {
        screen.line(table.lines().join("\n"))?;
    }
    Ok(if checks.iter().any(|check| check.status == "missing") {
        5
    } else {
        0
    })
}

fn version() -> Check {
    let backends: Vec<&str> = registry::backends()
        .iter()
        .map(|backend| backend.name())
        .collect();
    let lines = dkhost_plugin::LINES.join(", ");
    Check {
        name: "dkhost",
        status: "ok",
        found: format!(
            "{}, backends {}, plugin contract {lines}",
            env!("CARGO_PKG_VERSION"),
            backends.join(", ")
        ),
        help: None,
    }
}

/// Whether the history on a server can be opened. Nothing is made there.
fn reachable(state: &StateUrl) -> Check {
    let (status, found, help) = match History::open_existing(state) {
        Ok(Some(_)) => ("ok", format!("{state}"), None),
        Ok(None) => ("ok", format!("{state}, made when it is needed"), None),
        Err(error) => (
            "missing",
            error.chain(),
            error.help_text().map(str::to_owned),
        ),
    };
    Check {
        name: "state",
        status,
        found,
        help,
    }
}

/// Whether a folder can be written to, or made where it is absent. Nothing is left behind.
fn writable(name: &'static str, folder: &Path) -> Check {
    let existing = folder
        .ancestors()
        .find(|folder| folder.is_dir() || folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() {
        Path::new(".")
    } else {
        existing
    };
    let probe = existing.join(format!(".dkhost-doctor-{}", std::process::id()));
    let tried = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|mut file| file.write_all(b"x"));
    let _ = std::fs::remove_file(&probe);
    let shown = folder.display();
    match tried {
        Ok(()) if existing == folder => Check {
            name,
            status: "ok",
            found: format!("{shown}"),
            help: None,
        },
        Ok(()) => Check {
            name,
            status: "ok",
            found: format!("{shown}, made when it is needed"),
            help: None,
        },
        Err(cause) => Check {
            name,
            status: "missing",
            found: format!("{shown} cannot be written: {cause}"),
            help: Some(match name {
                "plugin cache" => "set XDG_CACHE_HOME to a folder you may write to".to_owned(),
                _ => format!(
                    "check who may write to {}, or set [state] url in the job",
                    existing.display()
                ),
            }),
        },
    }
}

/// What `dkhost plugin build` needs for plugins in Rust.
fn toolchain() -> Vec<Check> {
    let target = "wasm32-unknown-unknown";
    let install = "only for authors of plugins: install rustup from https://rustup.rs";
    let mut checks = vec![
        program("rustup", &["--version"], install),
        program("cargo", &["--version"], install),
    ];
    let installed = output("rustc", &["--print", "target-libdir", "--target", target])
        .map(|folder| Path::new(&folder).is_dir());
    checks.push(match installed {
        Some(true) => Check {
            name: "wasm target",
            status: "ok",
            found: target.to_owned(),
            help: None,
        },
        _ => Check {
            name: "wasm target",
            status: "absent",
            found: format!("{target} is not installed"),
            help: Some(format!(
                "only for authors of plugins: rustup target add {target}"
            )),
        },
    });
    checks
}

fn program(name: &'static str, arguments: &[&str], help: &str) -> Check {
    match output(name, arguments) {
        Some(version) => Check {
            name,
            status: "ok",
            found: version,
            help: None,
        },
        None => Check {
            name,
            status: "absent",
            found: "not found".to_owned(),
            help: Some(help.to_owned()),
        },
    }
}

/// The first line a program prints, if it can be run.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}
