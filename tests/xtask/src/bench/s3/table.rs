//! The figures of these routes, as a Markdown table and as JSON.

use std::fmt::Write as _;

use super::super::figures;
use super::super::json::Json;
use super::super::machine;
use super::super::measure::Usage;
use super::super::postgres::brief;
use super::super::routes::Role;
use super::super::table::{entry, middle, of_server};
use super::routes::RECORDS;
use super::{Measured, Result, Route, targets};

/// A row for every contender, and what bounds the objects of a second.
pub fn markdown(measured: &Measured) -> String {
    if measured.routes.is_empty() {
        return String::new();
    }
    let mut text = "\nFrom and to S3; the servers run on the same machine, and their CPU time is one figure.\n\n\
         | route | records | | CPU s | × reference, a record | servers' CPU s | wall s | records/s | peak MiB |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for route in &measured.routes {
        for result in &route.results {
            text.push_str(&row(route, result));
        }
    }
    for route in measured.routes.iter().filter(|route| route.name == RECORDS) {
        text.push_str(&bound(route, machine::cores()).unwrap_or_default());
    }
    text
}

fn row(route: &Route, result: &Result) -> String {
    let mut text = format!("| {} | {} | {} |", route.name, result.records, result.name);
    let _ = match &result.rounds {
        Ok(rounds) => writeln!(
            text,
            " {:.2} | {} | {} | {:.2} | {} | {:.0} |",
            middle(rounds, figures::cpu),
            against(route, result.records, rounds),
            of_server(rounds),
            middle(rounds, figures::wall),
            // A single record shows how long a start is, and nothing of a rate.
            match result.records {
                1 => "–".to_owned(),
                records => format!("{:.0}", rate(rounds, records)),
            },
            middle(rounds, figures::mib),
        ),
        Err(why) => writeln!(text, " no figure: {} | | | | | |", brief(why)),
    };
    text
}

/// CPU time of a record, as a multiple of the reference's.
fn against(route: &Route, records: u64, rounds: &[Usage]) -> String {
    match route.of(Role::Reference) {
        Some((of_reference, to)) if records > 1 => {
            let whole = figures::ratio(rounds, to, figures::cpu);
            format!("{:.2}", whole * of_reference as f64 / records as f64)
        }
        _ => "–".to_owned(),
    }
}

fn rate(rounds: &[Usage], records: u64) -> f64 {
    figures::median(rounds.iter().map(|usage| targets::rate(records, usage)))
}

/// What the server takes for the objects alone, and how many times the stream's rate a client could
/// reach that cost nothing.
fn bound(route: &Route, cores: usize) -> Option<String> {
    let (records, ours) = route.of(Role::Plain)?;
    let stream = figures::median(targets::stream(route)?);
    let times = targets::times_the_stream(route)?;
    let server = middle(ours, figures::server);
    let most = records as f64 * cores as f64 / server;
    Some(format!(
        "\nWhat bounds the objects: the server spends {:.2} ms of CPU on each, which on {cores} cores is at most \
         {most:.0} a second if the client cost nothing, {:.1} × the {stream:.0} of dataknobs-data's stream without \
         its start; measured {times:.1} ×.\n",
        server * 1e3 / records as f64,
        most / stream,
    ))
}

/// An entry for every contender, of the same shape as the other routes'.
pub fn json(measured: &Measured) -> Vec<Json> {
    let routes = measured.routes.iter();
    let entries = routes.flat_map(|route| {
        let results = route.results.iter();
        results.map(move |of| entry(route.name, of.records, &of.name, &of.rounds))
    });
    entries.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub fn result(name: &str, role: Role, records: u64, ms: u64) -> Result {
        let usage = Usage {
            wall: Duration::from_millis(ms),
            cpu: Duration::from_millis(ms),
            memory_bytes: 8 << 20,
            server: Some(Duration::from_millis(500)),
        };
        Result {
            name: name.to_owned(),
            role,
            records,
            rounds: Ok(vec![usage]),
        }
    }

    pub fn route_of(name: &'static str, results: Vec<Result>) -> Route {
        Route { name, results }
    }

    #[test]
    fn the_rate_stands_beside_what_the_server_lets_anybody_reach() {
        let results = vec![
            result("dkhost", Role::Plain, 2_000, 800),
            result("theirs", Role::Reference, 1_001, 12_000),
            result("theirs, one", Role::Peer, 1, 2_000),
        ];
        let route = route_of(RECORDS, results);
        let said = bound(&route, 2).unwrap();
        assert!(said.contains("0.25 ms of CPU on each"), "{said}");
        assert!(said.contains("at most 8000 a second"), "{said}");
        assert!(
            said.contains("80.0 × the 100 of dataknobs-data's stream"),
            "{said}"
        );
        assert!(said.ends_with("measured 25.0 ×.\n"), "{said}");
        let measured = Measured {
            peers: Vec::new(),
            routes: vec![route],
        };
        let text = markdown(&measured);
        let ours = "| records-s3 | 2000 | dkhost | 0.80 | 0.03 | 0.50 | 0.80 | 2500 | 8 |";
        let one = "| records-s3 | 1 | theirs, one | 2.00 | – | 0.50 | 2.00 | – | 8 |";
        assert!(text.contains(ours) && text.contains(one), "{text}");
        assert_eq!(json(&measured).len(), 3);
    }

    #[test]
    fn a_peer_that_is_not_there_stays_in_the_table() {
        let mut failed = result("theirs", Role::Reference, 10, 0);
        failed.rounds = Err("pip said\nerror: no such package".to_owned());
        let results = vec![result("dkhost", Role::Plain, 10, 100), failed];
        let measured = Measured {
            peers: Vec::new(),
            routes: vec![route_of(RECORDS, results)],
        };
        let text = markdown(&measured);
        assert!(
            text.contains("| theirs | no figure: error: no such package |"),
            "{text}"
        );
        assert!(!text.contains("What bounds"), "{text}");
    }
}
