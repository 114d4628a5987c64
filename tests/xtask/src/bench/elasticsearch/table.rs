//! The figures of these routes, as a Markdown table and as JSON.

use std::fmt::Write as _;

use super::super::figures::{self, Rounds};
use super::super::json::Json;
use super::super::measure::Usage;
use super::super::postgres::brief;
use super::super::routes::Role;
use super::super::table::{entry, middle, of_server};
use super::{Measured, Result, Route};

/// A row for every contender.
pub fn markdown(measured: &Measured) -> String {
    if measured.routes.is_empty() {
        return String::new();
    }
    let mut text = "\nFrom and to Elasticsearch; the server runs on the same machine.\n\n\
         | route | documents | | CPU s | × elasticdump | server CPU s | wall s | × elasticdump | peak MiB |\n\
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
    let mut text = format!("| {} | {} | {} |", route.name, route.documents, result.name);
    let _ = match &result.rounds {
        Ok(rounds) => writeln!(
            text,
            " {:.2} | {} | {} | {:.2} | {} | {:.0} |",
            middle(rounds, figures::cpu),
            against(route, rounds, figures::cpu),
            of_server(rounds),
            middle(rounds, figures::wall),
            against(route, rounds, figures::wall),
            middle(rounds, figures::mib),
        ),
        Err(why) => writeln!(text, " no figure: {} | | | | | |", brief(why)),
    };
    text
}

fn against(route: &Route, rounds: &Rounds, quantity: fn(&Usage) -> f64) -> String {
    route.of(Role::Reference).map_or_else(
        || "–".to_owned(),
        |to| format!("{:.3}", figures::ratio(rounds, to, quantity)),
    )
}

/// An entry for every contender, of the same shape as the other routes'.
pub fn json(measured: &Measured) -> Vec<Json> {
    let routes = measured.routes.iter();
    let entries = routes.flat_map(|route| {
        let results = route.results.iter();
        results.map(move |of| entry(route.name, route.documents, &of.name, &of.rounds))
    });
    entries.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub fn result(name: &str, role: Role, ms: u64) -> Result {
        let usage = Usage {
            wall: Duration::from_millis(ms),
            cpu: Duration::from_millis(ms),
            memory_bytes: 8 << 20,
            server: Some(Duration::from_millis(500)),
        };
        Result {
            name: name.to_owned(),
            role,
            rounds: Ok(vec![usage]),
        }
    }

    pub fn route_of(name: &'static str, results: Vec<Result>) -> Route {
        Route {
            name,
            documents: 500,
            results,
        }
    }

    #[test]
    fn a_peer_that_is_not_there_stays_in_the_table() {
        let mut failed = result("theirs", Role::Reference, 0);
        failed.rounds = Err("npm said\nerror: no such package".to_owned());
        let ours = || result("dkhost", Role::Plain, 100);
        let measured = Measured {
            peers: Vec::new(),
            routes: vec![
                route_of("a", vec![ours(), result("theirs", Role::Reference, 800)]),
                route_of("b", vec![ours(), failed]),
            ],
        };
        let text = markdown(&measured);
        let with = "| a | 500 | dkhost | 0.10 | 0.125 | 0.50 | 0.10 | 0.125 | 8 |";
        let without = "| b | 500 | dkhost | 0.10 | – | 0.50 | 0.10 | – | 8 |";
        let missing = "| theirs | no figure: error: no such package |";
        for line in [with, without, missing] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(json(&measured).len(), 4);
    }
}
