//! `dkhost schema list`, `show` and `diff`: what versions there are, what they say, how they differ.

use dkhost_core::{Error, Result};
use dkhost_schema::compatibility::Mode;
use dkhost_schema::{
    Bump, Difference, FieldVersion, Registry, SchemaId, SchemaVersion, Verdict, differences,
};
use serde_json::{Value, json};

use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, counted};

/// Lists the versions of all schemas, or of one.
pub fn list(registry: &Registry, name: Option<&str>, screen: &mut Screen) -> Result<i32> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => registry.names()?,
    };
    let mut table = Table::indented(0);
    let mut wrong = None;
    for name in &names {
        let migrations = registry.migrations(name)?;
        for version in registry.versions(name)? {
            let leads = migrations.iter().filter(|(from, _)| *from == version);
            let leads: Vec<String> = leads.map(|(_, to)| to.to_string()).collect();
            let id = SchemaId {
                name: name.clone(),
                version,
            };
            match registry.version_alone(&id) {
                Ok(read) if screen.json => screen.object(&listed(&read, &leads))?,
                Ok(read) => table.row(row(&read, &leads, screen.paint)),
                Err(error) => {
                    // The others are wanted all the same.
                    table.row(broken(&id, screen.paint));
                    wrong.get_or_insert(error);
                }
            }
        }
    }
    if !screen.json {
        match table.is_empty() {
            true => screen.line(format!(
                "{} has no schema yet; a version is a file NAME/1.0.0.toml in it",
                escape(&registry.folder().display().to_string())
            ))?,
            false => screen.line(table.lines().join("\n"))?,
        }
    }
    wrong.map_or(Ok(0), Err)
}

fn listed(version: &SchemaVersion, leads: &[String]) -> Value {
    json!({
        "schema": version.id.name, "version": version.id.version.to_string(), "fields": version.fields.len(),
        "key": version.key, "open": version.open, "compatibility": version.compatibility.word(),
        "description": version.description, "migrations": leads,
    })
}

fn row(version: &SchemaVersion, leads: &[String], paint: Paint) -> [Cell; 5] {
    let leads = match leads.is_empty() {
        true => String::new(),
        false => format!("migration to {}", leads.join(", ")),
    };
    [
        Cell::new(escape(&version.id.to_string())).painted(|text| paint.bold(text)),
        counted(version.fields.len() as u64, "field").into(),
        Cell::new(escape(&keyed(version))),
        Cell::new(escape(&leads)),
        Cell::new(escape(&version.description)).painted(|text| paint.dim(text)),
    ]
}

fn broken(id: &SchemaId, paint: Paint) -> [Cell; 2] {
    [
        Cell::new(escape(&id.to_string())).painted(|text| paint.bold(text)),
        Cell::new("wrong").painted(|text| paint.red(text)),
    ]
}

fn keyed(version: &SchemaVersion) -> String {
    let mut said = Vec::new();
    if !version.key.is_empty() {
        said.push(format!("key {}", version.key.join(", ")));
    }
    if version.open {
        said.push("open".to_owned());
    }
    if version.compatibility != Mode::None {
        said.push(version.compatibility.word().to_owned());
    }
    said.join(", ")
}

/// The version a command means: `user@2.0.0`, or the newest of `user`.
pub fn meant(registry: &Registry, word: &str) -> Result<SchemaId> {
    if word.contains('@') {
        return word.parse();
    }
    let newest = registry.versions(word)?.pop();
    let version = newest.ok_or_else(|| {
        Error::config(
            "schema::unknown_version",
            format!("{word} has no version yet"),
        )
        .help(format!("write {word}/1.0.0.toml in the folder of schemas"))
    })?;
    Ok(SchemaId {
        name: word.to_owned(),
        version,
    })
}

/// Shows a version.
pub fn show(registry: &Registry, word: &str, screen: &mut Screen) -> Result<i32> {
    let version = registry.version(&meant(registry, word)?)?;
    if screen.json {
        screen.object(&object(&version))?;
        return Ok(0);
    }
    let paint = screen.paint;
    let mut lines = vec![paint.bold(&escape(&version.id.to_string()))];
    let keyed = keyed(&version);
    if !keyed.is_empty() {
        lines[0] += &format!("  {}", paint.dim(&escape(&keyed)));
    }
    if !version.description.is_empty() {
        lines.push(escape(&version.description).into_owned());
    }
    lines.push(String::new());
    let mut table = Table::indented(2);
    for field in &version.fields {
        table.row([
            Cell::new(escape(&field.name)),
            Cell::new(escape(&field.logical.to_string())).painted(|text| paint.cyan(text)),
            Cell::new(escape(&said(&version, field).join(", "))),
            Cell::new(escape(&field.description)).painted(|text| paint.dim(text)),
        ]);
    }
    lines.extend(table.lines());
    let checks = version.checks.iter();
    lines.extend(checks.map(|check| format!("  check {}", escape(check))));
    screen.line(lines.join("\n"))?;
    Ok(0)
}

