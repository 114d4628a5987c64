//! What the project wants to reach on these routes: client CPU time as a share of elasticdump's,
//! because seconds would say more about the machine, and memory.

use super::super::figures;
use super::super::routes::Role;
use super::super::targets::{Bound, Target};
use super::Route;
use super::routes::{BACK, COUNTED};

/// From seconds that were measured on one machine.
const SHARE: f64 = 1.5 / 12.0;
const MEMORY_MIB: f64 = 96.0;

/// All of them that belong to what was measured.
pub fn all(routes: &[Route]) -> Vec<Target> {
    let mut targets = Vec::new();
    for route in routes {
        let mut add = |what: &str, value: f64, bound: f64, unit: &'static str| {
            targets.push(Target {
                name: format!("{}, {} documents: {what}", route.name, route.documents),
                value,
                bound: Bound::AtMost(bound),
                unit,
            });
        };
        let ours = route.of(Role::Plain);
        // Where the peer is not run at all, there is nothing to hold against it.
        let has_peer = route.results.iter().any(|r| r.role == Role::Reference);
        if has_peer && [COUNTED, BACK].contains(&route.name) {
            let both = ours.zip(route.of(Role::Reference));
            let value = both.map_or(f64::NAN, |(of, to)| figures::ratio(of, to, figures::cpu));
            add("CPU, against elasticdump's", value, SHARE, "×");
        }
        let peak = ours.map_or(f64::NAN, |r| figures::median(r.iter().map(figures::mib)));
        add("peak memory", peak, MEMORY_MIB, "MiB");
    }
    targets
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
    fn a_peer_that_failed_leaves_the_target_open_and_one_not_asked_for_none() {
        let ours = || result("dkhost", Role::Plain, 100);
        let theirs = || result("elasticdump", Role::Reference, 1_000);
        let both = route_of(COUNTED, vec![ours(), theirs()]);
        assert_eq!(value(both, "elasticdump"), Some(0.1));
        let mut failed = theirs();
        failed.rounds = Err("no".to_owned());
        let with = route_of(COUNTED, vec![ours(), failed]);
        assert!(value(with, "elasticdump").is_some_and(f64::is_nan));
        let alone = || route_of(COUNTED, vec![ours()]);
        assert_eq!(value(alone(), "elasticdump"), None);
        assert_eq!(value(alone(), "memory"), Some(8.0));
    }
}
