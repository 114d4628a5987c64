//! Types: each alone with its extremes, and all side by side.

use std::collections::HashSet;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use super::compare::same_rows;
use super::trial::{Trial, outcomes, scan};
use super::values::{extremes, held_types, typed};
use super::{Failure, Fixture, Verdict, ensure};
use crate::{Field, LogicalType, Outcome, Schema, WriteReport};

pub(super) fn every_type_comes_back(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    let mut failures = Vec::new();
    for logical in held_types() {
        let verdict = match traits.cannot_hold.contains(&logical) {
            true => is_refused(fixture, &logical),
            false => comes_back(fixture, &logical),
        };
        if let Err(Failure(why)) = verdict {
            failures.push(format!("{logical}: {why}"));
        }
    }
    ensure(failures.is_empty(), || failures.join("\n  "))
}

/// The plan says that values may change, or there is no plan.
fn is_refused(fixture: &dyn Fixture, logical: &LogicalType) -> Verdict {
    let (schema, _) = typed(logical, &[])?;
    match Trial::new(fixture, &schema).open_target() {
        Err(_) => Ok(()),
        Ok(sink) => ensure(lossy(sink.plan(), "value"), || {
            "the fixture says it cannot be held, but the plan does not call it lossy".to_owned()
        }),
    }
}

fn lossy(plan: &crate::TargetPlan, name: &str) -> bool {
    plan.columns
        .iter()
        .any(|column| column.name == name && column.lossy.is_some())
}

fn comes_back(fixture: &dyn Fixture, logical: &LogicalType) -> Verdict {
    let texts = extremes(logical);
    let (schema, records) = typed(logical, &texts)?;
    let trial = Trial::new(fixture, &schema);
    let mut open = trial.start(0, 0)?;
    ensure(!lossy(open.sink.plan(), "value"), || {
        "the plan calls it lossy".to_owned()
    })?;
    let report = open.write(&records)?;
    let outcomes = outcomes(&report, records.num_rows());
    only_declared_are_rejected(fixture, logical, &texts, &report, &outcomes)?;
    let kept: BooleanArray = outcomes
        .iter()
        .map(|o| Some(*o == Outcome::Written))
        .collect();
    let expected = [filter_record_batch(&records, &kept)?];
    open.commit(false)?;
    same_rows("scan before publish", &expected, &open.scan()?)?;
    open.finish()?;
    trial.reads_as("source", &expected, true)
}

/// The values that are rejected are those the fixture names.
fn only_declared_are_rejected(
    fixture: &dyn Fixture,
    logical: &LogicalType,
    texts: &[String],
    report: &WriteReport,
    outcomes: &[Outcome],
) -> Verdict {
    let rejected: HashSet<&str> = texts
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Rejected)
        .map(|(text, _)| text.as_str())
        .collect();
    let name = logical.to_string();
    let declared: HashSet<&str> = fixture
        .traits()
        .rejects
        .iter()
        .filter(|(kind, _)| *kind == name)
        .map(|(_, text)| *text)
        .collect();
    ensure(rejected == declared, || {
        format!(
            "rejects {rejected:?} where the fixture says {declared:?}: {:?}",
            report.rejects
        )
    })
}

pub(super) fn types_side_by_side(fixture: &dyn Fixture) -> Verdict {
    let traits = fixture.traits();
    let held = held_types()
        .into_iter()
        .filter(|logical| !traits.cannot_hold.contains(logical));
    let mut fields = vec![Field {
        key: Some(0),
        nullable: false,
        ..Field::new("id", LogicalType::Int64)
    }];
    let mut columns = Vec::new();
    for logical in held {
        // The first two of each, then nulls; values a target may reject come later in the list.
        let texts: Vec<String> = extremes(&logical).into_iter().take(2).collect();
        let (_, records) = typed(&logical, &texts)?;
        let name = format!("a {logical}").replace(['(', ')', ',', '/'], "_");
        fields.push(Field::new(name, logical));
        if columns.is_empty() {
            columns.push(records.column(0).clone());
        }
        columns.push(records.column(1).clone());
    }
    let rows = columns.iter().map(|column| column.len()).min().unwrap_or(0);
    let columns = columns.iter().map(|column| column.slice(0, rows)).collect();
    let schema = Schema::new(fields);
    let records = RecordBatch::try_new(schema.to_arrow(), columns)?;
    let trial = Trial::new(fixture, &schema);
    trial.load(std::slice::from_ref(&records))?;
    let expected = [records];
    // A later run under insert finds the rows where a target is added to.
    if traits.conflicts.contains(&crate::Conflict::Insert) {
        let sink = trial.open_target()?;
        trial.claim(sink.as_ref(), 0)?;
        same_rows("scan after publish", &expected, &scan(sink.as_ref())?)?;
    }
    trial.reads_as("source", &expected, true)
}
