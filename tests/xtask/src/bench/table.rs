//! What is printed and what is kept: the same figures as Markdown tables and as JSON.

use std::fmt::Write as _;

use super::figures::{self, Rounds};
use super::json::Json;
use super::measure::Usage;
use super::routes::{Role, Route};
use super::targets::{Bound, Target};
use super::{Measured, elasticsearch, machine, postgres, s3, schemas};
use crate::shell::Outcome;

/// The tables.
pub fn markdown(measured: &Measured, targets: &[Target]) -> String {
    let model = machine::model();
    let mut text = format!("\n{model}, median of {} rounds\n", measured.runs);
    text.push_str(&of_files(measured));
    text.push_str(&postgres::markdown(&measured.postgres));
    text.push_str(&elasticsearch::markdown(&measured.elasticsearch));
    text.push_str(&s3::markdown(&measured.s3));
    text.push_str(&schemas::markdown(&measured.schemas));
    text.push_str(&of_targets(targets));
    if let Some(parallel) = &measured.parallel {
        let cores = machine::cores();
        let _ = writeln!(
            text,
            "\nWhat bounds `parallel = 2`: one partition alone keeps {:.2} of {cores} cores busy \
             (CPU s ÷ wall s), which leaves at most {:.2} × for a second one; measured {:.2} ×.",
            parallel.busy_cores(),
            parallel.bound(cores),
            parallel.gain(),
        );
    }
    text
}

fn of_files(measured: &Measured) -> String {
    if measured.routes.is_empty() {
        return String::new();
    }
    let mut text = "\n| route | rows | | CPU s | × reference | × dkhost | wall s | peak MiB |\n\
         |---|--:|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (route, usages) in &measured.routes {
        for (contender, of_one) in route.contenders.iter().zip(usages) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} | {} | {} | {:.2} | {:.0} |",
                route.name,
                route.rows,
                contender.name,
                middle(of_one, figures::cpu),
                against(of_one, route.place(Role::Reference), usages),
                against(of_one, route.place(Role::Plain), usages),
                middle(of_one, figures::wall),
                middle(of_one, figures::mib),
            );
        }
    }
    if let Some(stage) = &measured.stage {
        let _ = writeln!(
            text,
            "\nThe plugin's stage alone: {:.0} ns of CPU per record as a component, {:.0} ns natively.",
            figures::median(stage.component.iter().copied()),
            figures::median(stage.native.iter().copied()),
        );
    }
    if let Some((theirs, ours)) = dataknobs(measured) {
        let _ = writeln!(
            text,
            "Records of 10 fields into SQLite: {theirs:.0} µs of CPU each through dataknobs-data, \
             {ours:.2} µs through dkhost: {:.0}×.",
            theirs / ours,
        );
    }
    text
}

