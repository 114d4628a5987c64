//! `dkhost plan`: everything that would happen, typed, nothing written.

use dkhost_core::Result;
use dkhost_engine::plan::{ColumnView, PlanView, Purpose, StageView};

use super::make_plan;
use super::run::log_to;
use crate::args::JobArgs;
use crate::escape::escape;
use crate::progress::Voice;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, bytes, counted};

/// Makes the plan and shows it.
pub fn plan(args: &JobArgs, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(screen.json);
    let plan = make_plan(args, Purpose::Run, log_to(&voice))?;
    show(&plan.view(), screen)?;
    Ok(0)
}

/// Prints a plan.
pub fn show(view: &PlanView, screen: &mut Screen) -> Result<()> {
    if screen.json {
        return screen.object(view);
    }
    screen.line(text(view, screen.paint).join("\n"))
}

fn text(view: &PlanView, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(&escape(&view.job)),
        paint.dim("the plan; nothing was written")
    )];
    source(view, paint, &mut lines);
    let mut before = &view.columns;
    for stage in &view.stages {
        step(stage, before, paint, &mut lines);
        before = &stage.columns;
    }
    target(view, paint, &mut lines);
    promises(view, paint, &mut lines);
    lines
}

fn heading(word: &str, text: &str, paint: Paint) -> String {
    format!("{}  {text}", paint.bold(word))
}

fn bullets(lines: &mut Vec<String>, notes: &[String]) {
    lines.extend(notes.iter().map(|note| format!("  - {}", escape(note))));
}

fn source(view: &PlanView, paint: Paint, lines: &mut Vec<String>) {
    let mut size = Vec::new();
    size.extend(view.records.map(|records| counted(records, "record")));
    size.extend(view.bytes.map(bytes));
    let size = if size.is_empty() {
        String::new()
    } else {
        format!(", {}", size.join(", "))
    };
    lines.push(String::new());
    lines.push(heading(
        "source",
        &format!("{}{size}", escape(&view.source)),
        paint,
    ));
    partitions(view, lines);
    bullets(lines, &view.source_notes);
    lines.extend(columns(&view.columns, paint));
}

/// Partitions shown by name; a folder can have thousands.
const PARTITIONS_SHOWN: usize = 8;

fn partitions(view: &PlanView, lines: &mut Vec<String>) {
    let shown: Vec<_> = view
        .partitions
        .iter()
        .take(PARTITIONS_SHOWN)
        .map(|label| escape(label))
        .collect();
    let more = match view.partitions.len().saturating_sub(PARTITIONS_SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    lines.push(format!(
        "  {}: {}{more}",
        counted(view.partitions.len() as u64, "partition"),
        shown.join(", ")
    ));
}

fn columns(columns: &[ColumnView], paint: Paint) -> Vec<String> {
    let mut table = Table::indented(4);
    for column in columns {
        table.row([
            Cell::new(escape(&column.name)),
            Cell::new(described(column)).painted(|text| paint.dim(text)),
        ]);
    }
    table.lines()
}

fn described(column: &ColumnView) -> String {
    let mut text = column.logical.clone();
    if !column.nullable {
        text.push_str(" not null");
    }
    match column.role {
        Some("rest") => text.push_str("  everything the columns do not hold"),
        Some(role) => text.push_str(&format!("  {role}")),
        None => {}
    }
    text
}

fn step(stage: &StageView, before: &[ColumnView], paint: Paint, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(heading(
        &escape(&stage.name),
        &escape(&stage.summary),
        paint,
    ));
    if let (Some(plugin), Some(digest)) = (&stage.plugin, &stage.digest) {
        lines.push(format!(
            "  plugin {}  {}",
            escape(plugin),
            paint.dim(&escape(digest))
        ));
        lines.push(format!("  limits {}", escape(&stage.limits.join(", "))));
    }
    lines.extend(changes(before, &stage.columns, paint));
}

/// The columns that are new, gone or of another type after a step.
fn changes(before: &[ColumnView], after: &[ColumnView], paint: Paint) -> Vec<String> {
    let find = |columns: &'_ [ColumnView], name: &str| {
        columns.iter().find(|column| column.name == name).cloned()
    };
    let mut table = Table::indented(4);
    for column in before {
        if find(after, &column.name).is_none() {
            let mark = Cell::new("-").painted(|text| paint.red(text));
            table.row([
                mark,
                Cell::new(escape(&column.name)),
                Cell::new(described(column)).painted(|text| paint.dim(text)),
            ]);
        }
    }
    for column in after {
        let (mark, what) = match find(before, &column.name) {
            None => (
                Cell::new("+").painted(|text| paint.green(text)),
                described(column),
            ),
            Some(old) if old != *column => (
                Cell::new("~").painted(|text| paint.yellow(text)),
                format!("{} -> {}", described(&old), described(column)),
            ),
            Some(_) => continue,
        };
        table.row([mark, Cell::new(escape(&column.name)), Cell::new(what)]);
    }
    if table.is_empty() {
        return vec![format!("    {}", paint.dim("the columns stay as they are"))];
    }
    table.lines()
}

fn target(view: &PlanView, paint: Paint, lines: &mut Vec<String>) {
    let target = &view.target;
    lines.push(String::new());
    lines.push(heading("target", &escape(&target.label), paint));
    bullets(lines, &target.effects);
    bullets(lines, &target.notes);
    let mut table = Table::indented(4);
    for column in &target.columns {
        let mut how = escape(column.how.as_deref().unwrap_or_default()).into_owned();
        if let Some(reason) = &column.lossy {
            let comma = if how.is_empty() { "" } else { ", " };
            how.push_str(&format!("{comma}may change: {}", escape(reason)));
        }
        table.row([
            Cell::new(escape(&column.name)),
            Cell::new(escape(&column.target_type)).painted(|text| paint.dim(text)),
            Cell::new(how),
        ]);
    }
    lines.extend(table.lines());
}

fn promises(view: &PlanView, paint: Paint, lines: &mut Vec<String>) {
    lines.push(String::new());
    let mut table = Table::default();
    let mut say = |name: &str, text: String| {
        table.row([
            Cell::new(name).painted(|name| paint.bold(name)),
            Cell::new(text),
        ])
    };
    let conflict = match view.key.as_slice() {
        [] => format!("on_conflict = \"{}\", no key", view.on_conflict),
        key => format!(
            "on_conflict = \"{}\", key {}",
            view.on_conflict,
            escape(&key.join(", "))
        ),
    };
    say("conflicts:", conflict);
    say(
        "delivery:",
        format!(
            "{} ({})",
            escape(&view.delivery),
            escape(&view.delivery_mechanism)
        ),
    );
    say(
        "drift:",
        format!("schema_drift = \"{}\"", view.schema_drift),
    );
    say("verify:", format!("verify = \"{}\"", view.verify));
    say(
        "plan:",
        view.plan_hash
            .get(..12)
            .unwrap_or(&view.plan_hash)
            .to_owned(),
    );
    lines.extend(table.lines());
}
