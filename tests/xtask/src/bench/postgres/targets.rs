//! What the project wants to reach on these routes: client CPU time as a share of a peer's, because
//! seconds would say more about the machine, and memory that does not grow with the rows.

use super::super::figures;
use super::super::routes::Role;
use super::super::targets::{Bound, Target};
use super::Route;

/// Shares of the peer's CPU seconds, from seconds that were measured on one machine.
const SHARES: [(&str, Role, f64, &str); 5] = [
    ("pg-pg", Role::Plain, 0.8 / 1.3, "ADBC's"),
    ("pg-pg", Role::WithPlugin, 1.2 / 1.3, "ADBC's"),
    ("pg-parquet", Role::Plain, 0.9 / 1.1, "ConnectorX's"),
    ("pg-jsonl", Role::Plain, 1.5 / 11.0, "Sling's"),
    ("csv-pg", Role::Plain, 0.9 / 1.15, "pyarrow + ADBC's"),
];
/// How much longer than the limit PostgreSQL → PostgreSQL may take on the wall.
const WALL: f64 = 1.2;
const MEMORY_MIB: f64 = 64.0;
const GROWTH: f64 = 1.1;

/// All of them that belong to what was measured.
pub fn all(routes: &[Route]) -> Vec<Target> {
    let mut targets = Vec::new();
    for route in routes {
        shares(route, &mut targets);
        memory(route, &mut targets);
        if route.name == "pg-pg" {
            targets.push(target(
                route,
                "wall, against the limit's".to_owned(),
                ratio(route, Role::Plain, Role::Limit, figures::wall),
                WALL,
                "×",
            ));
        }
    }
    for route in routes {
        targets.extend(growth(route, routes));
    }
    targets
}

fn shares(route: &Route, targets: &mut Vec<Target>) {
    // Where the peer is not run at all, there is nothing to hold against it.
    let has_peer = route.results.iter().any(|r| r.role == Role::Reference);
    for (_, role, bound, whose) in SHARES
        .iter()
        .filter(|(name, ..)| *name == route.name && has_peer)
    {
        let with = match role {
            Role::WithPlugin => "CPU with the plugin",
            _ => "CPU",
        };
        targets.push(target(
            route,
            format!("{with}, against {whose}"),
            ratio(route, *role, Role::Reference, figures::cpu),
            *bound,
            "×",
        ));
    }
}

fn memory(route: &Route, targets: &mut Vec<Target>) {
    for (role, what) in [
        (Role::Plain, "peak memory"),
        (Role::WithPlugin, "peak memory with the plugin"),
    ] {
        if route.results.iter().any(|result| result.role == role) {
            let value = peak(route, role).unwrap_or(f64::NAN);
            targets.push(target(route, what.to_owned(), value, MEMORY_MIB, "MiB"));
        }
    }
}

/// Memory on the most rows against this route's.
fn growth(route: &Route, routes: &[Route]) -> Option<Target> {
    let same = routes.iter().filter(|other| other.name == route.name);
    let most = same.max_by_key(|route| route.rows)?;
    let peaks = peak(route, Role::Plain).zip(peak(most, Role::Plain));
    (most.rows > route.rows).then(|| Target {
        name: format!(
            "{}: memory, {} rows against {}",
            route.name, most.rows, route.rows
        ),
        value: peaks.map_or(f64::NAN, |(few, many)| many / few),
        bound: Bound::AtMost(GROWTH),
        unit: "×",
    })
}

fn peak(route: &Route, role: Role) -> Option<f64> {
    let rounds = route.of(role)?;
    Some(figures::median(rounds.iter().map(figures::mib)))
}

fn ratio(
    route: &Route,
    of: Role,
    to: Role,
    quantity: fn(&super::super::measure::Usage) -> f64,
) -> f64 {
    let both = route.of(of).zip(route.of(to));
    both.map_or(f64::NAN, |(of, to)| figures::ratio(of, to, quantity))
}

fn target(route: &Route, what: String, value: f64, bound: f64, unit: &'static str) -> Target {
    Target {
        name: format!("{}, {} rows: {what}", route.name, route.rows),
        value,
        bound: Bound::AtMost(bound),
        unit,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::measure::Usage;
    use super::super::Result;
    use super::*;

    fn result(role: Role, cpu_ms: u64) -> Result {
        let usage = Usage {
            wall: Duration::from_millis(cpu_ms),
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes: 40 << 20,
            server: None,
        };
        Result {
            name: String::new(),
            role,
            rounds: Ok(vec![usage]),
        }
    }

    #[test]
    fn a_peer_that_failed_leaves_the_target_open_and_one_not_asked_for_none() {
        let mut route = Route {
            name: "pg-jsonl",
            rows: 10,
            results: vec![result(Role::Plain, 100), result(Role::Reference, 1000)],
        };
        let of_cpu = |route: Route| {
            let targets = all(&[route]);
            targets
                .into_iter()
                .find(|target| target.name.contains("Sling"))
        };
        let reached = |target: Option<Target>| target.map(|target| target.is_reached());
        route.results.push(Result {
            name: String::new(),
            role: Role::Peer,
            rounds: Err("no".to_owned()),
        });
        assert_eq!(reached(of_cpu(route)), Some(true));
        let failed = Result {
            rounds: Err("no".to_owned()),
            ..result(Role::Reference, 0)
        };
        let route = |results| Route {
            name: "pg-jsonl",
            rows: 10,
            results,
        };
        assert_eq!(
            reached(of_cpu(route(vec![result(Role::Plain, 100), failed]))),
            Some(false)
        );
        assert_eq!(reached(of_cpu(route(vec![result(Role::Plain, 100)]))), None);
    }
}
