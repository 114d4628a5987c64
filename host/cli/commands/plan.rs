//! `dkhost plan`: everything that would happen, typed, nothing written.

use dkhost_core::Result;
use dkhost_engine::Plan;
use dkhost_engine::plan::{ColumnView, PlanView, Purpose, StageView};

use super::make_plan;
use super::run::log_to;
use crate::args::JobArgs;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, bytes, counted};
use crate::watch::Voice;

/// Makes the plan and shows it.
pub fn plan(args: &JobArgs, screen: &mut Screen) -> Result<i32> {
    let voice = Voice::new(screen.json);
    let plan = make_plan(args, Purpose::Run, log_to(&voice))?;
    show(&plan, screen)?;
    Ok(0)
}

/// Prints a plan.
pub fn show(plan: &Plan, screen: &mut Screen) -> Result<()> {
    let view = plan.view();
    if screen.json {
        return screen.object(&view);
    }
    screen.line(text(plan, &view, screen.paint).join("\n"))
}

fn text(plan: &Plan, view: &PlanView, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(&escape(&view.job)),
        paint.dim("the plan; nothing was written")
    )];
    source(view, paint, &mut lines);
    let mut before = &view.columns;
    for (stage, planned) in view.stages.iter().zip(&plan.stages) {
        step(stage, before, &planned.step.carries(), paint, &mut lines);
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
    // A zone is part of a type, and a file or a plugin may call it anything.
    let mut text = escape(&column.logical).into_owned();
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

fn step(
    stage: &StageView,
    before: &[ColumnView],
    carried: &[(String, String)],
    paint: Paint,
    lines: &mut Vec<String>,
) {
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
    lines.extend(changes(before, &stage.columns, carried, paint));
}

/// The columns that are new, gone, renamed or of another type after a step.
fn changes(
    before: &[ColumnView],
    after: &[ColumnView],
    carried: &[(String, String)],
    paint: Paint,
) -> Vec<String> {
    let mut table = Table::indented(4);
    let goes_on =
        |name: &str| carried.iter().any(|(from, _)| from == name) || find(after, name).is_some();
    for column in before.iter().filter(|column| !goes_on(&column.name)) {
        let what = Cell::new(described(column)).painted(|text| paint.dim(text));
        table.row([
            Cell::new("-").painted(|text| paint.red(text)),
            Cell::new(escape(&column.name)),
            what,
        ]);
    }
    for column in after {
        let from = carried
            .iter()
            .find(|(_, to)| *to == column.name)
            .map(|(from, _)| from.as_str());
        let name = Cell::new(match from.filter(|from| *from != column.name) {
            Some(from) => format!("{} -> {}", escape(from), escape(&column.name)),
            None => escape(&column.name).into_owned(),
        });
        let new = described(column);
        match find(before, from.unwrap_or(&column.name)) {
            None => table.row([
                Cell::new("+").painted(|text| paint.green(text)),
                name,
                Cell::new(new),
            ]),
            Some(old) if described(old) != new => {
                let what = format!("{} -> {new}", described(old));
                table.row([
                    Cell::new("~").painted(|text| paint.yellow(text)),
                    name,
                    Cell::new(what),
                ]);
            }
            Some(old) if old.name != column.name => {
                table.row([
                    Cell::new("~").painted(|text| paint.yellow(text)),
                    name,
                    Cell::new(new).painted(|text| paint.dim(text)),
                ]);
            }
            Some(_) => {}
        }
    }
    match table.is_empty() {
        true => vec![format!("    {}", paint.dim("the columns stay as they are"))],
        false => table.lines(),
    }
}

fn find<'a>(columns: &'a [ColumnView], name: &str) -> Option<&'a ColumnView> {
    columns.iter().find(|column| column.name == name)
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
