//! `cargo xtask bench`: what a move costs, beside what peers take on the same rows.
//!
//! A figure alone says little about a program and much about a machine, so everything is measured
//! round after round together with a reference, and told as a ratio. Figures are CPU time and peak
//! memory of whole processes, medians of the rounds; the table is printed and kept as JSON.

mod alone;
mod build;
mod figures;
mod jobs;
mod json;
mod machine;
mod measure;
mod peers;
mod routes;
mod rows;
mod table;
mod targets;

use std::path::{Path, PathBuf};

use crate::needs;
use crate::shell::{self, Outcome};
use alone::Stage;
use build::Programs;
use figures::Rounds;
use jobs::Jobs;
use peers::Peers;
use routes::Route;
use rows::Input;

const USAGE: &str = "\
cargo xtask bench [OPTIONS]
  --rows N,N…      rows to move, fewest first (1000000,5000000)
  --runs N         rounds; each runs every contender once (3)
  --route TEXT     only routes whose name holds this text, and nothing but routes
  --dkhost PATH    measure this binary; otherwise the release profile is built
  --no-peers       leave everybody else out
  --json PATH      where the figures are kept (bench.json beside the data)
";

/// What the command line asked for.
struct Wish {
    rows: Vec<u64>,
    runs: usize,
    route: Option<String>,
    dkhost: Option<PathBuf>,
    peers: bool,
    json: Option<PathBuf>,
}

/// What came out.
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
    pub parallel: Option<[Rounds; 2]>,
    /// Microseconds dataknobs-data takes for a record.
    pub dataknobs_us: Option<f64>,
}

/// The chore `bench`.
pub fn run(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return Ok(());
    }
    let wish = read(arguments)?;
    let folder = shell::target().join("bench");
    std::fs::create_dir_all(&folder)
        .map_err(|cause| format!("cannot make {}: {cause}", folder.display()))?;
    let (jobs, programs) = prepared(&wish, &folder)?;
    let peers = match wish.peers {
        true => Peers::found(&folder),
        false => Peers::none(),
    };
    let measured = measure(&wish, &jobs, programs.as_ref(), &peers)?;
    let targets = targets::all(&measured);
    print!("{}", table::markdown(&measured, &targets));
    let kept = wish.json.unwrap_or_else(|| folder.join("bench.json"));
    std::fs::write(&kept, format!("{}\n", table::json(&measured, &targets)))
        .map_err(|cause| format!("cannot write {}: {cause}", kept.display()))?;
    println!("\nkept in {}", kept.display());
    Ok(())
}

fn measure(
    wish: &Wish,
    jobs: &Jobs,
    programs: Option<&Programs>,
    peers: &Peers,
) -> Outcome<Measured> {
    let mut measured = Measured {
        runs: wish.runs,
        peers: peers.names().map(str::to_owned).collect(),
        routes: Vec::new(),
        stage: None,
        start: None,
        parallel: None,
        dataknobs_us: None,
    };
    let fewest = Input::of(jobs.folder(), wish.rows[0])?;
    if let (None, Some(programs)) = (&wish.route, programs) {
        measured.start = Some(alone::start(jobs, wish.runs)?);
        measured.stage = Some(Stage::measure(programs, jobs, wish.runs)?);
        measured.parallel = Some(alone::parallel(jobs, &fewest, wish.runs)?);
        measured.dataknobs_us = alone::store(jobs, peers, wish.runs)?;
    }
    for rows in &wish.rows {
        let input = Input::of(jobs.folder(), *rows)?;
        let with_peers = *rows == wish.rows[0];
        for route in routes::all(jobs, &input, peers, with_peers)? {
            if wish
                .route
                .as_ref()
                .is_some_and(|part| !route.name.contains(part))
            {
                continue;
            }
            let usages = alone::rounds(&route.contenders, route.name, wish.runs)?;
            measured.routes.push((route, usages));
        }
    }
    Ok(measured)
}

/// What is measured, and where the programs are that measure the stage alone.
fn prepared(wish: &Wish, folder: &Path) -> Outcome<(Jobs, Option<Programs>)> {
    needs::plugin_target()?;
    let given = wish.dkhost.as_ref().map(std::path::absolute).transpose();
    let given = given.map_err(|cause| cause.to_string())?;
    let (dkhost, programs) = match (given, wish.route.is_none()) {
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

fn read(arguments: &[String]) -> Outcome<Wish> {
    let mut wish = Wish {
        rows: vec![1_000_000, 5_000_000],
        runs: 3,
        route: None,
        dkhost: None,
        peers: true,
        json: None,
    };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{name}` needs a value\n\n{USAGE}"))
        };
        match name.as_str() {
            "--rows" => wish.rows = value()?.split(',').map(number).collect::<Outcome<_>>()?,
            "--runs" => wish.runs = number(value()?)? as usize,
            "--route" => wish.route = Some(value()?.clone()),
            "--dkhost" => wish.dkhost = Some(PathBuf::from(value()?)),
            "--json" => wish.json = Some(PathBuf::from(value()?)),
            "--no-peers" => wish.peers = false,
            _ => return Err(format!("the benchmark has no option `{name}`\n\n{USAGE}")),
        }
    }
    Ok(wish)
}

fn number(text: &(impl AsRef<str> + ?Sized)) -> Outcome<u64> {
    let text = text.as_ref();
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{text}` is not a number from 1 on")),
    }
}
