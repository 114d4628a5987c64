//! The routes from and to PostgreSQL and who runs them: dkhost, what PostgreSQL's own client does
//! with no types and no checks (the limit), the peer a target names, then the others.

use super::super::jobs::Jobs;
use super::super::routes::Role;
use super::contender::{Contender, Output, Work};
use super::limit;
use super::peers::{ADBC, CONNECTORX, DLT, INGESTR, Move, Peers, SLING};
use super::rows::{Prepared, Table};
use crate::shell::Outcome;

/// Every route, as the table and `--route` name it.
pub const NAMES: [&str; 5] = ["pg-pg", "pg-pg-upsert", "pg-parquet", "pg-jsonl", "csv-pg"];

/// Who is measured besides dkhost and the limit: the first is the one that a target names, if any.
const PEERS: [(&str, &[&str]); 5] = [
    ("pg-pg", &[ADBC, INGESTR, SLING, DLT]),
    ("pg-pg-upsert", &[ADBC, INGESTR, SLING, DLT]),
    // Sling writes Parquet through a program it would have to fetch first.
    ("pg-parquet", &[CONNECTORX, ADBC, DLT]),
    ("pg-jsonl", &[SLING, CONNECTORX, DLT]),
    ("csv-pg", &[ADBC, INGESTR, SLING, DLT]),
];

/// What it takes to set a route up.
pub struct Setting<'a> {
    /// dkhost's side.
    pub jobs: &'a Jobs,
    /// The server's address.
    pub url: &'a str,
    /// What is moved.
    pub table: &'a Table,
    /// Everybody else.
    pub peers: &'a Peers,
    /// Also the peers that no target names, and the one that takes minutes: where rows are many
    /// they take an hour and say the same.
    pub all_peers: bool,
}

impl Setting<'_> {
    /// The contenders of one of [`NAMES`].
    pub fn contenders(&self, route: &'static str) -> Outcome<Vec<Contender>> {
        let mut contenders = vec![self.dkhost(route, Role::Plain)?];
        if route == "pg-pg" {
            contenders.push(self.dkhost(route, Role::WithPlugin)?);
        }
        let way = Move {
            route,
            table: self.table,
            url: self.url,
            folder: self.jobs.folder(),
        };
        contenders.push(limit::on(&way));
        let others = PEERS.iter().find(|(name, _)| *name == route);
        for (place, package) in others.into_iter().flat_map(|(_, all)| *all).enumerate() {
            let role = match place {
                0 => Role::Reference,
                _ => Role::Peer,
            };
            if self.all_peers || (role == Role::Reference && *package != SLING) {
                contenders.extend(self.peers.contender(package, role, &way));
            }
        }
        Ok(contenders)
    }

    fn dkhost(&self, route: &'static str, role: Role) -> Outcome<Contender> {
        let suffix = if role == Role::WithPlugin {
            "-clean"
        } else {
            ""
        };
        let name = format!("{route}{suffix}-{}", self.table.rows);
        let output = self.output(route, &name);
        let from = match route {
            "csv-pg" => format!("backend = \"file\"\npath = {:?}", self.table.csv),
            _ => format!(
                "backend = \"postgres\"\nurl = \"{}\"\ntable = \"{}\"",
                self.url, self.table.name
            ),
        };
        let conflict = match route {
            "pg-pg-upsert" => "upsert",
            "pg-pg" | "csv-pg" => "insert",
            _ => "replace-all",
        };
        let to = match output.path() {
            Some(path) => format!("backend = \"file\"\npath = {path:?}"),
            None => format!(
                "backend = \"postgres\"\nurl = \"{}\"\ntable = \"target.rows\"\ncreate = true",
                self.url
            ),
        };
        let to = format!("{to}\non_conflict = \"{conflict}\"");
        let finds = match route {
            "pg-pg-upsert" => Prepared::Full,
            // It makes the table itself, with its key.
            _ => Prepared::Nothing,
        };
        let work = Work {
            arguments: self.jobs.written(&name, &from, &to, role, "")?,
            environment: Vec::new(),
            finds,
            output,
            leaves: Vec::new(),
        };
        Ok(Contender {
            name: Jobs::title(role).to_owned(),
            role,
            work: Ok(work),
        })
    }

    fn output(&self, route: &str, name: &str) -> Output {
        let path = |end: &str| self.jobs.folder().join(format!("{name}-out.{end}"));
        match route {
            "pg-parquet" => Output::Parquet(path("parquet")),
            "pg-jsonl" => Output::Lines(path("jsonl")),
            _ => Output::Table,
        }
    }
}
