//! The routes from and to Elasticsearch and who runs them: dkhost and elasticdump.

use super::super::jobs::Jobs;
use super::super::routes::Role;
use super::super::rows::Input;
use super::contender::{Contender, Output};
use super::peer::{self, Elasticdump};
use super::server::{SOURCE, Server, TARGET};
use crate::shell::Outcome;

/// Lines to a server that only counts.
pub const COUNTED: &str = "jsonl-counted-es";
/// Lines into an index.
pub const THERE: &str = "jsonl-es";
/// An index into lines.
pub const BACK: &str = "es-jsonl";

/// Every route, as the table and `--route` name it.
pub const NAMES: [&str; 3] = [COUNTED, THERE, BACK];

/// What is moved, and between whom.
pub struct Setting<'a> {
    /// dkhost's side.
    pub jobs: &'a Jobs,
    /// What is moved.
    pub input: &'a Input,
    /// The servers.
    pub server: &'a Server,
    /// elasticdump, if it is measured.
    pub elasticdump: Option<&'a Elasticdump>,
}

impl Setting<'_> {
    /// Everybody on a route.
    pub fn contenders(&self, route: &'static str) -> Outcome<Vec<Contender>> {
        match route {
            BACK => self.back(),
            THERE => self.there(THERE, &self.server.url(), Output::Index),
            _ => self.there(COUNTED, &self.server.counting.url(), Output::Counted),
        }
    }

    /// What [`BACK`] reads, written by dkhost.
    pub fn source(&self) -> Outcome<Vec<String>> {
        self.into("fill-es", &self.server.url(), SOURCE)
    }

    fn into(&self, job: &str, url: &str, index: &str) -> Outcome<Vec<String>> {
        let source = format!("backend = \"file\"\npath = {:?}", self.input.jsonl);
        let target = format!(
            "backend = \"elasticsearch\"\nurl = \"{url}\"\nindex = \"{index}\"\non_conflict = \"replace-all\""
        );
        self.written(job, &source, &target)
    }

    fn there(&self, route: &str, url: &str, output: Output) -> Outcome<Vec<Contender>> {
        let mut contenders = vec![self.dkhost(self.into(route, url, TARGET)?, output.clone())];
        if let Some(peer) = self.elasticdump {
            let from = peer::documents(self.jobs.folder(), self.input)?;
            let line = peer.command(&from.display().to_string(), &format!("{url}/{TARGET}"));
            contenders.push(self.elasticdump(peer, line, output));
        }
        Ok(contenders)
    }

    fn back(&self) -> Outcome<Vec<Contender>> {
        let url = self.server.url();
        let path = |whose: &str| {
            let name = format!("{BACK}-{}-{whose}.jsonl", self.input.rows);
            self.jobs.folder().join(name)
        };
        let (ours, theirs) = (path("out"), path("elasticdump"));
        let source = format!("backend = \"elasticsearch\"\nurl = \"{url}\"\nindex = \"{SOURCE}\"");
        let target = format!("backend = \"file\"\npath = {ours:?}\non_conflict = \"replace-all\"");
        let line = self.written(BACK, &source, &target)?;
        let mut contenders = vec![self.dkhost(line, Output::Lines(ours))];
        if let Some(peer) = self.elasticdump {
            let line = peer.command(&format!("{url}/{SOURCE}"), &theirs.display().to_string());
            contenders.push(self.elasticdump(peer, line, Output::Lines(theirs)));
        }
        Ok(contenders)
    }

    fn written(&self, job: &str, source: &str, target: &str) -> Outcome<Vec<String>> {
        let job = format!("{job}-{}", self.input.rows);
        let mut line = self.jobs.written(&job, source, target, Role::Plain, "")?;
        // A benchmark that was ended has left a run, and its server is gone.
        line.push("--no-resume".to_owned());
        Ok(line)
    }

    fn dkhost(&self, arguments: Vec<String>, output: Output) -> Contender {
        Contender {
            name: Jobs::title(Role::Plain).to_owned(),
            role: Role::Plain,
            documents: self.input.rows,
            arguments: Ok(arguments),
            output,
        }
    }

    fn elasticdump(
        &self,
        peer: &Elasticdump,
        arguments: Outcome<Vec<String>>,
        output: Output,
    ) -> Contender {
        Contender {
            name: peer.name.clone(),
            role: Role::Reference,
            documents: self.input.rows,
            arguments,
            output,
        }
    }
}
