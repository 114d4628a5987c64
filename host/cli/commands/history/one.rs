//! One run: how it stands, where its records went, its partitions, steps, plugins and remarks.

use dkhost_core::Checkpoint;
use dkhost_engine::history::{RunRecord, Window};
use serde_json::{Value, json};

use super::{moment, status};
use crate::escape::escape;
use crate::screen::Paint;
use crate::table::{Cell, Table, bytes, clip, count, duration};

/// The run for programs: everything the history holds, counts and letters beside it.
pub fn object(record: &RunRecord, (letters, open): (u64, u64)) -> Value {
    let mut object = serde_json::to_value(record).unwrap_or_default();
    object["counts"] = json!(record.counts());
    object["dead_letters"] = json!({ "all": letters, "open": open });
    object
}

/// The run for people.
pub fn lines(record: &RunRecord, letters: (u64, u64), paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(&escape(&record.job)),
        escape(&record.id)
    )];
    lines.extend(facts(record, letters, paint));
    section(&mut lines, "partitions", partitions(record, paint), paint);
    section(&mut lines, "steps", steps(record, paint), paint);
    section(&mut lines, "plugins", plugins(record, paint), paint);
    section(&mut lines, "remarks", remarks(record), paint);
    if let Some(next) = next(record, letters, paint) {
        lines.push(String::new());
        lines.push(format!("  {next}"));
    }
    lines
}

fn section(lines: &mut Vec<String>, title: &str, table: Table, paint: Paint) {
    if !table.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold(title));
        lines.extend(table.lines());
    }
}

fn facts(record: &RunRecord, (letters, open): (u64, u64), paint: Paint) -> Vec<String> {
    let mut table = Table::indented(2);
    let mut fact =
        |name: &str, cell: Cell| table.row([Cell::new(name).painted(|name| paint.dim(name)), cell]);
    fact("status", status(record, paint));
    if let Some(code) = record.exit_code {
        fact("exit code", Cell::new(code.to_string()));
    }
    if let Some(message) = &record.message {
        fact("because", Cell::new(escape(message)));
    }
    if record.kind != "run" {
        fact("kind", Cell::new(escape(&record.kind)));
    }
    fact("source", Cell::new(escape(&record.source)));
    fact("target", Cell::new(escape(&record.target)));
    fact("job file", Cell::new(escape(&record.job_path)));
    fact(
        "started",
        Cell::new(format!("{} UTC", moment(&record.started_at))),
    );
    if let Some(at) = &record.finished_at {
        fact("finished", Cell::new(format!("{} UTC", moment(at))));
    }
    fact(
        "took",
        Cell::new(format!(
            "{}, {} CPU",
            duration(record.busy_ms),
            duration(record.cpu_ms)
        )),
    );
    if let Some(cursor) = &record.cursor {
        fact("cursor", Cell::new(escape(&range(cursor))));
    }
    if record.epoch > 1 {
        fact("epoch", Cell::new(record.epoch.to_string()));
    }
    fact("delivery", Cell::new(escape(&record.delivery)));
    if letters > 0 {
        fact(
            "dead letters",
            Cell::new(format!("{}, {} open", count(letters), count(open))),
        );
    }
    fact(
        "plan",
        Cell::new(escape(
            record.plan_hash.get(..12).unwrap_or(&record.plan_hash),
        )),
    );
    table.lines()
}

/// What an incremental run reads: `at from 20 to 30`.
fn range(cursor: &Window) -> String {
    let column = &cursor.column;
    match (&cursor.from, &cursor.until) {
        (_, None) => format!("{column}, of which there was none"),
        (None, Some(until)) => format!("{column} up to {until}"),
        (Some(from), Some(until)) => format!("{column} from {from} to {until}"),
    }
}

/// Partitions shown; the rest is in `--json`.
const PARTITIONS_SHOWN: usize = 50;

