//! The routes from and to PostgreSQL, on a server of the benchmark's own.
//!
//! A client that spends little may make the server spend much, so the server's CPU time stands
//! beside the client's. The limit of each route is PostgreSQL's own client, which neither knows
//! types nor checks anything. A peer that cannot be installed or fails stays in the table with what
//! it said.

mod contender;
mod footer;
mod limit;
mod peers;
mod routes;
mod rows;
mod server;
mod table;
mod targets;

use std::ops::RangeInclusive;

use super::figures::{self, Rounds};
use super::jobs::Jobs;
use super::routes::Role;
use super::wish::Wish;
use crate::shell::Outcome;
use contender::Contender;
use peers::Peers;

pub use contender::{brief, lines};
pub use footer::rows as parquet_rows;
pub use peers::installed;
pub use rows::Table;
pub use server::{Server, cpu_of};
pub use table::{json, markdown};
pub use targets::all as targets;

/// Rows that are moved when nobody says how many.
const ROWS: [u64; 2] = [500_000, 5_000_000];

/// A route with some rows, and what each contender cost or why there is no figure.
pub struct Route {
    /// `pg-pg`.
    pub name: &'static str,
    /// How many rows.
    pub rows: u64,
    /// Everybody, in the table's order.
    pub results: Vec<Result>,
}

/// What a contender cost.
pub struct Result {
    /// As the table shows it.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// A usage for each round, or why not.
    pub rounds: Outcome<Rounds>,
}

/// What came out.
#[derive(Default)]
pub struct Measured {
    /// Names of the peers with their versions.
    pub peers: Vec<String>,
    /// The routes, fewest rows first.
    pub routes: Vec<Route>,
}

impl Route {
    /// The rounds of the contender with this role.
    pub fn of(&self, role: Role) -> Option<&Rounds> {
        let found = self.results.iter().find(|result| result.role == role);
        found?.rounds.as_ref().ok()
    }

    /// The rounds of the peer that takes least CPU time.
    pub fn best_peer(&self) -> Option<&Result> {
        let peers = self.results.iter();
        let peers = peers.filter(|r| matches!(r.role, Role::Reference | Role::Peer));
        let cpu = |result: &&Result| match &result.rounds {
            Ok(rounds) => figures::median(rounds.iter().map(figures::cpu)),
            Err(_) => f64::INFINITY,
        };
        let measured = peers.filter(|result| result.rounds.is_ok());
        measured.min_by(|a, b| cpu(a).total_cmp(&cpu(b)))
    }
}

/// Whether any of these routes is wanted.
pub fn is_wanted(wish: &Wish) -> bool {
    wish.has("postgres") && routes::NAMES.iter().any(|name| wish.wants(name))
}

/// Starts a server and measures every route that is wanted.
pub fn measure(wish: &Wish, jobs: &Jobs) -> Outcome<Measured> {
    let server = Server::start()?;
    let peers = match wish.peers {
        true => Peers::found(),
        false => Peers::none(),
    };
    let mut measured = Measured {
        peers: peers.names().map(str::to_owned).collect(),
        routes: Vec::new(),
    };
    let all_rows = wish.rows.as_deref().unwrap_or(&ROWS);
    for rows in all_rows {
        eprintln!("loading {rows} rows into PostgreSQL");
        let table = Table::of(&server, jobs.folder(), *rows)?;
        let is_first = *rows == all_rows[0];
        let setting = routes::Setting {
            jobs,
            url: &server.url(),
            table: &table,
            peers: &peers,
            all_peers: is_first,
        };
        for name in routes::NAMES.into_iter().filter(|name| wish.wants(name)) {
            let contenders = setting.contenders(name)?;
            measured.routes.push(Route {
                name,
                rows: *rows,
                results: match is_first {
                    true => rounds(&server, &table, name, contenders, 0..=wish.runs),
                    // Ten times the rows, of which memory is what one wants to know.
                    false => rounds(&server, &table, name, contenders, 1..=1),
                },
            });
        }
        server.sql("DROP SCHEMA target CASCADE; DROP SCHEMA source CASCADE; CHECKPOINT;")?;
    }
    Ok(measured)
}

/// Every contender once in each round; round 0 only warms caches.
fn rounds(
    server: &Server,
    table: &Table,
    route: &str,
    contenders: Vec<Contender>,
    runs: RangeInclusive<usize>,
) -> Vec<Result> {
    let mut each: Vec<(Contender, Outcome<Rounds>)> = contenders
        .into_iter()
        .map(|contender| {
            let rounds = contender.work.as_ref().map(|_| Rounds::new());
            let rounds = rounds.map_err(Clone::clone);
            (contender, rounds)
        })
        .collect();
    for round in runs.clone() {
        for (contender, so_far) in &mut each {
            let (Ok(work), Ok(usages)) = (&contender.work, &mut *so_far) else {
                continue;
            };
            eprintln!(
                "round {round} of {}: {route}, {} rows – {}",
                runs.end(),
                table.rows,
                contender.name
            );
            match work.measure(server, table) {
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
        rounds,
    };
    each.into_iter().map(result).collect()
}
