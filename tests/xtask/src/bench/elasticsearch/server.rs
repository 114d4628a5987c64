//! The Elasticsearch of the benchmark: its own, so that what it costs can be told from everything
//! else.

use std::time::Duration;

use dkhost_servers::Cluster;

use super::super::postgres::cpu_of;
use super::counting::Counting;
use crate::shell::Outcome;

/// What everybody writes.
pub const TARGET: &str = "target-rows";
/// What everybody reads.
pub const SOURCE: &str = "source-rows";

/// The heap that indexing half a million small documents wants.
const HEAP_MIB: u32 = 1024;

/// Columns of text, which dkhost makes full text with a keyword beside it, as the server itself would.
const TEXTS: [&str; 7] = [
    "name",
    "email",
    "phone",
    "country",
    "city",
    "status",
    "updated_at",
];

/// Fields as dkhost makes them of the same rows, so that for each the server does the same work.
fn fields() -> String {
    let of_text = r#"{"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":256}}}"#;
    let texts: String = TEXTS
        .iter()
        .map(|name| format!(",\"{name}\":{of_text}"))
        .collect();
    let numbers = r#""id":{"type":"long"},"visits":{"type":"long"},"amount":{"type":"double"}"#;
    format!("{{\"mappings\":{{\"dynamic\":false,\"properties\":{{{numbers}{texts}}}}}}}")
}

/// An Elasticsearch, and one before it that only counts.
pub struct Server {
    cluster: Cluster,
    /// Where bulks are counted and nothing is kept.
    pub counting: Counting,
}

impl Server {
    /// Starts both, installed if need be.
    pub fn start() -> Outcome<Server> {
        let cluster = Cluster::fast_elasticsearch(HEAP_MIB)?;
        let counting = Counting::start(&format!("127.0.0.1:{}", cluster.process.port()))?;
        Ok(Server { cluster, counting })
    }

    /// Where the real one is.
    pub fn url(&self) -> String {
        self.cluster.access().url.clone()
    }

    /// Removes what was written; leaves an empty index with the rows' fields if `with_fields`.
    pub fn prepare(&self, with_fields: bool) -> Outcome {
        self.counting.take();
        let names = self.ask("GET", "/_cat/indices?h=index", "")?;
        for name in names.lines().map(str::trim) {
            if name.starts_with(TARGET) {
                self.ask("DELETE", &format!("/{name}"), "")?;
            }
        }
        if with_fields {
            self.ask("PUT", &format!("/{TARGET}"), &fields())?;
        }
        Ok(())
    }

    /// How many documents an index has.
    pub fn count(&self, index: &str) -> Outcome<u64> {
        self.ask("POST", &format!("/{index}/_refresh"), "")?;
        let told = self.ask("GET", &format!("/{index}/_count"), "")?;
        let digits = told.split_once("\"count\":").map(|(_, rest)| rest);
        let digits = digits.and_then(|rest| rest.split([',', '}']).next());
        digits
            .and_then(|digits| digits.trim().parse().ok())
            .ok_or_else(|| format!("the server does not count: {told}"))
    }

    /// CPU time of all its processes since they started; `None` where the system does not tell.
    pub fn cpu(&self) -> Option<Duration> {
        with_children(self.cluster.process.pid()?)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Outcome<String> {
        let answer = self.cluster.access().ask(method, path, body)?;
        match answer.is_fine() {
            true => Ok(answer.text()),
            false => Err(format!(
                "{method} {path} was answered with {}: {}",
                answer.status,
                answer.text()
            )),
        }
    }
}

/// The program that starts the server stays its parent, and any of its threads may have started it.
fn with_children(pid: u32) -> Option<Duration> {
    let mut cpu = cpu_of(pid)?;
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children"));
        let children = children.unwrap_or_default();
        let pids = children.split_whitespace().flat_map(str::parse);
        cpu += pids.filter_map(with_children).sum::<Duration>();
    }
    Some(cpu)
}
