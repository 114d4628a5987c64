//! `cargo xtask bench`: what a move costs, beside what the machine cannot do without and what peers take.
//!
//! A figure alone says little about a program and much about a machine, so every route is measured
//! together with a limit (a plain copy, SQLite's own import) and with peers, round after round on
//! the same files; the table shows medians, and each one's CPU time as a multiple of the limit's and of dkhost's. Nothing is
//! asserted here: a threshold that holds on every machine would be one that never fails.

mod measure;
mod peers;
mod routes;
mod rows;
mod table;

use std::path::PathBuf;

use crate::needs;
use crate::shell::{self, Outcome};
use measure::Usage;
use routes::Route;

const USAGE: &str = "\
cargo xtask bench [OPTIONS]
  --rows N         rows to move (500000)
  --runs N         rounds; each runs every contender once (5)
  --route TEXT     only routes whose name holds this text
  --dkhost PATH    measure this binary; otherwise the release profile is built
  --no-peers       leave the Python peers out
";

/// What the command line asked for.
struct Wish {
    rows: u64,
    runs: usize,
    route: String,
    dkhost: Option<PathBuf>,
    peers: bool,
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
    let dkhost = match &wish.dkhost {
        Some(path) => std::path::absolute(path).map_err(|cause| cause.to_string())?,
        None => build()?,
    };
    let plugin = folder.join("clean.wasm");
    needs::plugin_target()?;
    shell::run(
        shell::command(&dkhost)
            .args(["plugin", "build", "plugins/clean", "-o"])
            .arg(&plugin),
    )?;
    let peers = if wish.peers {
        peers::found(&folder)
    } else {
        Vec::new()
    };
    let input = rows::write(&folder, wish.rows)?;
    let mut routes = routes::all(&folder, &dkhost, &plugin, &input, &peers)?;
    routes.retain(|route| route.name.contains(&wish.route));
    let results = routes
        .iter()
        .map(|route| measured(route, wish.runs))
        .collect::<Outcome<Vec<_>>>()?;
    print!("{}", table::markdown(&wish.size(&input), &routes, &results));
    Ok(())
}

/// Every contender's usage, round by round; a round runs each once, so that a slow minute of the
/// machine hits all of them. A round before the first warms the page cache and compiles the plugin.
fn measured(route: &Route, runs: usize) -> Outcome<Vec<Vec<Usage>>> {
    let mut usages = vec![Vec::new(); route.contenders.len()];
    for round in 0..=runs {
        for (contender, usages) in route.contenders.iter().zip(&mut usages) {
            eprintln!(
                "round {round} of {runs}: {} – {}",
                route.name, contender.name
            );
            let usage = contender.measure()?;
            if round > 0 {
                usages.push(usage);
            }
        }
    }
    Ok(usages)
}

fn build() -> Outcome<PathBuf> {
    println!("building the release profile; the first time this takes half an hour on two cores");
    shell::run(shell::cargo().args(["build", "--release", "--bin", "dkhost"]))?;
    Ok(shell::target().join("release/dkhost"))
}

fn read(arguments: &[String]) -> Outcome<Wish> {
    let mut wish = Wish {
        rows: 500_000,
        runs: 5,
        route: String::new(),
        dkhost: None,
        peers: true,
    };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{name}` needs a value\n\n{USAGE}"))
        };
        let number = |text: &String| {
            text.parse()
                .map_err(|_| format!("`{text}` is not a number"))
        };
        match name.as_str() {
            "--rows" => wish.rows = number(value()?)?,
            "--runs" => wish.runs = number(value()?)?.max(1) as usize,
            "--route" => wish.route = value()?.clone(),
            "--dkhost" => wish.dkhost = Some(PathBuf::from(value()?)),
            "--no-peers" => wish.peers = false,
            _ => return Err(format!("the benchmark has no option `{name}`\n\n{USAGE}")),
        }
    }
    Ok(wish)
}

impl Wish {
    fn size(&self, input: &rows::Input) -> String {
        let mib = |path| std::fs::metadata(path).map_or(0, |m| m.len() >> 20);
        format!(
            "{} rows × 10 columns (JSONL {} MiB, CSV {} MiB), median of {} rounds",
            self.rows,
            mib(&input.jsonl),
            mib(&input.csv),
            self.runs
        )
    }
}
