//! elasticdump, the program that most people move documents with: from npm, into the cache folder.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::postgres::brief;
use super::super::rows::Input;
use crate::needs;
use crate::shell::{self, Outcome};

const VERSION: &str = "6.125.1";

/// Documents of a request: what its users raise from 100 to be fast.
const LIMIT: &str = "5000";

/// elasticdump, installed or with the reason why not.
pub struct Elasticdump {
    /// As the table names it, with its version.
    pub name: String,
    program: Outcome<PathBuf>,
}

impl Elasticdump {
    /// Installs it where it is absent.
    pub fn found() -> Elasticdump {
        let name = format!("elasticdump {VERSION} --limit {LIMIT}");
        let program = installed();
        if let Err(why) = &program {
            println!("NOT INSTALLED, so not measured: {name}\n{why}");
        }
        Elasticdump { name, program }
    }

    /// The command line that moves documents from here to there.
    pub fn command(&self, from: &str, to: &str) -> Outcome<Vec<String>> {
        let program = self.program.as_ref();
        let program = program.map_err(|why| format!("not installed: {}", brief(why)))?;
        let program = program.display().to_string();
        let before = shell::root().join("tests/bench/peers/with_elasticdump.js");
        let before = before.display().to_string();
        // What hangs would hang everything.
        let line = [
            "timeout", "-k", "10", "1800", "node", "-r", &before, &program, "--quiet",
        ];
        let (from, to) = (format!("--input={from}"), format!("--output={to}"));
        let of_move = ["--type=data", "--limit", LIMIT, &from, &to];
        let mut line: Vec<String> = line.iter().chain(&of_move).map(|w| (*w).into()).collect();
        if !to.contains("=http") {
            line.extend(["--sourceOnly".into(), "--overwrite".into()]);
        }
        Ok(line)
    }
}

/// The same rows as it takes them, each below `_source` beside its id; written unless they are there.
pub fn documents(folder: &Path, input: &Input) -> Outcome<PathBuf> {
    let path = folder.join(format!("rows-{}.documents.jsonl", input.rows));
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        write(&input.jsonl, &unfinished)
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .map_err(|cause| format!("cannot write {}: {cause}", path.display()))?;
    }
    Ok(path)
}

fn write(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut to = BufWriter::new(File::create(to)?);
    for (place, row) in BufReader::new(File::open(from)?).lines().enumerate() {
        writeln!(to, "{{\"_id\":\"{}\",\"_source\":{}}}", place + 1, row?)?;
    }
    to.flush()
}

fn installed() -> Outcome<PathBuf> {
    let folder = needs::tools()?.join("peers").join("elasticdump");
    let program = folder.join("node_modules/elasticdump/bin/elasticdump");
    let complete = folder.join("holds");
    if std::fs::read_to_string(&complete).is_ok_and(|holds| holds == VERSION) {
        return Ok(program);
    }
    println!("installing elasticdump for comparison");
    let _ = std::fs::remove_dir_all(&folder);
    let failed = |cause| format!("cannot write {}: {cause}", folder.display());
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut npm = shell::command("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
    shell::output(npm.arg(&folder).arg(format!("elasticdump@{VERSION}")))?;
    std::fs::write(&complete, VERSION).map_err(failed)?;
    Ok(program)
}
