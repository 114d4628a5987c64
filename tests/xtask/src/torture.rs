//! `cargo xtask torture`: the long way round of what `test` takes a sample of.
//!
//! The recovery suite with 200 seeds for each target and every N of the Nth-fault loop, then the
//! fuzz targets for a minute each. What fails prints the variable that plays it alone
//! (`DKHOST_SEED`, `DKHOST_FAIL`, `DKHOST_NTH`, `DKHOST_FUZZ_SEED`); everything else goes on, and the
//! chore fails at its end.

use std::time::Instant;

use dkhost_servers::{POSTGRES_URL, Server};

use crate::needs;
use crate::shell::{self, Outcome};

const USAGE: &str = "\
cargo xtask torture [--seeds N] [--fuzz-seconds S]
    --seeds N           seeds for each target of the recovery suite (200)
    --fuzz-seconds S    how long each fuzz target runs (60)
";

/// How long.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    seeds: u32,
    fuzz_seconds: u32,
}

/// The chore `torture`.
pub fn run(arguments: &[String]) -> Outcome {
    let wish = parse(arguments)?;
    println!("{}; {}", needs::compiler()?, needs::plugin_target()?);
    needs::fault_tools()?;
    let postgres = needs::postgres()?;
    let url = postgres.as_ref().map(Server::url);
    let failed: Vec<&str> = steps(&wish)
        .into_iter()
        .filter(|step| !passes(step, url.as_deref()))
        .map(|step| step.what)
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} failed; what is printed above plays it alone",
            failed.join(", ")
        )),
    }
}

fn parse(arguments: &[String]) -> Outcome<Wish> {
    let mut wish = Wish {
        seeds: 200,
        fuzz_seconds: 60,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--seeds" => &mut wish.seeds,
            "--fuzz-seconds" => &mut wish.fuzz_seconds,
            _ => return Err(USAGE.to_owned()),
        };
        let value = words.next().and_then(|value| value.parse().ok());
        *place = value.ok_or_else(|| format!("`{word}` takes a number\n\n{USAGE}"))?;
    }
    Ok(wish)
}

/// One suite, and the variable that makes it long.
struct Step {
    what: &'static str,
    arguments: &'static [&'static str],
    variable: (&'static str, String),
}

fn steps(wish: &Wish) -> Vec<Step> {
    vec![
        Step {
            what: "the recovery suite",
            arguments: &["test", "--no-fail-fast", "--test", "recovery"],
            variable: ("DKHOST_SEEDS", wish.seeds.to_string()),
        },
        Step {
            what: "a fuzz target",
            arguments: &["test", "--no-fail-fast", "--workspace", "--test", "targets"],
            variable: ("DKHOST_FUZZ_SECONDS", wish.fuzz_seconds.to_string()),
        },
    ]
}

fn passes(step: &Step, postgres: Option<&str>) -> bool {
    let (name, value) = &step.variable;
    let mut cargo = shell::cargo();
    cargo.args(step.arguments).env(name, value);
    if let Some(url) = postgres {
        cargo.env(POSTGRES_URL, url);
    }
    println!("$ {name}={value} {}", shell::shown(&cargo));
    let began = Instant::now();
    let outcome = shell::run(&mut cargo);
    println!("{}: {}", step.what, shell::took(began.elapsed()));
    outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Wish, parse};

    #[test]
    fn how_long_can_be_said() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            parse(&[]),
            Ok(Wish {
                seeds: 200,
                fuzz_seconds: 60
            })
        );
        let told = parse(&words("--fuzz-seconds 5 --seeds 9"));
        assert_eq!(
            told,
            Ok(Wish {
                seeds: 9,
                fuzz_seconds: 5
            })
        );
        assert!(parse(&words("--seeds many")).is_err());
        assert!(parse(&words("--long")).is_err());
    }
}
