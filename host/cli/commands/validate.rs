//! `dkhost validate`: every record through every step, nothing written.

use dkhost_core::Result;
use dkhost_engine::Plan;
use dkhost_engine::plan::Purpose;
use dkhost_engine::run::StopFlag;
use dkhost_engine::validate::Findings;
use serde_json::json;

use super::make_plan;
use super::run::{log_to, stop_flag};
use crate::args::JobArgs;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, count, counted};
use crate::watch::Voice;

/// What a job with refused records ends with: stopped by validation.
const REFUSED: i32 = 4;

/// Checks a job's records.
pub fn validate(args: &JobArgs, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(screen.json);
    let mut plan = make_plan(args, Purpose::Look, log_to(&voice))?;
    let stop = stop_flag(&voice)?;
    check(&mut plan, &stop, false, screen)
}

/// Checks a plan's records and prints what was found.
pub fn check(plan: &mut Plan, stop: &StopFlag, quiet: bool, screen: &mut Screen) -> Result<i32> {
    let found = dkhost_engine::validate::validate(plan, stop)?;
    let code = if found.refused > 0 { REFUSED } else { 0 };
    if screen.json {
        let mut object = serde_json::to_value(&found).unwrap_or_default();
        object["event"] = json!("findings");
        object["exit_code"] = json!(code);
        screen.object(&object)?;
    } else if !quiet {
        screen.line(text(&plan.job.name, &found, screen.paint).join("\n"))?;
    }
    Ok(code)
}

fn text(job: &str, found: &Findings, paint: Paint) -> Vec<String> {
    let verdict = match found.refused {
        0 => paint.green("every record is fine"),
        n => paint.yellow(&format!("{} would be refused", counted(n, "record"))),
    };
    let mut lines = vec![
        format!(
            "{} {verdict}  {}",
            paint.bold(&escape(job)),
            paint.dim("nothing was written")
        ),
        String::new(),
    ];
    lines.extend(sums(found, paint));
    if !found.by_reason.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("refused, by reason"));
        let mut table = Table::indented(2);
        for (stage, code, n) in &found.by_reason {
            table.row([
                Cell::new(count(*n)).right(),
                Cell::new(escape(stage)),
                Cell::new(escape(code)),
            ]);
        }
        lines.extend(table.lines());
        lines.push(String::new());
        lines.extend(shown(found, paint));
    }
    lines
}

fn sums(found: &Findings, paint: Paint) -> Vec<String> {
    let mut table = Table::indented(2);
    let rows = [
        ("valid", found.valid),
        ("filtered", found.filtered),
        ("refused", found.refused),
    ];
    for (name, n) in rows {
        table.row([name.into(), Cell::new(count(n)).right(), Cell::default()]);
    }
    let all = Cell::new("every record is accounted for").painted(|text| paint.dim(text));
    table.row(["read".into(), Cell::new(count(found.read)).right(), all]);
    if found.values_discarded > 0 {
        let note = Cell::new("schema_drift = \"discard_value\"").painted(|text| paint.dim(text));
        table.row([
            "values discarded".into(),
            Cell::new(count(found.values_discarded)).right(),
            note,
        ]);
    }
    table.lines()
}

fn shown(found: &Findings, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let title = match found.shown.len() as u64 {
        n if n < found.refused => format!("the first {n}"),
        _ => "one by one".to_owned(),
    };
    lines.push(paint.bold(&title));
    for finding in &found.shown {
        let column = finding
            .column
            .as_ref()
            .map(|column| format!(", column `{}`", escape(column)))
            .unwrap_or_default();
        let place = paint.dim(&escape(&finding.locator.to_string()));
        lines.push(format!("  {place}{column}: {}", escape(&finding.message)));
    }
    lines
}
