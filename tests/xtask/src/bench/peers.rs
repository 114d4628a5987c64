//! Who else is measured: SQLite's own import, DuckDB on one thread, Polars, Python's standard library
//! and dataknobs-data.
//!
//! Each Python peer is a script in `tests/bench/peers` that takes `ROUTE IN OUT`. A peer that cannot
//! be had is named loudly and left out; it is never a row of zeroes.

use std::path::{Path, PathBuf};

use crate::shell;

/// Which programs this machine has.
pub struct Peers {
    /// `sqlite3` on the path.
    pub sqlite3: bool,
    python: Vec<Peer>,
}

/// A script and the interpreter that can run it.
pub struct Peer {
    /// The package: `duckdb`.
    pub package: &'static str,
    /// As the table names it: `polars 2.1.0`.
    pub name: String,
    interpreter: PathBuf,
    script: PathBuf,
}

impl Peers {
    /// Nobody.
    pub fn none() -> Peers {
        Peers {
            sqlite3: false,
            python: Vec::new(),
        }
    }

    /// The peers on this machine; installs the Python ones into `folder` when they are absent.
    pub fn found(folder: &Path) -> Peers {
        let sqlite3 = shell::works("sqlite3", &["--version"]);
        if !sqlite3 {
            missing("sqlite3, and the reference of the routes to SQLite");
        }
        Peers {
            sqlite3,
            python: python(folder),
        }
    }

    /// The peer that stands on this package.
    pub fn get(&self, package: &str) -> Option<&Peer> {
        self.python.iter().find(|peer| peer.package == package)
    }

    /// Names with versions, for the record.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.python.iter().map(|peer| peer.name.as_str())
    }
}

impl Peer {
    /// The command line that runs its script.
    pub fn command(&self, route: &str, from: &Path, to: &Path) -> Vec<String> {
        [&self.interpreter, &self.script, Path::new(route), from, to]
            .map(|part: &Path| part.display().to_string())
            .to_vec()
    }
}

fn python(folder: &Path) -> Vec<Peer> {
    let Ok(version) = shell::output(shell::command("python3").arg("--version")) else {
        missing("python3 and everything that runs on it");
        return Vec::new();
    };
    let mut peers = vec![peer(
        "standard_library",
        format!("{} json, sqlite3", version.trim()),
        "python3".into(),
    )];
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    if !python.exists() && !shell::works("python3", &["-m", "venv", &venv.to_string_lossy()]) {
        missing("duckdb, polars and dataknobs-data (python3 has no venv)");
        return peers;
    }
    for package in ["duckdb", "polars", "dataknobs-data"] {
        match version_of(&python, package).or_else(|| installed(&python, package)) {
            Some(version) => peers.push(peer(
                package,
                format!("{package} {version}"),
                python.clone(),
            )),
            None => missing(package),
        }
    }
    peers
}

fn peer(package: &'static str, name: String, interpreter: PathBuf) -> Peer {
    let script = match package {
        "standard_library" => "standard_library.py".to_owned(),
        package => format!("with_{}.py", package.replace('-', "_")),
    };
    Peer {
        package,
        name,
        interpreter,
        script: shell::root().join("tests/bench/peers").join(script),
    }
}

fn installed(python: &Path, package: &str) -> Option<String> {
    println!("installing {package} for comparison");
    let arguments = ["-m", "pip", "install", "--quiet", package];
    shell::works(python, &arguments)
        .then(|| version_of(python, package))
        .flatten()
}

fn version_of(python: &Path, package: &str) -> Option<String> {
    let code = format!("from importlib.metadata import version; print(version('{package}'))");
    shell::output(shell::command(python).args(["-c", &code]))
        .ok()
        .map(|text| text.trim().to_owned())
}

/// Says what the table will lack.
fn missing(what: &str) {
    println!("NOT INSTALLED, so not measured: {what}");
}
