//! The routes and who runs them: the limit first, then dkhost without and with a plugin, then peers.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{self, Usage};
use super::peers::{self, Peer};
use super::rows::Input;
use crate::shell::{self, Outcome};

/// What the table calls dkhost without a plugin.
pub const DKHOST: &str = "dkhost";

/// One way from a format to another.
pub struct Route {
    /// As scripts know it: `csv-parquet`.
    pub name: &'static str,
    /// The limit stands first when it could be had.
    pub contenders: Vec<Contender>,
    /// Whether the first contender is the limit the others are compared with.
    pub has_limit: bool,
}

/// A program on a route.
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    arguments: Vec<String>,
    /// What it writes; removed before each run.
    output: PathBuf,
}

impl Contender {
    /// Runs it once, onto nothing.
    pub fn measure(&self) -> Outcome<Usage> {
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

/// All routes with everyone who can run them here.
pub fn all(
    folder: &Path,
    dkhost: &Path,
    plugin: &Path,
    input: &Input,
    peers: &[Peer],
) -> Outcome<Vec<Route>> {
    let bench = Bench {
        folder,
        dkhost,
        plugin,
        peers,
    };
    let output = |name: &str| folder.join(name);
    Ok(vec![
        bench.route(
            "jsonl-jsonl",
            &input.jsonl,
            "out.jsonl",
            Some(copy(&input.jsonl, &output("copy.jsonl"))),
        )?,
        bench.route(
            "csv-parquet",
            &input.csv,
            "out.parquet",
            Some(copy(&input.csv, &output("copy.csv"))),
        )?,
        bench.route(
            "jsonl-sqlite",
            &input.jsonl,
            "out.db",
            import(&input.csv, &output("import.db")),
        )?,
    ])
}

struct Bench<'a> {
    folder: &'a Path,
    dkhost: &'a Path,
    plugin: &'a Path,
    peers: &'a [Peer],
}

impl Bench<'_> {
    fn route(
        &self,
        name: &'static str,
        from: &Path,
        to: &str,
        limit: Option<Contender>,
    ) -> Outcome<Route> {
        let has_limit = limit.is_some();
        let mut contenders = Vec::from_iter(limit);
        contenders.push(self.dkhost(name, from, to, false)?);
        contenders.push(self.dkhost(name, from, to, true)?);
        for peer in self.peers.iter().filter(|peer| peer.routes.contains(&name)) {
            let output = self.folder.join(format!("peer-{to}"));
            contenders.push(Contender {
                name: peer.name.clone(),
                arguments: [&peer.python, &peer.script, Path::new(name), from, &output]
                    .map(|part: &Path| part.display().to_string())
                    .to_vec(),
                output,
            });
        }
        Ok(Route {
            name,
            contenders,
            has_limit,
        })
    }

    /// dkhost on this route, through a job file that stays for a look afterwards.
    fn dkhost(&self, route: &str, from: &Path, to: &str, with_plugin: bool) -> Outcome<Contender> {
        let name = if with_plugin {
            format!("{route}-clean")
        } else {
            route.to_owned()
        };
        let job = self.folder.join(format!("{name}.toml"));
        let to = format!("{name}-{to}");
        let target = match to.ends_with(".db") {
            true => {
                format!("backend = \"sqlite\"\npath = \"{to}\"\ntable = \"rows\"\ncreate = true")
            }
            false => format!("backend = \"file\"\npath = \"{to}\""),
        };
        let text = format!(
            "name = \"bench-{name}\"\n\n[source]\nbackend = \"file\"\npath = {:?}\n\n\
             [target]\n{target}\non_conflict = \"replace-all\"\n\n[state]\nurl = \"sqlite:state.db\"\n",
            from.display().to_string(),
        );
        std::fs::write(&job, text)
            .map_err(|cause| format!("cannot write {}: {cause}", job.display()))?;
        let mut arguments = vec![
            self.dkhost.display().to_string(),
            "run".into(),
            job.display().to_string(),
        ];
        arguments.push("--quiet".into());
        if with_plugin {
            arguments.extend([
                "--plugin".into(),
                format!("clean={}", self.plugin.display()),
            ]);
        }
        let name = if with_plugin {
            "dkhost with clean.wasm"
        } else {
            DKHOST
        };
        Ok(Contender {
            name: name.into(),
            arguments,
            output: self.folder.join(to),
        })
    }
}

/// Reading and writing every byte once: nothing that keeps the bytes costs less.
fn copy(from: &Path, to: &Path) -> Contender {
    let line = format!("cat '{}' > '{}'", from.display(), to.display());
    Contender {
        name: "limit: cat".into(),
        arguments: shell_line(line),
        output: to.to_owned(),
    }
}

/// SQLite's own import of the same rows from CSV: untyped, one transaction, no checks.
fn import(from: &Path, to: &Path) -> Option<Contender> {
    if !shell::works("sqlite3", &["--version"]) {
        peers::missing("sqlite3, the limit of the route to SQLite");
        return None;
    }
    let line = format!(
        "sqlite3 '{}' '.import --csv \"{}\" rows'",
        to.display(),
        from.display()
    );
    Some(Contender {
        name: "limit: sqlite3 .import (CSV)".into(),
        arguments: shell_line(line),
        output: to.to_owned(),
    })
}

fn shell_line(line: String) -> Vec<String> {
    vec!["sh".into(), "-c".into(), line]
}
