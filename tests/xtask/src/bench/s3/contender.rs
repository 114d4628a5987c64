//! A program on a route from or to S3: what it runs, and what it must leave.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::measure::{self, Usage};
use super::super::postgres::{self, parquet_rows};
use super::super::routes::Role;
use super::server::Minio;
use crate::shell::{self, Outcome};

/// One of them; what cannot run says why.
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// How many records it moves.
    pub records: u64,
    /// How it is run.
    pub work: Outcome<Work>,
}

/// How a contender is run.
pub struct Work {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// What it writes.
    pub output: Output,
}

/// What is written, and how it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An object of each record, below this prefix.
    Objects(&'static str),
    /// Parquet files below this prefix.
    Parts(&'static str),
    /// A Parquet file.
    Parquet(PathBuf),
    /// A file with a line of each record.
    Lines(PathBuf),
}

impl Contender {
    /// Runs it once and counts what it wrote. Both servers' CPU time is one figure.
    ///
    /// *Errors* – why there is no figure: it failed, or records are missing.
    pub fn measure(
        &self,
        work: &Work,
        minio: &Minio,
        source: Option<&postgres::Server>,
    ) -> Outcome<Usage> {
        work.output.clear();
        let mut command = Command::new(&work.arguments[0]);
        command
            .current_dir(shell::root())
            .args(&work.arguments[1..])
            .envs(minio.environment());
        let servers = || -> Option<Duration> {
            match source {
                Some(source) => Some(minio.cpu()? + source.cpu()?),
                None => minio.cpu(),
            }
        };
        let before = servers();
        let mut usage = measure::run(&mut command)?;
        if let Some(source) = source {
            source.settle();
        }
        usage.server = before
            .zip(servers())
            .map(|(before, after)| after.saturating_sub(before));
        let wrote = work.output.count(minio);
        work.output.clear();
        match wrote? {
            wrote if wrote == self.records => Ok(usage),
            wrote => Err(format!(
                "it wrote {wrote} where {} was expected",
                self.records
            )),
        }
    }
}

impl Output {
    fn count(&self, minio: &Minio) -> Outcome<u64> {
        match self {
            Output::Objects(prefix) => Ok(minio.objects(prefix, ".json")),
            Output::Parts(prefix) => {
                let parts = minio.keys(prefix, ".parquet");
                parts.map(|key| rows(minio, &key)).sum()
            }
            Output::Parquet(path) => parquet_rows(path),
            Output::Lines(path) => postgres::lines(path),
        }
    }

    fn clear(&self) {
        if let Output::Parquet(path) | Output::Lines(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The rows of a Parquet file that is an object. Only its footer is fetched: what this process has
/// once held in memory, the kernel counts for the programs it starts.
fn rows(minio: &Minio, key: &str) -> Outcome<u64> {
    let end = minio.tail(key, 8)?;
    let [a, b, c, d, ..] = end[..] else {
        return Err(format!("`{key}` is too short"));
    };
    let footer = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    let tail = minio.tail(key, footer)?;
    let path = std::env::temp_dir().join(format!("bench-s3-footer-{}", std::process::id()));
    let rows = kept(&path, &tail).and_then(|()| parquet_rows(&path));
    let _ = std::fs::remove_file(&path);
    rows.map_err(|why| format!("`{key}`: {why}"))
}

fn kept(path: &Path, tail: &[u8]) -> Outcome {
    std::fs::write(path, [b"PAR1", tail].concat())
        .map_err(|cause| format!("cannot write {}: {cause}", path.display()))
}
