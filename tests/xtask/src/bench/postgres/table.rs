//! The figures of these routes, as a Markdown table and as JSON.

use std::fmt::Write as _;

use super::super::figures::{self, Rounds};
use super::super::json::Json;
use super::super::routes::Role;
use super::super::table::{entry, middle, of_server};
use super::contender::brief;
use super::{Measured, Result, Route};

/// A row for every contender.
pub fn markdown(measured: &Measured) -> String {
    if measured.routes.is_empty() {
        return String::new();
    }
    let mut text = "\nFrom and to PostgreSQL; the server runs on the same machine.\n\n\
         | route | rows | | CPU s | × limit | × best peer | server CPU s | wall s | peak MiB |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for route in &measured.routes {
        for result in &route.results {
            text.push_str(&row(route, result));
        }
    }
    text
}

fn row(route: &Route, result: &Result) -> String {
    let mut text = format!("| {} | {} | {} |", route.name, route.rows, result.name);
    let _ = match &result.rounds {
        Ok(rounds) => writeln!(
            text,
            " {:.2} | {} | {} | {} | {:.2} | {:.0} |",
            middle(rounds, figures::cpu),
            against(rounds, route.of(Role::Limit)),
            against(
                rounds,
                route.best_peer().and_then(|best| best.rounds.as_ref().ok())
            ),
            of_server(rounds),
            middle(rounds, figures::wall),
            middle(rounds, figures::mib),
        ),
        Err(why) => writeln!(text, " no figure: {} | | | | | |", brief(why)),
    };
    text
}

fn against(rounds: &Rounds, to: Option<&Rounds>) -> String {
    to.map_or_else(
        || "–".to_owned(),
        |to| format!("{:.2}", figures::ratio(rounds, to, figures::cpu)),
    )
}

/// An entry for every contender, of the same shape as the other routes', and two members more.
pub fn json(measured: &Measured) -> Vec<Json> {
    let routes = measured.routes.iter();
    let entries = routes.flat_map(|route| {
        let results = route.results.iter();
        results.map(move |of| entry(route.name, route.rows, &of.name, &of.rounds))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::measure::Usage;
    use super::*;

    fn result(name: &str, role: Role, cpu_ms: u64) -> Result {
        let usage = Usage {
            wall: Duration::from_millis(cpu_ms),
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes: 8 << 20,
            server: Some(Duration::from_millis(500)),
        };
        Result {
            name: name.to_owned(),
            role,
            rounds: Ok(vec![usage]),
        }
    }

    #[test]
    fn a_peer_that_failed_stays_in_the_table() {
        let failed = Result {
            rounds: Err("pip said\nerror: no such package".to_owned()),
            ..result("sling", Role::Reference, 0)
        };
        let route = Route {
            name: "pg-pg",
            rows: 500,
            results: vec![
                result("dkhost", Role::Plain, 800),
                result("psql", Role::Limit, 200),
                failed,
                result("other", Role::Peer, 1600),
            ],
        };
        let measured = Measured {
            peers: Vec::new(),
            routes: vec![route],
        };
        let text = markdown(&measured);
        assert!(
            text.contains("| pg-pg | 500 | dkhost | 0.80 | 4.00 | 0.50 | 0.50 | 0.80 | 8 |"),
            "{text}"
        );
        assert!(
            text.contains("| sling | no figure: error: no such package |"),
            "{text}"
        );
        assert_eq!(json(&measured).len(), 4);
    }
}
