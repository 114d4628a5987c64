//! The routes from and to Elasticsearch, beside elasticdump.
//!
//! What a client costs is measured against a server that only counts; the wall time, and the way
//! back, against an Elasticsearch of the benchmark's own on the same machine.

mod contender;
mod counting;
mod peer;
mod routes;
mod server;
mod table;
mod targets;

use super::figures::Rounds;
use super::jobs::Jobs;
use super::measure;
use super::routes::Role;
use super::rows::Input;
use super::wish::Wish;
use crate::shell::{self, Outcome};
use contender::Contender;
use peer::Elasticdump;
use routes::{BACK, NAMES, Setting};
use server::{SOURCE, Server};

pub use table::{json, markdown};
pub use targets::all as targets;

/// Documents when nobody says how many.
const DOCUMENTS: u64 = 500_000;

/// A route, and what each contender cost or why there is no figure.
pub struct Route {
    /// `jsonl-es`.
    pub name: &'static str,
    /// How many documents.
    pub documents: u64,
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
    /// The routes.
    pub routes: Vec<Route>,
}

impl Route {
    /// The figures of the contender with this role, if it has any.
    pub fn of(&self, role: Role) -> Option<&Rounds> {
        let found = self.results.iter().find(|result| result.role == role)?;
        found.rounds.as_ref().ok()
    }
}

/// Whether any of these routes is wanted.
pub fn is_wanted(wish: &Wish) -> bool {
    wish.has("elasticsearch") && NAMES.iter().any(|name| wish.wants(name))
}

/// Starts the servers and measures every route that is wanted.
pub fn measure(wish: &Wish, jobs: &Jobs) -> Outcome<Measured> {
    let documents = wish.rows.as_ref().and_then(|rows| rows.first());
    let input = Input::of(jobs.folder(), documents.copied().unwrap_or(DOCUMENTS))?;
    let elasticdump = wish.peers.then(Elasticdump::found);
    let server = Server::start()?;
    let setting = Setting {
        jobs,
        input: &input,
        server: &server,
        elasticdump: elasticdump.as_ref(),
    };
    let mut measured = Measured {
        peers: elasticdump.iter().map(|peer| peer.name.clone()).collect(),
        routes: Vec::new(),
    };
    for name in NAMES.into_iter().filter(|name| wish.wants(name)) {
        if name == BACK {
            fill(&setting)?;
        }
        let contenders = setting.contenders(name)?;
        measured.routes.push(Route {
            name,
            documents: input.rows,
            results: rounds(wish.runs, name, contenders, &server),
        });
    }
    Ok(measured)
}

/// Makes the index that is read.
fn fill(setting: &Setting<'_>) -> Outcome {
    let line = setting.source()?;
    let mut command = shell::command(&line[0]);
    measure::run(command.args(&line[1..]).current_dir(shell::root()))?;
    match setting.server.count(SOURCE)? {
        there if there == setting.input.rows => Ok(()),
        there => Err(format!(
            "the index to read has {there} documents of {}",
            setting.input.rows
        )),
    }
}

/// Every contender once in each round; round 0 only warms caches, and the server's compiler.
fn rounds(runs: usize, route: &str, contenders: Vec<Contender>, server: &Server) -> Vec<Result> {
    let mut each: Vec<Outcome<Rounds>> = contenders.iter().map(|_| Ok(Rounds::new())).collect();
    for round in 0..=runs {
        for (contender, so_far) in contenders.iter().zip(&mut each) {
            let Ok(usages) = &mut *so_far else { continue };
            eprintln!("round {round} of {runs}: {route} – {}", contender.name);
            match contender.measure(server) {
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
    contenders.into_iter().zip(each).map(result).collect()
}