fn of_targets(targets: &[Target]) -> String {
    let mut text = "\n| target | | measured | |\n|---|--:|--:|---|\n".to_owned();
    for target in targets {
        let (word, bound) = match target.bound {
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        let unit = target.unit;
        let _ = writeln!(
            text,
            "| {} | {word} {} {unit} | {} | {} |",
            target.name,
            (bound * 1e3).round() / 1e3,
            match target.value.is_nan() {
                true => "no figure".to_owned(),
                false => format!("{:.2} {unit}", target.value),
            },
            if target.is_reached() {
                "reached"
            } else {
                "MISSED"
            },
        );
    }
    text
}

/// The figures with every round, for another look later.
pub fn json(measured: &Measured, targets: &[Target]) -> Json {
    let mut members = vec![
        ("machine", machine::description()),
        ("dkhost", Json::Text(env!("CARGO_PKG_VERSION").to_owned())),
        (
            "peers",
            Json::List(peers(measured).cloned().map(Json::Text).collect()),
        ),
        ("routes", Json::List(routes(measured))),
    ];
    if let Some(stage) = &measured.stage {
        let numbers =
            |values: &[f64]| Json::List(values.iter().copied().map(Json::Number).collect());
        members.push(("stage_component_ns", numbers(&stage.component)));
        members.push(("stage_native_ns", numbers(&stage.native)));
    }
    if let Some(start) = &measured.start {
        members.push(("start_cpu_s", each(start, figures::cpu)));
    }
    if let Some(parallel) = &measured.parallel {
        let bound = parallel.bound(machine::cores());
        members.push(("parallel_1_wall_s", each(&parallel.one, figures::wall)));
        members.push(("parallel_1_cpu_s", each(&parallel.one, figures::cpu)));
        members.push(("parallel_2_wall_s", each(&parallel.two, figures::wall)));
        members.push(("parallel_bound", Json::Number(bound)));
    }
    if let Some((theirs, _)) = dataknobs(measured) {
        members.push(("dataknobs_record_us", Json::Number(theirs)));
    }
    let targets = targets.iter().map(|target| {
        let (word, bound) = match target.bound {
            Bound::AtMost(bound) => ("at_most", bound),
            Bound::AtLeast(bound) => ("at_least", bound),
        };
        Json::Object(vec![
            ("name", Json::Text(target.name.clone())),
            ("unit", Json::Text(target.unit.to_owned())),
            ("value", Json::Number(target.value)),
            (word, Json::Number(bound)),
            ("reached", Json::Bool(target.is_reached())),
        ])
    });
    members.push(("targets", Json::List(targets.collect())));
    Json::Object(members)
}

fn routes(measured: &Measured) -> Vec<Json> {
    let one = |route: &Route, usages: &[Rounds]| {
        let each_of = route.contenders.iter().zip(usages);
        each_of
            .map(|(contender, usages)| {
                Json::Object(vec![
                    ("route", Json::Text(route.name.to_owned())),
                    ("rows", Json::Number(route.rows as f64)),
                    ("contender", Json::Text(contender.name.clone())),
                    ("cpu_s", each(usages, figures::cpu)),
                    ("wall_s", each(usages, figures::wall)),
                    ("peak_mib", each(usages, figures::mib)),
                ])
            })
            .collect::<Vec<_>>()
    };
    let routes = measured.routes.iter();
    routes
        .flat_map(|(route, usages)| one(route, usages))
        .chain(postgres::json(&measured.postgres))
        .chain(elasticsearch::json(&measured.elasticsearch))
        .chain(s3::json(&measured.s3))
        .chain(schemas::json(&measured.schemas))
        .collect()
}

fn peers(measured: &Measured) -> impl Iterator<Item = &String> {
    let of_files = measured.peers.iter();
    of_files
        .chain(&measured.postgres.peers)
        .chain(&measured.elasticsearch.peers)
        .chain(&measured.s3.peers)
}

/// Microseconds of a record through dataknobs-data and through dkhost, both into SQLite.
fn dataknobs(measured: &Measured) -> Option<(f64, f64)> {
    let theirs = measured.dataknobs_us?;
    let to_sqlite = |(route, _): &&(Route, Vec<Rounds>)| route.name == "json-sqlite";
    let (route, usages) = measured.routes.iter().find(to_sqlite)?;
    let ours = middle(&usages[route.place(Role::Plain)?], figures::cpu);
    Some((theirs, ours * 1e6 / route.rows as f64))
}

/// What a contender of a route with servers cost, or why there is no figure: of the same shape as the
/// other routes', and two members more.
pub fn entry(route: &str, rows: u64, contender: &str, rounds: &Outcome<Rounds>) -> Json {
    let mut members = vec![
        ("route", Json::Text(route.to_owned())),
        ("rows", Json::Number(rows as f64)),
        ("contender", Json::Text(contender.to_owned())),
    ];
    match rounds {
        Ok(rounds) => members.extend([
            ("cpu_s", each(rounds, figures::cpu)),
            ("server_cpu_s", each(rounds, figures::server)),
            ("wall_s", each(rounds, figures::wall)),
            ("peak_mib", each(rounds, figures::mib)),
        ]),
        Err(why) => members.push(("no_figure", Json::Text(why.clone()))),
    }
    Json::Object(members)
}

/// The servers' CPU seconds, which not every system tells.
pub fn of_server(rounds: &[Usage]) -> String {
    match middle(rounds, figures::server) {
        told if told.is_nan() => "–".to_owned(),
        told => format!("{told:.2}"),
    }
}

/// A quantity of each round.
fn each(usages: &[Usage], quantity: fn(&Usage) -> f64) -> Json {
    Json::List(
        usages
            .iter()
            .map(|usage| Json::Number(quantity(usage)))
            .collect(),
    )
}

/// Its median.
pub fn middle(usages: &[Usage], quantity: fn(&Usage) -> f64) -> f64 {
    figures::median(usages.iter().map(quantity))
}

fn against(of_one: &[Usage], place: Option<usize>, usages: &[Rounds]) -> String {
    match place {
        Some(place) => format!(
            "{:.2}",
            figures::ratio(of_one, &usages[place], figures::cpu)
        ),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::alone::Parallel;
    use super::*;

    #[test]
    fn what_bounds_two_partitions_stands_beside_what_they_gain() {
        let usage = |wall| Usage {
            cpu: Duration::from_secs(16),
            wall: Duration::from_secs(wall),
            memory_bytes: 0,
            server: None,
        };
        let measured = Measured {
            parallel: Some(Parallel {
                one: vec![usage(10)],
                two: vec![usage(8)],
            }),
            ..Measured::default()
        };
        let target = Target {
            name: "speed".to_owned(),
            value: 1.25,
            bound: Bound::AtLeast(1.6),
            unit: "×",
        };
        let text = markdown(&measured, &[target]);
        assert!(
            text.contains("| speed | ≥ 1.6 × | 1.25 × | MISSED |"),
            "{text}"
        );
        assert!(text.contains("keeps 1.60 of "), "{text}");
        assert!(text.contains("measured 1.25 ×."), "{text}");
        assert!(json(&measured, &[]).to_string().contains("parallel_bound"));
    }

    #[test]
    fn a_target_without_a_figure_says_so() {
        let target = Target {
            name: "speed".to_owned(),
            value: f64::NAN,
            bound: Bound::AtMost(0.8 / 1.3),
            unit: "×",
        };
        let row = "| speed | ≤ 0.615 × | no figure | MISSED |";
        assert!(of_targets(&[target]).contains(row));
    }
}
