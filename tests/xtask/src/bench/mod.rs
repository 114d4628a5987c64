//! `cargo xtask bench`: what a move costs, beside what peers take on the same rows.
//!
//! A figure alone says little about a program and much about a machine, so everything is measured
//! round after round together with a reference, and told as a ratio. Figures are CPU time and peak
//! memory of whole processes, medians of the rounds; the table is printed and kept as JSON.

mod alone;
mod build;
mod elasticsearch;
mod figures;
mod jobs;
mod json;
mod machine;
mod measure;
mod peers;
mod postgres;
mod routes;
mod rows;
mod s3;
mod schemas;
mod table;
mod targets;
mod wish;

use std::path::Path;

use crate::needs;
use crate::shell::{self, Outcome};
use alone::{Parallel, Stage};
use build::Programs;
use figures::Rounds;
use jobs::Jobs;
use peers::Peers;
use routes::Route;
use rows::Input;
use wish::{USAGE, Wish};

/// Rows that the routes between files and SQLite move when nobody says how many.
const ROWS: [u64; 2] = [1_000_000, 5_000_000];

/// What came out.
#[derive(Default)]
pub struct Measured {
    /// How many rounds.
    pub runs: usize,
    /// Names of the peers with their versions.
    pub peers: Vec<String>,
    /// The usages of each route's contenders.
    pub routes: Vec<(Route, Vec<Rounds>)>,
    /// The plugin's stage by itself.
    pub stage: Option<Stage>,
    /// A run over one record.
    pub start: Option<Rounds>,
    /// One partition at a time, and two.
    pub parallel: Option<Parallel>,
    /// Microseconds dataknobs-data takes for a record.
    pub dataknobs_us: Option<f64>,
    /// The routes from and to PostgreSQL.
    pub postgres: postgres::Measured,
    /// The routes from and to Elasticsearch.
    pub elasticsearch: elasticsearch::Measured,
    /// The routes from and to S3.
    pub s3: s3::Measured,
    /// The steps about versions of schemas.
    pub schemas: schemas::Measured,
}

/// The chore `bench`.
pub fn run(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return Ok(());
    }
    let wish = Wish::read(arguments)?;
    let folder = shell::target().join("bench");
    std::fs::create_dir_all(&folder)
        .map_err(|cause| format!("cannot make {}: {cause}", folder.display()))?;
    let (jobs, programs) = prepared(&wish, &folder)?;
    let mut measured = Measured {
        runs: wish.runs,
        ..Measured::default()
    };
    if wish.has("files") {
        files(&wish, &jobs, programs.as_ref(), &mut measured)?;
    }
    if schemas::is_wanted(&wish) {
        measured.schemas = schemas::measure(&wish, &jobs)?;
    }
    // What was measured before must not be lost with a server that does not start.
    let mut failures = Vec::new();
    if postgres::is_wanted(&wish) {
        match postgres::measure(&wish, &jobs) {
            Ok(of_postgres) => measured.postgres = of_postgres,
            Err(why) => failures.push(format!("PostgreSQL was not measured: {why}")),
        }
    }
    if elasticsearch::is_wanted(&wish) {
        match elasticsearch::measure(&wish, &jobs) {
            Ok(of_elasticsearch) => measured.elasticsearch = of_elasticsearch,
            Err(why) => failures.push(format!("Elasticsearch was not measured: {why}")),
        }
    }
    if s3::is_wanted(&wish) {
        match s3::measure(&wish, &jobs) {
            Ok(of_s3) => measured.s3 = of_s3,
            Err(why) => failures.push(format!("S3 was not measured: {why}")),
        }
    }
    let targets = targets::all(&measured);
    print!("{}", table::markdown(&measured, &targets));
    let kept = wish.json.unwrap_or_else(|| folder.join("bench.json"));
    std::fs::write(&kept, format!("{}\n", table::json(&measured, &targets)))
        .map_err(|cause| format!("cannot write {}: {cause}", kept.display()))?;
    println!("\nkept in {}", kept.display());
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}

/// The routes between files and SQLite, and what is measured beside them.
fn files(
    wish: &Wish,
    jobs: &Jobs,
    programs: Option<&Programs>,
    measured: &mut Measured,
) -> Outcome {
    if !routes::NAMES.iter().any(|name| wish.wants(name)) {
        return Ok(());
    }
    let peers = match wish.peers {
        true => Peers::found(jobs.folder()),
        false => Peers::none(),
    };
    measured.peers = peers.names().map(str::to_owned).collect();
    let all_rows = wish.rows.as_deref().unwrap_or(&ROWS);
    let fewest = Input::of(jobs.folder(), all_rows[0])?;
    if let (None, Some(programs)) = (&wish.route, programs) {
        measured.start = Some(alone::start(jobs, wish.runs)?);
        measured.stage = Some(Stage::measure(programs, jobs, wish.runs)?);
        measured.parallel = Some(alone::parallel(jobs, &fewest, wish.runs)?);
        measured.dataknobs_us = alone::store(jobs, &peers, wish.runs)?;
    }
    for rows in all_rows {
        let input = Input::of(jobs.folder(), *rows)?;
        let with_peers = *rows == all_rows[0];
        let routes = routes::all(jobs, &input, &peers, with_peers)?;
        for route in routes.into_iter().filter(|route| wish.wants(route.name)) {
            let usages = alone::rounds(&route.contenders, route.name, wish.runs)?;
            measured.routes.push((route, usages));
        }
    }
    Ok(())
}

/// What is measured, and where the programs are that measure the stage alone.
fn prepared(wish: &Wish, folder: &Path) -> Outcome<(Jobs, Option<Programs>)> {
    needs::plugin_target()?;
    let given = wish.dkhost.as_ref().map(std::path::absolute).transpose();
    let given = given.map_err(|cause| cause.to_string())?;
    let (dkhost, programs) = match (given, wish.is_whole()) {
        (Some(given), false) => (given, None),
        (given, is_whole) => {
            let programs = build::release(given.as_deref(), is_whole)?;
            (programs.dkhost.clone(), Some(programs))
        }
    };
    let plugin = folder.join("clean.wasm");
    shell::run(
        shell::command(&dkhost)
            .args(["plugin", "build", "plugins/clean", "-o"])
            .arg(&plugin),
    )?;
    Ok((Jobs::new(folder.to_owned(), dkhost, plugin), programs))
}
