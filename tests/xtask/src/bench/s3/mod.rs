//! The routes from and to S3, on a MinIO of the benchmark's own.
//!
//! Everything that writes finds a server that was just started and an empty bucket; what reads finds
//! what dkhost wrote before. The servers run on the same machine, so their CPU time stands beside
//! the client's: on a route of small objects it is the larger part, and bounds what any client can
//! do.

mod contender;
mod peer;
mod routes;
mod server;
mod table;
mod targets;

use super::figures::Rounds;
use super::jobs::Jobs;
use super::postgres::{Server, Table};
use super::routes::Role;
use super::rows::Input;
use super::wish::Wish;
use crate::shell::Outcome;
use contender::Contender;
use peer::Dataknobs;
use routes::{FromPostgres, PARQUET, PARQUET_BACK, RECORDS, RECORDS_BACK};
use server::Minio;

pub use table::{json, markdown};
pub use targets::all as targets;

/// Rows of the table when nobody says how many.
const ROWS: u64 = 500_000;
/// Records that become an object each, unless there are fewer rows.
const OBJECTS: u64 = 20_000;
/// How many of them dataknobs-data streams: more take minutes and say the same of records a second.
const STREAMED: u64 = 5_000;

/// A route, and what each contender cost or why there is no figure.
pub struct Route {
    /// `pg-s3-parquet`.
    pub name: &'static str,
    /// Everybody, in the table's order.
    pub results: Vec<Result>,
}

/// What a contender cost.
pub struct Result {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// How many records it moved.
    pub records: u64,
    /// A usage for each round, or why not.
    pub rounds: Outcome<Rounds>,
}

/// What came out.
#[derive(Default)]
pub struct Measured {
    /// Names of the peers with their versions.
    pub peers: Vec<String>,
    /// The routes.
    pub routes: Vec<Route>,
}

impl Route {
    /// The contender with this role, if it has figures.
    pub fn of(&self, role: Role) -> Option<(u64, &Rounds)> {
        let found = self.results.iter().find(|result| result.role == role)?;
        Some((found.records, found.rounds.as_ref().ok()?))
    }
}

/// Whether any of these routes is wanted.
pub fn is_wanted(wish: &Wish) -> bool {
    wish.has("s3") && routes::NAMES.iter().any(|name| wish.wants(name))
}

/// Starts servers and measures every route that is wanted.
pub fn measure(wish: &Wish, jobs: &Jobs) -> Outcome<Measured> {
    let rows = wish.rows.as_ref().and_then(|rows| rows.first());
    let rows = rows.copied().unwrap_or(ROWS);
    let mut measured = Measured::default();
    if wish.wants(PARQUET) || wish.wants(PARQUET_BACK) {
        tables(wish, jobs, rows, &mut measured)?;
    }
    if wish.wants(RECORDS) || wish.wants(RECORDS_BACK) {
        objects(wish, jobs, rows.min(OBJECTS), &mut measured)?;
    }
    Ok(measured)
}

/// A table into Parquet, and back.
fn tables(wish: &Wish, jobs: &Jobs, rows: u64, measured: &mut Measured) -> Outcome {
    let server = Server::start()?;
    eprintln!("loading {rows} rows into PostgreSQL");
    let table = Table::of(&server, jobs.folder(), rows)?;
    let from = FromPostgres {
        url: &server.url(),
        table: &table,
    };
    server.sql("CHECKPOINT;")?;
    let there = routes::parquet(jobs, &from)?;
    if wish.wants(PARQUET_BACK) {
        let minio = filled(&there[0], Some(&server))?;
        let back = routes::parquet_back(jobs, rows)?;
        let results = rounds(wish.runs, PARQUET_BACK, back, |work, contender| {
            contender.measure(work, &minio, None)
        });
        measured.add(PARQUET_BACK, results);
    }
    if wish.wants(PARQUET) {
        let results = rounds(wish.runs, PARQUET, there, |work, contender| {
            contender.measure(work, &Minio::start()?, Some(&server))
        });
        measured.add(PARQUET, results);
    }
    Ok(())
}

/// Records into an object each, and back.
fn objects(wish: &Wish, jobs: &Jobs, records: u64, measured: &mut Measured) -> Outcome {
    let input = Input::of(jobs.folder(), records)?;
    let dataknobs = match wish.peers && wish.wants(RECORDS) {
        true => Dataknobs::found(),
        false => Vec::new(),
    };
    let there = routes::records(jobs, &input, &dataknobs, records.min(STREAMED))?;
    if wish.wants(RECORDS_BACK) {
        let minio = filled(&there[0], None)?;
        let back = routes::records_back(jobs, records)?;
        let results = rounds(wish.runs, RECORDS_BACK, back, |work, contender| {
            contender.measure(work, &minio, None)
        });
        measured.add(RECORDS_BACK, results);
    }
    let names = dataknobs.into_iter().map(|dataknobs| dataknobs.name);
    measured.peers.extend(names);
    if wish.wants(RECORDS) {
        let results = rounds(wish.runs, RECORDS, there, |work, contender| {
            contender.measure(work, &Minio::start()?, None)
        });
        measured.add(RECORDS, results);
    }
    Ok(())
}

impl Measured {
    fn add(&mut self, name: &'static str, results: Vec<Result>) {
        self.routes.push(Route { name, results });
    }
}

/// A server whose bucket holds what the contender writes.
fn filled(contender: &Contender, source: Option<&Server>) -> Outcome<Minio> {
    let minio = Minio::start()?;
    let work = contender.work.as_ref().map_err(Clone::clone)?;
    eprintln!("filling a bucket with {} records", contender.records);
    contender.measure(work, &minio, source)?;
    Ok(minio)
}

/// Every contender once in each round; round 0 only warms caches.
fn rounds(
    runs: usize,
    route: &str,
    contenders: Vec<Contender>,
    measure: impl Fn(&contender::Work, &Contender) -> Outcome<super::measure::Usage>,
) -> Vec<Result> {
    let mut each: Vec<Outcome<Rounds>> = contenders
        .iter()
        .map(|contender| match &contender.work {
            Ok(_) => Ok(Rounds::new()),
            Err(why) => Err(why.clone()),
        })
        .collect();
    for round in 0..=runs {
        for (contender, so_far) in contenders.iter().zip(&mut each) {
            let (Ok(work), Ok(usages)) = (&contender.work, &mut *so_far) else {
                continue;
            };
            eprintln!("round {round} of {runs}: {route} – {}", contender.name);
            match measure(work, contender) {
                Ok(usage) if round > 0 => usages.push(usage),
                Ok(_) => {}
                Err(why) => {
                    eprintln!("{} is out: {why}", contender.name);
                    *so_far = Err(why);
                }
            }
        }
    }
    let result = |(contender, rounds): (Contender, Outcome<Rounds>)| Result {
        name: contender.name,
        role: contender.role,
        records: contender.records,
        rounds,
    };
    contenders.into_iter().zip(each).map(result).collect()
}
