//! A program on a route from or to Elasticsearch: what it runs, and what it must leave.

use std::path::PathBuf;
use std::process::Command;

use super::super::measure::{self, Usage};
use super::super::postgres;
use super::super::routes::Role;
use super::server::{Server, TARGET};
use crate::shell::{self, Outcome};

/// One of them; what cannot run says why.
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// How many documents it moves.
    pub documents: u64,
    /// The program and its arguments.
    pub arguments: Outcome<Vec<String>>,
    /// What it writes.
    pub output: Output,
}

/// What is written, and how it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing that stays.
    Counted,
    /// An index.
    Index,
    /// A file with a line of each document.
    Lines(PathBuf),
}

impl Contender {
    /// Runs it once and counts what it wrote.
    ///
    /// *Errors* – why there is no figure: it failed, or documents are missing.
    pub fn measure(&self, server: &Server) -> Outcome<Usage> {
        let arguments = self.arguments.as_ref().map_err(Clone::clone)?;
        // dkhost makes an index itself; whoever does not, would get one of guessed fields.
        server.prepare(self.role == Role::Reference)?;
        self.clear();
        let mut command = Command::new(&arguments[0]);
        command.current_dir(shell::root()).args(&arguments[1..]);
        let before = server.cpu();
        let mut usage = measure::run(&mut command)?;
        usage.server = before
            .zip(server.cpu())
            .map(|(before, after)| after.saturating_sub(before));
        let wrote = match &self.output {
            Output::Counted => Ok(server.counting.take()),
            Output::Index => server.count(TARGET),
            Output::Lines(path) => postgres::lines(path),
        };
        self.clear();
        match wrote? {
            wrote if wrote == self.documents => Ok(usage),
            wrote => Err(format!(
                "it wrote {wrote} where {} was expected",
                self.documents
            )),
        }
    }

    fn clear(&self) {
        if let Output::Lines(path) = &self.output {
            let _ = std::fs::remove_file(path);
        }
    }
}
