//! The routes from and to S3 and who runs them: dkhost, and what a target holds it against, which is
//! dkhost itself into a local file, or dataknobs-data's stream.

use std::path::PathBuf;

use super::super::jobs::Jobs;
use super::super::postgres::Table;
use super::super::routes::Role;
use super::super::rows::Input;
use super::contender::{Contender, Output, Work};
use super::peer::Dataknobs;
use crate::shell::Outcome;

/// A table into Parquet files below a prefix.
pub const PARQUET: &str = "pg-s3-parquet";
/// The same back into lines.
pub const PARQUET_BACK: &str = "s3-parquet-jsonl";
/// Records into an object each.
pub const RECORDS: &str = "records-s3";
/// The same back into lines.
pub const RECORDS_BACK: &str = "s3-records-jsonl";

/// Every route, as the table and `--route` name it.
pub const NAMES: [&str; 4] = [PARQUET, PARQUET_BACK, RECORDS, RECORDS_BACK];

/// What dkhost writes lies below these.
const ROWS_PREFIX: &str = "rows/";
const RECORDS_PREFIX: &str = "records/";

/// The bucket, as a section of a job names it. What differs from server to server comes from the
/// environment.
const BUCKET: &str = "backend = \"s3\"\nbucket = { env = \"BENCH_S3_BUCKET\" }\n\
     endpoint = { env = \"BENCH_S3_ENDPOINT\" }";

/// A table on a server, with the server's address.
pub struct FromPostgres<'a> {
    /// The server's address.
    pub url: &'a str,
    /// What is moved.
    pub table: &'a Table,
}

/// `pg-s3-parquet`: dkhost into the bucket, and into a file beside it.
pub fn parquet(jobs: &Jobs, from: &FromPostgres<'_>) -> Outcome<Vec<Contender>> {
    let rows = from.table.rows;
    let source = format!(
        "backend = \"postgres\"\nurl = \"{}\"\ntable = \"{}\"",
        from.url, from.table.name
    );
    let replace = "on_conflict = \"replace-all\"";
    let to_s3 = format!("{BUCKET}\nprefix = \"{ROWS_PREFIX}\"\nformat = \"parquet\"\n{replace}");
    let path = jobs.folder().join(format!("pg-local-{rows}-out.parquet"));
    let to_file = format!("backend = \"file\"\npath = {path:?}\n{replace}");
    let setting = Setting {
        jobs,
        records: rows,
    };
    let parts = Output::Parts(ROWS_PREFIX);
    Ok(vec![
        setting.dkhost(PARQUET, "dkhost", Role::Plain, [&source, &to_s3], parts)?,
        setting.dkhost(
            "pg-local-parquet",
            "dkhost into a local file",
            Role::Reference,
            [&source, &to_file],
            Output::Parquet(path),
        )?,
    ])
}

/// `s3-parquet-jsonl`: what [`parquet`] has left in the bucket.
pub fn parquet_back(jobs: &Jobs, rows: u64) -> Outcome<Vec<Contender>> {
    let source = format!("{BUCKET}\nprefix = \"{ROWS_PREFIX}\"\nformat = \"parquet\"");
    Setting {
        jobs,
        records: rows,
    }
    .back(PARQUET_BACK, &source)
}

/// `records-s3`: the records of a store of dataknobs-data, as dataknobs-data keeps them, written by
/// dkhost, and `streamed` of them by dataknobs-data itself; and, right after each of its releases,
/// how long that takes to start.
pub fn records(
    jobs: &Jobs,
    input: &Input,
    releases: &[Dataknobs],
    streamed: u64,
) -> Outcome<Vec<Contender>> {
    let source = format!(
        "backend = \"file\"\npath = {:?}\nlayout = \"dataknobs\"",
        input.store
    );
    let target = format!(
        "{BUCKET}\nprefix = \"{RECORDS_PREFIX}\"\nlayout = \"dataknobs\"\non_conflict = \"insert\""
    );
    let setting = Setting {
        jobs,
        records: input.rows,
    };
    let objects = Output::Objects(RECORDS_PREFIX);
    let sections = [source.as_str(), &target];
    let mut contenders =
        vec![setting.dkhost(RECORDS, "dkhost", Role::Plain, sections, objects.clone())?];
    for dataknobs in releases {
        let one = Input::of(jobs.folder(), 1)?;
        let some = Input::of(jobs.folder(), streamed)?;
        let stream = format!("{} stream_write", dataknobs.name);
        let start = format!("{}, a single record", dataknobs.name);
        let each = [(stream, Role::Reference, &some), (start, Role::Peer, &one)];
        for (name, role, input) in each {
            contenders.push(Contender {
                name,
                role,
                records: input.rows,
                work: dataknobs.command(input).map(|arguments| Work {
                    arguments,
                    output: objects.clone(),
                }),
            });
        }
    }
    Ok(contenders)
}

/// `s3-records-jsonl`: what [`records`] has left in the bucket.
pub fn records_back(jobs: &Jobs, records: u64) -> Outcome<Vec<Contender>> {
    let source = format!("{BUCKET}\nprefix = \"{RECORDS_PREFIX}\"\nlayout = \"dataknobs\"");
    Setting { jobs, records }.back(RECORDS_BACK, &source)
}

struct Setting<'a> {
    jobs: &'a Jobs,
    records: u64,
}

impl Setting<'_> {
    fn back(&self, route: &str, source: &str) -> Outcome<Vec<Contender>> {
        let path = self.path(route, "jsonl");
        let target = format!("backend = \"file\"\npath = {path:?}\non_conflict = \"replace-all\"");
        let sections = [source, &target];
        let lines = Output::Lines(path);
        Ok(vec![self.dkhost(
            route,
            "dkhost",
            Role::Plain,
            sections,
            lines,
        )?])
    }

    fn dkhost(
        &self,
        job: &str,
        title: &str,
        role: Role,
        [source, target]: [&str; 2],
        output: Output,
    ) -> Outcome<Contender> {
        let job = format!("{job}-{}", self.records);
        let arguments = self.jobs.written(&job, source, target, role, "")?;
        Ok(Contender {
            name: title.to_owned(),
            role,
            records: self.records,
            work: Ok(Work { arguments, output }),
        })
    }

    fn path(&self, route: &str, extension: &str) -> PathBuf {
        let name = format!("{route}-{}-out.{extension}", self.records);
        self.jobs.folder().join(name)
    }
}
