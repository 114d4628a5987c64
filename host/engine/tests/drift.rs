//! `schema_drift`: what the frozen schema cannot hold is kept, refused or dropped as told.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::*;

/// `n` is declared as int64; record 1 holds a text there, and record 2 a field nobody declared.
const RECORDS: &str = r#"[{"id":0,"n":1},{"id":1,"n":"two"},{"id":2,"n":3,"more":true}]"#;

fn drifting(table: &str, documents: bool, drift: &str, steps: &str) -> String {
    let toml = job(
        table,
        RECORDS,
        &format!(
            "documents = {documents}\n[run]\nverify = \"full\"\nschema_drift = \"{drift}\"\non_error = \"dead-letter\"\n{steps}"
        ),
    );
    toml.replace(
        "[target]",
        "infer = 1\nfields = { id = \"int64\", n = \"int64\" }\n[target]",
    )
}

fn outcome(
    table: &str,
    documents: bool,
    drift: &str,
    steps: &str,
) -> (Vec<String>, u64, u64, Option<&'static str>) {
    let ended = World::new()
        .run(&drifting(table, documents, drift, steps))
        .unwrap();
    let error = ended.error.as_ref().map(|error| error.code());
    (
        rows(table),
        ended.report.counts.dead_lettered,
        ended.report.values_discarded,
        error,
    )
}

#[test]
fn a_document_target_takes_everything_as_it_is() {
    let (rows, refused, discarded, error) = outcome("drift-documents", true, "freeze", "");
    assert_eq!((refused, discarded, error), (0, 0, None));
    assert!(
        rows[1].contains("two") && rows[2].contains("more"),
        "{rows:?}"
    );
}

#[test]
fn a_misfit_in_a_column_that_a_step_reads_never_passes_as_null() {
    let step = "[[steps]]\nset = { double = \"n * 2\" }";
    assert_eq!(
        outcome("drift-read", true, "freeze", step).3,
        Some("drift::type_mismatch")
    );
    let (rows, refused, ..) = outcome("drift-read-row", true, "discard_row", step);
    assert_eq!((rows.len(), refused), (2, 1));
}

#[test]
fn frozen_stops_before_a_table() {
    assert_eq!(
        outcome("drift-freeze", false, "freeze", "").3,
        Some("drift::type_mismatch")
    );
    assert!(rows("drift-freeze").is_empty());
}

#[test]
fn discard_row_keeps_dead_letters() {
    let (rows, refused, discarded, error) = outcome("drift-row", false, "discard_row", "");
    assert_eq!((rows.len(), refused, discarded, error), (1, 2, 0, None));
}

#[test]
fn discard_value_drops_and_counts_the_value() {
    let (rows, refused, discarded, error) = outcome("drift-value", false, "discard_value", "");
    assert_eq!((rows.len(), refused, discarded, error), (3, 0, 2, None));
}

#[test]
fn evolve_adds_the_column() {
    let (rows, refused, _, error) = outcome("drift-evolve", false, "evolve", "");
    assert_eq!(
        (rows.len(), refused, error),
        (2, 1, None),
        "the misfit of a known column is still refused"
    );
    assert!(rows[1].contains(r#""more":true"#), "{rows:?}");
}
