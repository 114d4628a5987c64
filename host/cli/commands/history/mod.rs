//! `dkhost history`: runs, or one run with everything the history knows about it.

mod one;

use dkhost_core::Result;
use dkhost_engine::history::{RunRecord, Status};
use serde_json::{Value, json};

use super::look;
use crate::args::StateArgs;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, count, duration};

/// Lists runs, or shows one.
pub fn history(
    named: Option<&str>,
    limit: u32,
    state: &StateArgs,
    screen: &mut Screen,
) -> Result<i32> {
    let looked = look(named, state)?;
    if let Some(run) = &looked.run {
        let record = looked.history.find(Some(run))?;
        let letters = looked.history.count_letters(&record.id)?;
        match screen.json {
            true => screen.object(&one::object(&record, letters))?,
            false => screen.line(one::lines(&record, letters, screen.paint).join("\n"))?,
        }
        return Ok(0);
    }
    let records = looked.history.runs(looked.job.as_deref(), limit)?;
    if screen.json {
        for record in &records {
            screen.object(&summary(record))?;
        }
    } else if records.is_empty() {
        screen.line("no runs yet")?;
    } else {
        screen.line(list(&records, screen.paint).join("\n"))?;
        if records.len() == limit as usize {
            screen.line(screen.paint.dim("older runs: --limit N"))?;
        }
    }
    Ok(0)
}

/// A run for programs: what the list shows.
fn summary(record: &RunRecord) -> Value {
    let mut object = json!({
        "run": record.id,
        "job": record.job,
        "kind": record.kind,
        "status": record.status,
        "exit_code": record.exit_code,
        "epoch": record.epoch,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "duration_ms": record.busy_ms,
        "cpu_ms": record.cpu_ms,
        "delivery": record.delivery,
        "counts": record.counts(),
    });
    if let Some(message) = &record.message {
        object["message"] = json!(message);
    }
    object
}

fn list(records: &[RunRecord], paint: Paint) -> Vec<String> {
    let mut table = Table::default();
    let names = [
        "run", "job", "status", "started", "took", "read", "written", "refused",
    ];
    table.row(names.iter().enumerate().map(|(index, name)| {
        let heading = Cell::new(*name).painted(|text| paint.dim(text));
        if index >= 4 { heading.right() } else { heading }
    }));
    for record in records {
        let counts = record.counts();
        let kind = if record.kind == "run" {
            String::new()
        } else {
            format!(" ({})", escape(&record.kind))
        };
        table.row([
            Cell::new(escape(&record.id)),
            Cell::new(format!("{}{kind}", escape(&record.job))),
            status(record, paint),
            Cell::new(moment(&record.started_at)),
            Cell::new(duration(record.busy_ms)).right(),
            Cell::new(count(counts.read)).right(),
            Cell::new(count(counts.rows_written)).right(),
            Cell::new(count(counts.dead_lettered + counts.skipped)).right(),
        ]);
    }
    table.lines()
}

fn status(record: &RunRecord, paint: Paint) -> Cell {
    let word = Cell::new(record.status.word());
    match record.status {
        Status::Done if record.exit_code == Some(0) => word.painted(|text| paint.green(text)),
        Status::Done | Status::Stopped | Status::Running => word.painted(|text| paint.yellow(text)),
        Status::Failed => word.painted(|text| paint.red(text)),
        Status::Abandoned => word.painted(|text| paint.dim(text)),
    }
}

/// `2026-01-31 12:00:00` of an RFC 3339 moment in UTC.
pub(super) fn moment(at: &str) -> String {
    let seconds = at.get(..19).unwrap_or(at);
    escape(seconds).replace('T', " ")
}
