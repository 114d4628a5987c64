//! What the routes do not show: the plugin's stage beside the same code compiled natively, starting
//! up, two partitions instead of one, and records through dataknobs-data.

use std::process::Command;

use super::build::Programs;
use super::figures::{self, Rounds};
use super::jobs::Jobs;
use super::peers::Peers;
use super::routes::{Contender, Role};
use super::rows::Input;
use crate::shell::{self, Outcome};

/// Rows of one batch in a run.
const BATCH_ROWS: &str = "8192";
/// Turns over the rows within one round; the best counts.
const TURNS: &str = "5";
/// Rows for the stage alone: enough for 60 batches, and they fit into memory several times.
const STAGE_ROWS: u64 = 500_000;
/// What dataknobs-data is given; more takes minutes.
const STORE_ROWS: u64 = 20_000;

/// The plugin's stage, nanoseconds of CPU per record, a value for each round.
pub struct Stage {
    /// The component, through the engine and the border.
    pub component: Vec<f64>,
    /// The same source as machine code.
    pub native: Vec<f64>,
}

impl Stage {
    /// Measures both by turns with the programs made for it.
    pub fn measure(programs: &Programs, jobs: &Jobs, runs: usize) -> Outcome<Stage> {
        let input = Input::of(jobs.folder(), STAGE_ROWS)?;
        let (mut component, mut native) = (Vec::new(), Vec::new());
        for round in 1..=runs {
            eprintln!("round {round} of {runs}: the plugin's stage alone");
            let told = |command: &mut Command| {
                let told = shell::output(command.arg(&input.csv).args([BATCH_ROWS, TURNS]))?;
                let told = told.trim();
                told.parse()
                    .map_err(|_| format!("`{told}` is no number of nanoseconds"))
            };
            component.push(told(shell::command(&programs.stage).arg(jobs.plugin()))?);
            native.push(told(&mut shell::command(&programs.native))?);
        }
        Ok(Stage { component, native })
    }

    /// How many times the native code's time the stage takes.
    pub fn ratio(&self) -> f64 {
        let pairs = self.component.iter().zip(&self.native);
        figures::median(pairs.map(|(component, native)| component / native))
    }
}

/// A whole run over one record, its plugin compiled before.
pub fn start(jobs: &Jobs, runs: usize) -> Outcome<Rounds> {
    let input = Input::of(jobs.folder(), 1)?;
    let job = jobs.job("start", &input.jsonl, "out.jsonl", Role::WithPlugin, "")?;
    rounds(&[job], "start-up", runs).map(|mut each| each.remove(0))
}

/// CSV → Parquet with one partition at a time and with two.
pub struct Parallel {
    /// One at a time.
    pub one: Rounds,
    /// Both.
    pub two: Rounds,
}

impl Parallel {
    /// How much faster two are than one, on the wall.
    pub fn gain(&self) -> f64 {
        figures::ratio(&self.one, &self.two, figures::wall)
    }

    /// How many cores a single partition keeps busy: it reads, decodes and writes at once.
    pub fn busy_cores(&self) -> f64 {
        figures::median(
            self.one
                .iter()
                .map(|one| figures::cpu(one) / figures::wall(one)),
        )
    }

    /// The gain that is left for a second partition on so many cores, if it cost nothing.
    pub fn bound(&self, cores: usize) -> f64 {
        (cores as f64 / self.busy_cores()).min(2.0)
    }
}

/// CSV → Parquet from two files into a folder of two. Into a single file partitions follow each
/// other.
pub fn parallel(jobs: &Jobs, input: &Input, runs: usize) -> Outcome<Parallel> {
    let halves = input.csv.with_extension("half*.csv");
    let job = |n: usize| {
        let name = format!("parallel-{n}");
        let settings = format!("parallel = {n}");
        jobs.job(&name, &halves, "out/", Role::Plain, &settings)
    };
    let mut usages = rounds(&[job(1)?, job(2)?], "parallel", runs)?;
    let two = usages.remove(1);
    let one = usages.remove(0);
    Ok(Parallel { one, two })
}

/// CPU microseconds dataknobs-data takes for a record, its start not counted; `None` without it.
pub fn store(jobs: &Jobs, peers: &Peers, runs: usize) -> Outcome<Option<f64>> {
    let Some(dataknobs) = peers.get("dataknobs-data") else {
        return Ok(None);
    };
    let contender = |rows: u64| {
        let input = Input::of(jobs.folder(), rows)?;
        let output = jobs.folder().join(format!("store-{rows}.db"));
        Ok::<_, String>(Contender {
            name: dataknobs.name.clone(),
            role: Role::Peer,
            arguments: dataknobs.command("store-sqlite", &input.store, &output),
            output,
        })
    };
    let contenders = [contender(STORE_ROWS)?, contender(1)?];
    let usages = rounds(&contenders, "records through dataknobs-data", runs)?;
    let each_ns = figures::extra_ns(&usages[0], &usages[1], STORE_ROWS - 1);
    Ok(Some(each_ns / 1000.0))
}

/// Every contender's usage, round by round; a round runs each once, so that a slow minute of the
/// machine hits all of them. A round before the first warms the page cache and compiles the plugin.
pub fn rounds(contenders: &[Contender], what: &str, runs: usize) -> Outcome<Vec<Rounds>> {
    let mut usages = vec![Rounds::new(); contenders.len()];
    for round in 0..=runs {
        for (contender, usages) in contenders.iter().zip(&mut usages) {
            eprintln!("round {round} of {runs}: {what} – {}", contender.name);
            let usage = contender.measure()?;
            if round > 0 {
                usages.push(usage);
            }
        }
    }
    Ok(usages)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::measure::Usage;
    use super::Parallel;

    #[test]
    fn a_partition_that_keeps_both_cores_busy_leaves_nothing_to_a_second() {
        let usage = |cpu, wall| Usage {
            cpu: Duration::from_secs(cpu),
            wall: Duration::from_secs(wall),
            memory_bytes: 0,
            server: None,
        };
        let of = |cpu| Parallel {
            one: vec![usage(cpu, 10)],
            two: vec![usage(cpu, 8)],
        };
        assert_eq!(of(16).gain(), 1.25);
        assert_eq!((of(16).bound(2), of(5).bound(2)), (1.25, 2.0));
    }
}
