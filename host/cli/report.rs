//! What people read when a run has ended: where every record went, how fast, and what to type next.

use dkhost_engine::run::{Report, StageReport};

use crate::escape::escape;
use crate::screen::Paint;
use crate::table::{Cell, Table, bytes, count, counted, duration, rate};

/// The lines of the report; `job` is the job file as it was typed.
pub fn lines(report: &Report, job: &str, peak: Option<f64>, paint: Paint) -> Vec<String> {
    let mut lines = vec![headline(report, paint), String::new()];
    lines.extend(outcomes(report, paint));
    lines.push(String::new());
    lines.extend(facts(report, peak, paint));
    if let Some(next) = next(report, job, paint) {
        lines.push(String::new());
        lines.extend(next);
    }
    lines
}

fn headline(report: &Report, paint: Paint) -> String {
    let letters = report.counts.dead_lettered > 0;
    let word = match report.status {
        "done" if letters => paint.yellow("done"),
        "done" => paint.green("done"),
        other => paint.yellow(other),
    };
    let kind = match report.kind {
        "retry" => "retry of ",
        _ => "",
    };
    let job = paint.bold(&escape(&report.job));
    let mut line = format!("{kind}{job} {word} in {}", duration(report.duration_ms));
    if letters {
        line.push_str(", with dead letters");
    }
    if report.resumed {
        line.push_str(&format!(", taken up again (epoch {})", report.epoch));
    }
    format!("{line}  {}", paint.dim(&format!("run {}", report.run)))
}

/// The counts, as a sum that can be checked by eye.
fn outcomes(report: &Report, paint: Paint) -> Vec<String> {
    let counts = &report.counts;
    let rows = [
        ("written", counts.written, ""),
        ("unchanged", counts.unchanged, "already there"),
        ("filtered", counts.filtered, "dropped by a step"),
        (
            "deduplicated",
            counts.deduplicated,
            "a later record had the same key",
        ),
        ("skipped", counts.skipped, "refused, on_error = \"skip\""),
        ("dead letters", counts.dead_lettered, "refused and kept"),
    ];
    let mut table = Table::indented(2);
    for (name, n, note) in rows {
        if n > 0 || name == "written" {
            let name = Cell::new(name);
            let name = if n > 0 && note.starts_with("refused") {
                name.painted(|text| paint.yellow(text))
            } else {
                name
            };
            table.row([
                name,
                Cell::new(count(n)).right(),
                Cell::new(note).painted(|text| paint.dim(text)),
            ]);
        }
    }
    let accounted = if conserved(report) {
        "every record is accounted for"
    } else {
        "these counts do not add up: please report it"
    };
    table.row([
        Cell::new("read").painted(|text| paint.bold(text)),
        Cell::new(count(counts.read))
            .right()
            .painted(|text| paint.bold(text)),
        Cell::new(accounted).painted(|text| paint.dim(text)),
    ]);
    table.lines()
}

fn conserved(report: &Report) -> bool {
    let c = &report.counts;
    c.read == c.written + c.unchanged + c.filtered + c.deduplicated + c.skipped + c.dead_lettered
}

fn facts(report: &Report, peak: Option<f64>, paint: Paint) -> Vec<String> {
    let mut table = Table::indented(2);
    let mut fact = |name: &str, text: String| {
        table.row([
            Cell::new(name).painted(|name| paint.dim(name)),
            Cell::new(text),
        ]);
    };
    if report.rows_written != report.counts.written {
        fact("rows written", count(report.rows_written));
    }
    if report.values_discarded > 0 {
        let values = counted(report.values_discarded, "value");
        fact("discarded", format!("{values} the schema has no place for"));
    }
    fact("speed", speed(report, peak));
    let peak = bytes(report.memory_peak_bytes);
    fact("memory", format!("{peak} at the peak"));
    if let Some(stage) = costliest(report) {
        fact("costliest step", share(stage, report.cpu_ms));
    }
    for plugin in &report.plugins {
        let mut stages = report.stages.iter();
        let stage = stages.find(|stage| stage.name == plugin.stage);
        let (name, at) = (escape(&plugin.name), escape(&plugin.stage));
        let usage = stage.map(usage).unwrap_or_default();
        fact("plugin", format!("{name} at {at}{usage}"));
    }
    for note in &report.notes {
        fact("note", escape(note).into_owned());
    }
    let is_done = report.status == "done";
    match &report.verified {
        Some(verified) => fact("verified", escape(verified).into_owned()),
        None if is_done => fact("verified", "nothing: run.verify = \"none\"".to_owned()),
        None => {}
    }
    let kept = if is_done { "" } else { ", once it is finished" };
    fact("delivery", format!("{}{kept}", escape(&report.delivery)));
    table.lines()
}

/// A step with its part of the run's CPU time.
fn share(stage: &StageReport, whole_ms: u64) -> String {
    let percent = (stage.cpu_ms * 100 / whole_ms.max(1)).min(100);
    let (name, cpu) = (escape(&stage.name), duration(stage.cpu_ms));
    format!("{name}, {cpu} CPU ({percent} %)")
}

fn speed(report: &Report, peak: Option<f64>) -> String {
    let cpu = format!("{} CPU", duration(report.cpu_ms));
    let mut text = format!("{} on average", rate(report.records_per_second));
    if let Some(peak) = peak.filter(|peak| *peak > report.records_per_second) {
        text.push_str(&format!(", {} at the peak", rate(peak)));
    }
    if report.resumed {
        // The counts are the whole run's, the speed is this process's.
        format!("{text} since it was taken up again, {cpu} in all")
    } else {
        format!("{text}, {cpu}")
    }
}

fn costliest(report: &Report) -> Option<&StageReport> {
    report
        .stages
        .iter()
        .filter(|stage| stage.cpu_ms > 0)
        .max_by_key(|stage| stage.cpu_ms)
}

fn usage(stage: &StageReport) -> String {
    let mut text = format!(
        ", {} CPU, {} refused",
        duration(stage.cpu_ms),
        count(stage.rejected)
    );
    for (name, n) in &stage.counters {
        text.push_str(&format!(", {} {}", escape(name), count(*n)));
    }
    text
}

/// The next thing to type.
fn next(report: &Report, job: &str, paint: Paint) -> Option<Vec<String>> {
    if report.counts.dead_lettered == 0 {
        return None;
    }
    let job = escape(job);
    let mut table = Table::indented(2);
    let mut command = |text: &str, what: &str| {
        table.row([
            Cell::new(text).painted(|text| paint.cyan(text)),
            Cell::new(what),
        ]);
    };
    let run = report.run.as_str();
    let of_a_schema = report.kind == "schema";
    let whose = if of_a_schema { run } else { &job };
    command(
        &format!("dkhost errors list {whose}"),
        "which records were refused, and why",
    );
    if of_a_schema {
        command(
            &format!("dkhost errors export refused.jsonl {run}"),
            "writes them down as they were: the store holds them no more",
        );
    } else if report.status == "done" {
        command(
            &format!("dkhost errors retry {job}"),
            "takes them through the job again",
        );
    }
    Some(table.lines())
}
