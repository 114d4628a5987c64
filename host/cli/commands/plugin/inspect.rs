//! `dkhost plugin inspect`: what a component is, before anything of it is used.

use std::path::Path;

use dkhost_core::Result;
use dkhost_plugin::{Component, Inspection, Migration};

use super::load_options;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, bytes};

/// Shows a component.
pub fn inspect(file: &Path, screen: &mut Screen) -> Result<i32> {
    let inspection = Component::load(file, &load_options())?.inspect();
    match screen.json {
        true => screen.object(&inspection)?,
        false => screen.line(text(&inspection, screen.paint).join("\n"))?,
    }
    Ok(0)
}

fn text(found: &Inspection, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(&escape(&found.name)),
        bytes(found.size_bytes)
    )];
    let mut table = Table::indented(2);
    let mut fact = |name: &str, text: String| {
        table.row([
            Cell::new(name).painted(|name| paint.dim(name)),
            Cell::new(escape(&text)),
        ])
    };
    fact("digest", found.digest.clone());
    fact("contract", format!("dkhost:plugin {}", found.contract.line));
    fact("worlds", found.worlds.join(", "));
    fact("imports", or_none(&found.contract.imports));
    fact("exports", or_none(&found.contract.exports));
    fact("asks for", or_none(&found.requests));
    lines.extend(table.lines());
    for plugin in &found.plugins {
        lines.push(String::new());
        let title = format!("{} {}", plugin.name, plugin.version);
        lines.push(format!(
            "{}  {}",
            paint.bold(&escape(&title)),
            escape(plugin.kind.word())
        ));
        lines.push(format!("  {}", escape(&plugin.summary)));
        let mut table = Table::indented(2);
        for (name, value) in &plugin.extra {
            table.row([
                Cell::new(escape(name)).painted(|name| paint.dim(name)),
                Cell::new(escape(value)),
            ]);
        }
        lines.extend(table.lines());
        let steps = found.migrations.iter();
        for step in steps.filter(|step| step.plugin == plugin.name) {
            lines.push(format!("  {}", escape(&migration(step))));
        }
        if !plugin.config_schema.trim().is_empty() {
            lines.push(format!("  {}", paint.dim("config")));
            lines.extend(schema(&plugin.config_schema));
        }
    }
    lines
}

fn migration(step: &Migration) -> String {
    let Migration {
        schema, from, to, ..
    } = step;
    let back = match (step.reversible, step.lossless) {
        (false, _) => "only up",
        (true, false) => "reversible",
        (true, true) => "reversible, lossless",
    };
    format!("migrates {schema} {from} to {to}: {back}")
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// The JSON Schema of a plugin's configuration, indented; as it is when it is none.
fn schema(text: &str) -> Vec<String> {
    let parsed = serde_json::from_str::<serde_json::Value>(text)
        .and_then(|schema| serde_json::to_string_pretty(&schema));
    let shown = parsed.unwrap_or_else(|_| text.to_owned());
    shown
        .lines()
        .map(|line| format!("    {}", escape(line)))
        .collect()
}
