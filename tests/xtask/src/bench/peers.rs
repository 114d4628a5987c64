//! Who else is measured: Python's standard library, and DuckDB and Polars where pip can get them.
//!
//! Each peer is a script in `tests/bench/peers` that takes `ROUTE IN OUT`. A peer that cannot be
//! had is named loudly and left out; it is never a row of zeroes.

use std::path::{Path, PathBuf};

use crate::shell;

/// A peer that can be started.
pub struct Peer {
    /// As the table names it: `polars 2.1.0`.
    pub name: String,
    /// The interpreter that has it.
    pub python: PathBuf,
    /// Its script.
    pub script: PathBuf,
    /// The routes the script knows.
    pub routes: &'static [&'static str],
}

/// The peers on this machine; installs the Python ones into `folder` when they are absent.
pub fn found(folder: &Path) -> Vec<Peer> {
    let scripts = shell::root().join("tests/bench/peers");
    let mut peers = Vec::new();
    let Ok(version) = shell::output(shell::command("python3").arg("--version")) else {
        missing("python3 and everything that runs on it");
        return peers;
    };
    peers.push(Peer {
        name: format!("{} json, csv, sqlite3", version.trim()),
        python: "python3".into(),
        script: scripts.join("standard_library.py"),
        routes: &["jsonl-jsonl", "jsonl-sqlite"],
    });
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() && !shell::works("python3", &["-m", "venv", &venv.to_string_lossy()]) {
        missing("duckdb and polars (python3 has no venv)");
        return peers;
    }
    for (package, routes) in [
        ("duckdb", ["jsonl-jsonl", "csv-parquet"].as_slice()),
        ("polars", &["jsonl-jsonl", "csv-parquet"]),
    ] {
        match version_of(&python, package).or_else(|| installed(&python, package)) {
            Some(version) => peers.push(Peer {
                name: format!("{package} {version}"),
                python: python.clone(),
                script: scripts.join(format!("with_{package}.py")),
                routes,
            }),
            None => missing(package),
        }
    }
    peers
}

fn installed(python: &Path, package: &str) -> Option<String> {
    println!("installing {package} for comparison");
    let arguments = ["-m", "pip", "install", "--quiet", package];
    shell::works(python, &arguments)
        .then(|| version_of(python, package))
        .flatten()
}

fn version_of(python: &Path, package: &str) -> Option<String> {
    let code = format!("import {package}; print({package}.__version__)");
    shell::output(shell::command(python).args(["-c", &code]))
        .ok()
        .map(|text| text.trim().to_owned())
}

/// Says what the table will lack.
pub fn missing(what: &str) {
    println!("NOT INSTALLED, so not measured: {what}");
}