/// What a field asks of its values, a few words each.
fn said(version: &SchemaVersion, field: &FieldVersion) -> Vec<String> {
    let mut said = Vec::new();
    if version.needs(field) {
        said.push("required".to_owned());
    }
    said.extend(
        field
            .default
            .as_ref()
            .map(|default| format!("default {default}")),
    );
    said.extend(field.was.as_ref().map(|was| format!("was {was}")));
    said.extend(field.rules.words());
    said
}

fn object(version: &SchemaVersion) -> Value {
    let fields = version.fields.iter().map(|field| {
        json!({
            "name": field.name, "type": field.logical.to_string(), "required": version.needs(field),
            "default": field.default.as_ref().map(|default| default.to_json(&field.logical)),
            "was": field.was, "rules": field.rules.words(), "description": field.description,
        })
    });
    json!({
        "schema": version.id.name, "version": version.id.version.to_string(), "description": version.description,
        "key": version.key, "open": version.open, "compatibility": version.compatibility.word(),
        "checks": version.checks, "fields": fields.collect::<Vec<_>>(),
    })
}

/// Shows how two versions differ.
///
/// *Errors* – `schema::too_small_bump`, `schema::order`, after the differences were shown.
pub fn diff(registry: &Registry, from: &str, to: &str, screen: &mut Screen) -> Result<i32> {
    let (from, to) = (meant(registry, from)?, meant(registry, to)?);
    if from.name != to.name {
        return Err(Error::config(
            "schema::two_schemas",
            format!("{from} and {to} are versions of two schemas"),
        )
        .help("compare versions of one: `dkhost schema diff user@1.0.0 user@2.0.0`"));
    }
    let found = differences(
        &registry.version_alone(&from)?,
        &registry.version_alone(&to)?,
    );
    let deserved = Bump::deserved(&found);
    if screen.json {
        for difference in &found {
            screen.object(&of_difference(difference))?;
        }
        screen.object(&json!({ "event": "bump", "deserved": deserved.to_string(), "given": Bump::between(&from.version, &to.version).to_string() }))?;
    } else {
        screen.line(told(&from, &to, &found, deserved, screen.paint).join("\n"))?;
    }
    Bump::check(&from, &to, &found)?;
    Ok(0)
}

fn of_difference(difference: &Difference) -> Value {
    json!({
        "event": "difference", "field": difference.field, "kind": difference.kind.words(),
        "from": difference.from, "to": difference.to, "verdict": difference.verdict.words(), "note": difference.note,
    })
}

fn told(
    from: &SchemaId,
    to: &SchemaId,
    found: &[Difference],
    deserved: Bump,
    paint: Paint,
) -> Vec<String> {
    let mut lines = vec![paint.bold(&escape(&format!("{from} to {}", to.version)))];
    if found.is_empty() {
        lines.push("  no difference".to_owned());
    }
    let mut table = Table::indented(2);
    for difference in found {
        let verdict = Cell::new(difference.verdict.words());
        let verdict = verdict.painted(|text| match difference.verdict {
            Verdict::Safe => paint.green(text),
            Verdict::NeedsDefault | Verdict::MayReject => paint.yellow(text),
            Verdict::LosesData => paint.red(text),
        });
        let change = match (difference.from.as_str(), difference.to.as_str()) {
            ("", to) => to.to_owned(),
            (from, "") => format!("was {from}"),
            (from, to) => format!("{from} -> {to}"),
        };
        table.row([
            Cell::new(escape(difference.field.as_deref().unwrap_or("(record)"))),
            Cell::new(difference.kind.words()),
            Cell::new(escape(&change)),
            verdict,
            Cell::new(escape(difference.note.as_deref().unwrap_or_default()))
                .painted(|text| paint.dim(text)),
        ]);
    }
    lines.extend(table.lines());
    lines.push(format!("it deserves a {deserved} version"));
    lines
}
