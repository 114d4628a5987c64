//! Who moves rows from and to PostgreSQL besides: packages from PyPI, each in a virtual environment
//! of its own, because no two of them want the same versions.

use std::path::{Path, PathBuf};

use super::super::routes::Role;
use super::contender::{Contender, Output, Work, brief};
use super::rows::{Prepared, Table};
use crate::needs;
use crate::shell::{self, Outcome};

/// A package and what its environment holds.
const PACKAGES: [(&str, &[&str]); 5] = [
    (ADBC, &["adbc-driver-postgresql==1.13.0", "pyarrow==26.0.1"]),
    (
        CONNECTORX,
        &["connectorx==0.4.6", "pyarrow==26.0.1", "polars==2.1.0"],
    ),
    (INGESTR, &["ingestr==0.15.9"]),
    (SLING, &["sling-linux-amd64==1.4.11"]),
    (
        DLT,
        &[
            "dlt[postgres,parquet]==1.31.0",
            "sqlalchemy==2.1.9",
            "connectorx==0.4.6",
            "adbc-driver-postgresql==1.13.0",
        ],
    ),
];

/// Arrow's own driver.
pub const ADBC: &str = "adbc-driver-postgresql";
/// Reads into Arrow.
pub const CONNECTORX: &str = "connectorx";
/// A program of its own, in Go.
pub const INGESTR: &str = "ingestr";
/// A program of its own, in Go.
pub const SLING: &str = "sling-linux-amd64";
/// Pipelines in Python.
pub const DLT: &str = "dlt";

/// How long a peer may take before it is given up.
const SECONDS: &str = "1800";

/// The packages, installed or with the reason why not.
pub struct Peers(Vec<Peer>);

struct Peer {
    package: &'static str,
    /// As the table names it: `dlt 1.31.0`.
    name: String,
    folder: Outcome<PathBuf>,
}

/// From where to where a contender moves what.
pub struct Move<'a> {
    /// `pg-pg`, as the scripts know it.
    pub route: &'static str,
    /// What is moved.
    pub table: &'a Table,
    /// The server.
    pub url: &'a str,
    /// Where files are written.
    pub folder: &'a Path,
}

impl Peers {
    /// Nobody.
    pub fn none() -> Peers {
        Peers(Vec::new())
    }

    /// All of them, installed where they are absent, into the cache folder.
    pub fn found() -> Peers {
        let each = PACKAGES.iter().map(|(package, wanted)| {
            let folder = installed(Path::new("python3"), package, wanted);
            if let Err(why) = &folder {
                println!("NOT INSTALLED, so not measured: {package}\n{why}");
            }
            let version = wanted[0].rsplit("==").next().unwrap_or_default();
            Peer {
                package,
                name: format!("{package} {version}"),
                folder,
            }
        });
        Peers(each.collect())
    }

    /// Names with versions, for the record.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|peer| peer.name.as_str())
    }

    /// A peer on a route, `None` if nobody is to be measured.
    pub fn contender(&self, package: &str, role: Role, way: &Move<'_>) -> Option<Contender> {
        let peer = self.0.iter().find(|peer| peer.package == package)?;
        let name = match (package, way.route) {
            (ADBC, "csv-pg") => format!("pyarrow + {}", peer.name),
            (CONNECTORX, "pg-parquet") => format!("{} + pyarrow", peer.name),
            (CONNECTORX, "pg-jsonl") => format!("{} + polars", peer.name),
            _ => peer.name.clone(),
        };
        let work = match &peer.folder {
            Ok(folder) => Ok(work(package, folder, way)),
            Err(why) => Err(format!("not installed: {}", brief(why))),
        };
        Some(Contender { name, role, work })
    }
}

fn work(package: &str, venv: &Path, way: &Move<'_>) -> Work {
    let output = output(package, way);
    let scratch = way.folder.join(format!("peer-{package}"));
    let (arguments, environment) = match package {
        INGESTR => ingestr(venv, way, &scratch),
        SLING => sling(venv, way, &output, &scratch),
        _ => script(package, venv, way, &output, &scratch),
    };
    // What hangs would hang everything.
    let limit = ["timeout", "-k", "10", SECONDS].map(str::to_owned);
    let finds = match (way.route, package) {
        ("pg-pg-upsert", _) => Prepared::Full,
        ("pg-pg" | "csv-pg", ADBC) | ("pg-pg", DLT) => Prepared::Empty,
        _ => Prepared::Nothing,
    };
    Work {
        arguments: limit.into_iter().chain(arguments).collect(),
        environment,
        finds,
        output,
        leaves: vec![scratch],
    }
}