fn partitions(record: &RunRecord, paint: Paint) -> Table {
    let mut table = Table::indented(2);
    let names = [
        "",
        "stands",
        "commits",
        "read",
        "rows written",
        "filtered",
        "refused",
        "bytes",
    ];
    table.row(names.iter().enumerate().map(|(index, name)| {
        let heading = Cell::new(*name).painted(|text| paint.dim(text));
        if index >= 2 { heading.right() } else { heading }
    }));
    for partition in record.partitions.iter().take(PARTITIONS_SHOWN) {
        let checkpoint = record
            .checkpoints
            .iter()
            .find(|checkpoint| checkpoint.partition == partition.index);
        let label = Cell::new(clip(&escape(&partition.label), 40));
        match checkpoint {
            None => table.row([label, Cell::new("not begun")]),
            Some(checkpoint) => table.row([label].into_iter().chain(standing(checkpoint))),
        }
    }
    let more = record.partitions.len().saturating_sub(PARTITIONS_SHOWN);
    if more > 0 {
        table.row([Cell::new(format!("and {more} more (--json shows all)"))]);
    }
    table
}

fn standing(checkpoint: &Checkpoint) -> [Cell; 7] {
    let counts = &checkpoint.counts;
    let number = |n: u64| Cell::new(count(n)).right();
    [
        Cell::new(if checkpoint.done {
            "done".to_owned()
        } else {
            at(checkpoint)
        }),
        number(checkpoint.seq),
        number(counts.read),
        number(counts.rows_written),
        number(counts.filtered),
        number(counts.dead_lettered + counts.skipped),
        Cell::new(bytes(counts.source_bytes)).right(),
    ]
}

/// Where the next batch begins, in the backend's own words.
fn at(checkpoint: &Checkpoint) -> String {
    let position = checkpoint.position.0.to_string();
    clip(&escape(&format!("at {position}")), 40)
}

fn steps(record: &RunRecord, paint: Paint) -> Table {
    let mut table = Table::indented(2);
    let stages = record
        .report
        .as_ref()
        .and_then(|report| report["stages"].as_array())
        .filter(|stages| !stages.is_empty());
    let Some(stages) = stages else { return table };
    table.row(
        ["", "rows in", "rows out", "refused", "CPU"]
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let heading = Cell::new(*name).painted(|text| paint.dim(text));
                if index >= 1 { heading.right() } else { heading }
            }),
    );
    for stage in stages {
        let number = |key: &str| stage[key].as_u64().unwrap_or(0);
        table.row([
            Cell::new(escape(stage["name"].as_str().unwrap_or_default())),
            Cell::new(count(number("rows_in"))).right(),
            Cell::new(count(number("rows_out"))).right(),
            Cell::new(count(number("rejected"))).right(),
            Cell::new(duration(number("cpu_ms"))).right(),
        ]);
    }
    table
}

fn plugins(record: &RunRecord, paint: Paint) -> Table {
    let mut table = Table::indented(2);
    for (stage, name, digest) in &record.plugins {
        table.row([
            Cell::new(escape(stage)),
            Cell::new(escape(name)),
            Cell::new(escape(digest)).painted(|text| paint.dim(text)),
        ]);
    }
    table
}

fn remarks(record: &RunRecord) -> Table {
    let mut table = Table::indented(2);
    for (at, text) in &record.remarks {
        table.row([Cell::new(moment(at)), Cell::new(escape(text))]);
    }
    table
}

/// The next thing to type.
fn next(record: &RunRecord, (_, open): (u64, u64), paint: Paint) -> Option<String> {
    let job = escape(&record.job_path);
    if record.status.is_unfinished() {
        let command = match record.kind.as_str() {
            "schema" => {
                return Some("the same `dkhost schema apply` goes on where it stopped".into());
            }
            "retry" => "errors retry",
            _ => "run",
        };
        return Some(format!(
            "{}  goes on where it stopped",
            paint.cyan(&format!("dkhost {command} {job}"))
        ));
    }
    // The job's latest run is another one.
    let of = match record.kind.as_str() {
        "schema" => escape(&record.id),
        _ => job,
    };
    (open > 0).then(|| {
        format!(
            "{}  which records were refused, and why",
            paint.cyan(&format!("dkhost errors list {of}"))
        )
    })
}
