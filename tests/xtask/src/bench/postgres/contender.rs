//! A program on a route from or to PostgreSQL: what it finds, what it runs, what it must leave.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::measure::{self, Usage};
use super::super::routes::Role;
use super::footer;
use super::rows::{Prepared, Table};
use super::server::Server;
use crate::shell::{self, Outcome};

/// One of them; what cannot run says why.
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// How it is run.
    pub work: Outcome<Work>,
}

/// How a contender is run.
pub struct Work {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Variables it wants.
    pub environment: Vec<(&'static str, String)>,
    /// What it finds in the schema `target`.
    pub finds: Prepared,
    /// What it writes.
    pub output: Output,
    /// Folders it leaves, removed before and after each run, as what it wrote is.
    pub leaves: Vec<PathBuf>,
}

/// What is written, and how its rows are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `target.rows`.
    Table,
    /// A file with a line for each row, or the folder dlt keeps it in.
    Lines(PathBuf),
    /// A Parquet file, or the folder.
    Parquet(PathBuf),
}

impl Work {
    /// Runs it once and looks at what it wrote.
    ///
    /// *Errors* – why there is no figure: it failed, or rows are missing.
    pub fn measure(&self, server: &Server, table: &Table) -> Outcome<Usage> {
        self.clear();
        server.sql(&format!("{}CHECKPOINT;", table.prepare(self.finds)))?;
        server.settle();
        let mut command = Command::new(&self.arguments[0]);
        command
            .current_dir(shell::root())
            .args(&self.arguments[1..])
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let before = server.cpu();
        let mut usage = measure::run(&mut command)?;
        server.settle();
        usage.server = before
            .zip(server.cpu())
            .map(|(before, after)| after.saturating_sub(before));
        let checked = self.output.check(server, table);
        // Everybody's five million rows at once would fill many a disk.
        self.clear();
        checked.map(|()| usage)
    }

    fn clear(&self) {
        for path in self.leaves.iter().chain(self.output.path()) {
            let _ = std::fs::remove_dir_all(path);
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Output {
    /// The file or folder; `None` for the table.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Output::Table => None,
            Output::Lines(path) | Output::Parquet(path) => Some(path),
        }
    }

    fn check(&self, server: &Server, table: &Table) -> Outcome {
        let (wrote, expected) = match self {
            Output::Table => (
                server.sql(&Table::sum("target.rows"))?,
                table.sum.to_owned(),
            ),
            Output::Lines(path) => {
                let rows = lines(&found(path)?)?;
                (rows.to_string(), table.rows.to_string())
            }
            Output::Parquet(path) => {
                let rows = footer::rows(&found(path)?)?;
                (rows.to_string(), table.rows.to_string())
            }
        };
        match wrote == expected {
            true => Ok(()),
            false => Err(format!("it wrote {wrote} where {expected} was expected")),
        }
    }
}

/// The file itself, or the only one that dlt made of the rows in a folder of its own.
fn found(path: &Path) -> Outcome<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let folder = path.join("target/rows");
    let files = std::fs::read_dir(&folder).map_err(|cause| cause.to_string())?;
    let mut files = files.flatten().map(|file| file.path());
    match (files.next(), files.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(format!("{} does not hold one file", folder.display())),
    }
}

/// How many lines a file has.
pub fn lines(path: &Path) -> Outcome<u64> {
    let failed = |cause| format!("cannot read {}: {cause}", path.display());
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut lines, mut part) = (0, vec![0; 1 << 20]);
    loop {
        match std::io::Read::read(&mut file, &mut part).map_err(failed)? {
            0 => return Ok(lines),
            read => lines += part[..read].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

/// The part of a failure that fits a cell of a table: the last line that says something.
pub fn brief(why: &str) -> String {
    let mut lines = why.lines().map(str::trim).filter(|line| line.len() > 3);
    let said = |line: &&str| {
        ["error", "Error", "cannot", "expected"]
            .iter()
            .any(|w| line.contains(w))
    };
    let line = lines.clone().find(said).or_else(|| lines.next_back());
    let line = line.unwrap_or("no reason was given").replace('|', "/");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::brief;

    #[test]
    fn a_failure_is_told_in_one_cell() {
        let said = "`sling` failed (wait status 256)\nconnecting\nfatal error: no | such host\n";
        assert_eq!(brief(said), "fatal error: no / such host");
        assert!(brief(&"x".repeat(900)).len() < 170);
    }
}