fn output(package: &str, way: &Move<'_>) -> Output {
    let dot = if package == DLT { "-" } else { "." };
    let path = |end: &str| {
        way.folder
            .join(format!("peer-{package}-{}{dot}{end}", way.route))
    };
    match way.route {
        "pg-parquet" => Output::Parquet(path("parquet")),
        "pg-jsonl" => Output::Lines(path("jsonl")),
        _ => Output::Table,
    }
}

type Command = (Vec<String>, Vec<(&'static str, String)>);

/// `ROUTE TABLE FROM TO SCRATCH` for a script in `tests/bench/peers`; the last one is dlt's alone.
fn script(package: &str, venv: &Path, way: &Move<'_>, output: &Output, scratch: &Path) -> Command {
    let script = format!("tests/bench/peers/with_{}.py", package.replace('-', "_"));
    let from = match way.route {
        "csv-pg" => way.table.csv.display().to_string(),
        _ => way.url.to_owned(),
    };
    let mut arguments = vec![
        venv.join("bin/python").display().to_string(),
        shell::root().join(script).display().to_string(),
        way.route.to_owned(),
        way.table.name.clone(),
        from,
        output
            .path()
            .map_or_else(|| way.url.to_owned(), |path| path.display().to_string()),
    ];
    if package == DLT {
        arguments.push(scratch.display().to_string());
    }
    (arguments, Vec::new())
}

fn ingestr(venv: &Path, way: &Move<'_>, scratch: &Path) -> Command {
    let url = format!("{}?sslmode=disable", way.url);
    let source = match way.route {
        "csv-pg" => format!("csv://{}", way.table.csv.display()),
        _ => url.clone(),
    };
    let program = venv.join("bin/ingestr").display().to_string();
    let scratch = scratch.display().to_string();
    let mut line = vec![
        program.as_str(),
        "ingest",
        "--yes",
        "--progress=log",
        "--source-uri",
        &source,
        "--source-table",
        &way.table.name,
        "--dest-uri",
        &url,
        "--dest-table=target.rows",
        "--pipelines-dir",
        &scratch,
    ];
    if way.route == "pg-pg-upsert" {
        line.extend(["--incremental-strategy=merge", "--primary-key=id"]);
    }
    let quiet = vec![("INGESTR_DISABLE_TELEMETRY", "true".to_owned())];
    (owned(&line), quiet)
}

fn sling(venv: &Path, way: &Move<'_>, output: &Output, scratch: &Path) -> Command {
    let program = sling_program(venv).display().to_string();
    let csv = format!("file://{}", way.table.csv.display());
    let written = output
        .path()
        .map(|path| format!("file://{}", path.display()));
    let mut line = vec![program.as_str(), "run"];
    match way.route {
        "csv-pg" => line.extend(["--src-stream", &csv]),
        _ => line.extend(["--src-conn", "BENCH", "--src-stream", &way.table.name]),
    }
    match &written {
        Some(file) => line.extend(["--tgt-object", file]),
        None => line.extend(["--tgt-conn", "BENCH", "--tgt-object", "target.rows"]),
    }
    match way.route {
        "pg-pg-upsert" => line.extend(["--mode", "incremental", "--primary-key", "id"]),
        _ => line.extend(["--mode", "full-refresh"]),
    }
    let environment = vec![
        ("BENCH", format!("{}?sslmode=disable", way.url)),
        ("SLING_HOME_DIR", scratch.display().to_string()),
        ("SLING_DISABLE_TELEMETRY", "true".to_owned()),
    ];
    (owned(&line), environment)
}

/// The program itself; the package beside it would start a Python first.
fn sling_program(venv: &Path) -> PathBuf {
    let folders = std::fs::read_dir(venv.join("lib")).into_iter().flatten();
    let program = "site-packages/sling_linux_amd64/bin/sling-linux-amd64";
    let mut programs = folders.flatten().map(|each| each.path().join(program));
    programs
        .next()
        .unwrap_or_else(|| PathBuf::from("sling-linux-amd64"))
}

fn owned(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

/// The environment of a package, made with this Python unless it is there with these very versions.
pub fn installed(python: &Path, package: &str, wanted: &[&str]) -> Outcome<PathBuf> {
    let venv = needs::tools()?.join("peers").join(package);
    let complete = venv.join("holds");
    if std::fs::read_to_string(&complete).is_ok_and(|holds| holds == wanted.join(" ")) {
        return Ok(venv);
    }
    println!("installing {package} for comparison");
    let _ = std::fs::remove_dir_all(&venv);
    shell::output(shell::command(python).args(["-m", "venv"]).arg(&venv))?;
    let mut pip = shell::command(venv.join("bin/python"));
    shell::output(pip.args(["-m", "pip", "install", "--quiet"]).args(wanted))?;
    std::fs::write(&complete, wanted.join(" "))
        .map_err(|cause| format!("cannot write {}: {cause}", complete.display()))?;
    Ok(venv)
}
