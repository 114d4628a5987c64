//! The routes and who runs them: dkhost without and with a plugin, the reference its target is a
//! multiple of, then the other peers.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::jobs::Jobs;
use super::measure::{self, Usage};
use super::peers::{Peer, Peers};
use super::rows::Input;
use crate::shell::{self, Outcome};

/// Every route, as the table and `--route` name it.
pub const NAMES: [&str; 4] = [
    "jsonl-sqlite",
    "json-sqlite",
    "csv-parquet",
    "parquet-jsonl",
];

/// One way from a format to another, with some rows.
pub struct Route {
    /// As scripts know it: `csv-parquet`.
    pub name: &'static str,
    /// How many rows.
    pub rows: u64,
    /// Who is measured on it.
    pub contenders: Vec<Contender>,
}

/// What a contender is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// dkhost, no steps.
    Plain,
    /// dkhost with `clean.wasm`.
    WithPlugin,
    /// What the target of the route is a multiple of.
    Reference,
    /// What cannot be beaten: bytes moved without looking at them.
    Limit,
    /// For comparison.
    Peer,
}

/// A program on a route.
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// What it writes; removed before each run.
    pub output: PathBuf,
}

impl Contender {
    /// Runs it once, onto nothing.
    pub fn measure(&self) -> Outcome<Usage> {
        let _ = std::fs::remove_dir_all(&self.output);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.output.display()));
        }
        let mut command = Command::new(&self.arguments[0]);
        command
            .current_dir(shell::root())
            .args(&self.arguments[1..]);
        let usage = measure::run(&mut command)?;
        match std::fs::metadata(&self.output) {
            Ok(written) if written.len() > 0 => Ok(usage),
            _ => Err(format!(
                "`{}` ended well and wrote nothing",
                shell::shown(&command)
            )),
        }
    }
}

impl Route {
    /// The index of the contender with this role.
    pub fn place(&self, role: Role) -> Option<usize> {
        self.contenders.iter().position(|each| each.role == role)
    }
}

/// All routes for one number of rows. The peers no target names run only where `with_peers` says
/// so: on five million rows they take an hour and say the same.
pub fn all(jobs: &Jobs, input: &Input, peers: &Peers, with_peers: bool) -> Outcome<Vec<Route>> {
    let bench = Bench {
        jobs,
        input,
        peers,
        with_peers,
    };
    let parquet = jobs.parquet(input)?;
    Ok(vec![
        bench.to_sqlite("jsonl-sqlite", &input.jsonl)?,
        bench.to_sqlite("json-sqlite", &input.json)?,
        bench.to_file("csv-parquet", &input.csv, "out.parquet")?,
        bench.to_file("parquet-jsonl", &parquet, "out.jsonl")?,
    ])
}

struct Bench<'a> {
    jobs: &'a Jobs,
    input: &'a Input,
    peers: &'a Peers,
    with_peers: bool,
}

impl Bench<'_> {
    fn to_sqlite(&self, name: &'static str, from: &Path) -> Outcome<Route> {
        let mut contenders = self.jobs.both(name, from, "out.db", self.input.rows)?;
        let target = self.jobs.folder().join("import.db");
        let import = format!(
            "sqlite3 '{}' '.import --csv \"{}\" rows'",
            target.display(),
            self.input.csv.display()
        );
        if let (true, Some(duckdb)) = (self.peers.sqlite3, self.peers.get("duckdb")) {
            let read = quoted(&duckdb.command("read-json", from, &target));
            contenders.push(Contender {
                name: format!("{} read_json, then sqlite3 .import (CSV)", duckdb.name),
                role: Role::Reference,
                arguments: shell_line(format!("{read} && {import}")),
                output: target.clone(),
            });
        }
        if self.peers.sqlite3 {
            contenders.push(Contender {
                name: "sqlite3 .import (CSV) alone".into(),
                role: Role::Peer,
                arguments: shell_line(import),
                output: target,
            });
        }
        if let (true, Some(python)) = (self.with_peers, self.peers.get("standard_library")) {
            contenders.push(self.script(python, Role::Peer, name, from, "out.db"));
        }
        Ok(self.route(name, contenders))
    }

    fn to_file(&self, name: &'static str, from: &Path, to: &str) -> Outcome<Route> {
        let mut contenders = self.jobs.both(name, from, to, self.input.rows)?;
        if let Some(duckdb) = self.peers.get("duckdb") {
            contenders.push(self.script(duckdb, Role::Reference, name, from, to));
        }
        if let (true, Some(polars)) = (self.with_peers, self.peers.get("polars")) {
            contenders.push(self.script(polars, Role::Peer, name, from, to));
        }
        Ok(self.route(name, contenders))
    }

    fn route(&self, name: &'static str, contenders: Vec<Contender>) -> Route {
        Route {
            name,
            rows: self.input.rows,
            contenders,
        }
    }

    fn script(&self, peer: &Peer, role: Role, route: &str, from: &Path, to: &str) -> Contender {
        let output = self.jobs.folder().join(format!("peer-{to}"));
        Contender {
            name: peer.name.clone(),
            role,
            arguments: peer.command(route, from, &output),
            output,
        }
    }
}

fn quoted(arguments: &[String]) -> String {
    let each: Vec<String> = arguments.iter().map(|part| format!("'{part}'")).collect();
    each.join(" ")
}

fn shell_line(line: String) -> Vec<String> {
    vec!["sh".into(), "-c".into(), line]
}
