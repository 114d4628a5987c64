//! Records and a schema file in; records, and refusals with all their reasons, out.

mod coercion;
mod documents;
mod planning;
mod random;
mod rules;
mod unique;

use dkhost_core::{Error, Schema, StageKind, Step};
use dkhost_schema::SchemaVersion;

use crate::expr::Scope;
use crate::steps::rest::following;
use crate::steps::testing::{batch, input, parse, records_of};

/// `user@2.0.0` of a schema file.
fn version(toml: &str) -> SchemaVersion {
    dkhost_schema::read("user@2.0.0".parse().unwrap(), toml).unwrap()
}

/// A version of one field `v` with more lines.
fn one(logical: &str, lines: &str) -> String {
    format!("[fields.v]\ntype = \"{logical}\"\n{lines}")
}

fn bind(toml: &str, coerce: bool, schema: &Schema) -> Result<Box<dyn Step>, Error> {
    let scope = Scope::stage("here", schema);
    let step = super::build(&version(toml), coerce, &(3..9), &scope)?;
    Ok(following(step, schema))
}

/// Why a version cannot be bound, and its help.
fn refused(toml: &str, coerce: bool, schema: &Schema) -> (String, String) {
    match bind(toml, coerce, schema) {
        Ok(step) => panic!("not refused: {}", step.note().summary),
        Err(error) => {
            assert_eq!(error.place().unwrap().0, &(3..9));
            let help = error.help_text().unwrap_or_default();
            (format!("{} {error}", error.code()), help.to_owned())
        }
    }
}

/// Records in; records and refusals as `row code column message` out.
fn run(step: &dyn Step, schema: &Schema, records: &str) -> (Vec<String>, Vec<String>) {
    let input = batch(schema, records);
    let changed = step.open(0).unwrap().apply(&input).unwrap();
    let output = input.advance(changed, StageKind::Step, "here").unwrap();
    assert_eq!(output.records.schema(), step.output().to_arrow());
    let refused = output.rejects.iter().map(|reject| {
        let column = reject.column.as_deref().unwrap_or("-");
        format!(
            "{} {} {column} {}",
            reject.source_row, reject.code, reject.message
        )
    });
    let records = records_of(&output.records, step.output());
    let records = records
        .iter()
        .map(|one| serde_json::to_string(one).unwrap());
    (records.collect(), refused.collect())
}

fn check(toml: &str, coerce: bool, schema: &Schema, records: &str, good: &str, bad: &[&str]) {
    let step = bind(toml, coerce, schema).unwrap();
    let (went_on, refused) = run(step.as_ref(), schema, records);
    assert_eq!(refused, bad);
    let good = parse(good);
    let good: Vec<String> = good
        .iter()
        .map(|one| serde_json::to_string(one).unwrap())
        .collect();
    assert_eq!(went_on, good);
}

/// Values of one field that a rule takes, and refusals of those it does not.
fn check_values(logical: &str, rule: &str, good: &[&str], bad: &[(&str, &str)]) {
    let schema = input(&[("v", logical)]);
    let record = |value: &str| format!("{{\"v\":{value}}}");
    let records: Vec<String> = good.iter().map(|value| record(value)).collect();
    let (good, mut all) = (records.join(" "), records);
    all.extend(bad.iter().map(|(value, _)| record(value)));
    let refusals = bad.iter().enumerate().map(|(row, (_, why))| {
        let (code, message) = why.split_once(' ').unwrap();
        format!("{} schema::{code} v {message}", row + all.len() - bad.len())
    });
    let refusals: Vec<String> = refusals.collect();
    let refusals: Vec<&str> = refusals.iter().map(String::as_str).collect();
    check(
        &one(logical, rule),
        false,
        &schema,
        &all.join(" "),
        &good,
        &refusals,
    );
}
