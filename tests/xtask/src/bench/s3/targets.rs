//! What the project wants to reach on these routes: what an object store costs the client beside a
//! local file, how many objects a second beside dataknobs-data's stream, and memory.

use super::super::figures;
use super::super::measure::Usage;
use super::super::routes::Role;
use super::super::targets::{Bound, Target};
use super::routes::{PARQUET, RECORDS};
use super::{Result, Route};

const AGAINST_LOCAL: f64 = 1.3;
const TIMES_THE_STREAM: f64 = 20.0;
const MEMORY_MIB: f64 = 96.0;

/// All of them that belong to what was measured.
pub fn all(routes: &[Route]) -> Vec<Target> {
    let mut targets = Vec::new();
    for route in routes {
        let Some(ours) = route.results.iter().find(|r| r.role == Role::Plain) else {
            continue;
        };
        let mut add = |what: &str, value: f64, bound: Bound, unit: &'static str| {
            targets.push(Target {
                name: format!("{}, {} records: {what}", route.name, ours.records),
                value,
                bound,
                unit,
            });
        };
        if route.name == PARQUET {
            let bound = Bound::AtMost(AGAINST_LOCAL);
            add("CPU, against a local file's", cpu(route), bound, "×");
        }
        // Where the peer is not run at all, there is nothing to hold against it.
        let has_peer = route.results.iter().any(|r| r.role == Role::Reference);
        if route.name == RECORDS && has_peer {
            let bound = Bound::AtLeast(TIMES_THE_STREAM);
            let value = times_the_stream(route).unwrap_or(f64::NAN);
            add(
                "records a second, against dataknobs-data's stream",
                value,
                bound,
                "×",
            );
        }
        let rounds = ours.rounds.as_ref();
        let peak = rounds.map_or(f64::NAN, |r| figures::median(r.iter().map(figures::mib)));
        add("peak memory", peak, Bound::AtMost(MEMORY_MIB), "MiB");
    }
    targets
}

fn cpu(route: &Route) -> f64 {
    let both = route.of(Role::Plain).zip(route.of(Role::Reference));
    both.map_or(f64::NAN, |((_, of), (_, to))| {
        figures::ratio(of, to, figures::cpu)
    })
}

/// How many times the records a second of dataknobs-data's stream, the median of the rounds. All of
/// our run counts; from theirs goes what it takes to start, as a run over a single record shows it.
pub fn times_the_stream(route: &Route) -> Option<f64> {
    let (records, ours) = route.of(Role::Plain)?;
    let theirs = stream(route)?;
    let each = ours.iter().zip(theirs);
    Some(figures::median(
        each.map(|(ours, theirs)| rate(records, ours) / theirs),
    ))
}

/// Records a second of dataknobs-data's stream in each round, of the release whose stream is the
/// fastest. A release's start stands right after it.
pub fn stream(route: &Route) -> Option<Vec<f64>> {
    let each = route.results.iter().zip(route.results.iter().skip(1));
    let each = each.filter(|(stream, _)| stream.role == Role::Reference);
    let rates = each.filter_map(|(stream, start)| rates(stream, start));
    rates.max_by(|a, b| middle(a).total_cmp(&middle(b)))
}

fn rates(stream: &Result, start: &Result) -> Option<Vec<f64>> {
    let rate = |(of, start): (&Usage, &Usage)| {
        let without = figures::wall(of) - figures::wall(start);
        (stream.records - 1) as f64 / without.max(0.001)
    };
    let each = stream.rounds.as_ref().ok()?.iter();
    Some(each.zip(start.rounds.as_ref().ok()?).map(rate).collect())
}

fn middle(rates: &[f64]) -> f64 {
    figures::median(rates.iter().copied())
}

/// Records a second on the wall, from start to end.
pub fn rate(records: u64, usage: &Usage) -> f64 {
    records as f64 / figures::wall(usage).max(0.001)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{result, route_of};
    use super::*;

    fn value(route: Route, name: &str) -> Option<f64> {
        let mut targets = all(&[route]).into_iter();
        targets.find(|t| t.name.contains(name)).map(|t| t.value)
    }

    #[test]
    fn the_stream_is_measured_without_its_start_and_we_with_ours() {
        let results = vec![
            result("dkhost", Role::Plain, 2_000, 1_000),
            result("theirs", Role::Reference, 1_001, 12_000),
            result("theirs, one", Role::Peer, 1, 2_000),
            result("their newest", Role::Reference, 1_001, 41_000),
            result("their newest, one", Role::Peer, 1, 1_000),
        ];
        assert_eq!(value(route_of(RECORDS, results), "stream"), Some(20.0));
    }

    #[test]
    fn a_stream_that_failed_leaves_the_target_open_and_one_not_asked_for_none() {
        let ours = || result("dkhost", Role::Plain, 2_000, 1_000);
        let mut failed = result("theirs", Role::Reference, 2_000, 1_000);
        failed.rounds = Err("no".to_owned());
        let with = route_of(RECORDS, vec![ours(), failed]);
        assert!(value(with, "stream").is_some_and(f64::is_nan));
        assert_eq!(value(route_of(RECORDS, vec![ours()]), "stream"), None);
    }

    #[test]
    fn the_bucket_is_held_against_the_local_file_and_memory_against_its_bound() {
        let results = || {
            vec![
                result("dkhost", Role::Plain, 500, 1_200),
                result("local", Role::Reference, 500, 1_000),
            ]
        };
        assert_eq!(value(route_of(PARQUET, results()), "local"), Some(1.2));
        assert_eq!(value(route_of(PARQUET, results()), "memory"), Some(8.0));
    }
}
