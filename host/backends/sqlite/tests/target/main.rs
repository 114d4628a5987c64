//! Batches in; tables out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod conflicts;
mod refusals;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod tables;

use dkhost_core::{Class, Conflict, Schema};
use serde_json::json;
use support::{Folder, Run, fates, rows, schema};

type Cells<'a> = &'a [&'a [Option<&'a str>]];

/// Writes one batch in a run of its own; its fates and the codes of its rejects.
fn load(
    folder: &Folder,
    schema: &Schema,
    conflict: Conflict,
    run: u32,
    cells: Cells<'_>,
) -> (String, Vec<String>) {
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), schema, conflict)
            .unwrap(),
        run,
    );
    let report = run.write(&rows(schema, cells));
    run.commit();
    run.finish();
    let rejects = report.rejects.iter().map(|r| {
        format!(
            "{} {} {}",
            r.row,
            r.code,
            r.column.as_deref().unwrap_or("-")
        )
    });
    (fates(&report, cells.len()), rejects.collect())
}

/// The code, message and help of the error of opening `t`.
fn refused(folder: &Folder, fields: &[&str], conflict: Conflict) -> String {
    let error = folder
        .sink(json!({"table": "t"}), &schema(fields), conflict)
        .err()
        .expect("a refusal");
    assert_eq!(error.class(), Class::Config);
    format!(
        "{}: {error}; {}",
        error.code(),
        error.help_text().unwrap_or("")
    )
}

fn definition(folder: &Folder) -> String {
    folder
        .db()
        .query_row(
            "SELECT group_concat(sql, '; ') FROM sqlite_schema WHERE sql NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap()
}
