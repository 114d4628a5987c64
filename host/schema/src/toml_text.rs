//! A version as the text of its file.

use std::fmt::{Display, Write};

use dkhost_core::LogicalType;

use crate::compatibility::Mode;
use crate::constant::Constant;
use crate::migration::text::{toml_key, toml_text};
use crate::rule::Bounds;
use crate::version::{FieldVersion, SchemaVersion};

/// The text of a version's file; read again, it is the same version.
pub fn toml(version: &SchemaVersion) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    if !version.description.is_empty() {
        line("description", toml_text(&version.description));
    }
    if !version.key.is_empty() {
        line("key", list(&version.key));
    }
    if version.open {
        line("open", "true".to_owned());
    }
    if version.compatibility != Mode::None {
        line("compatibility", toml_text(version.compatibility.word()));
    }
    if !version.checks.is_empty() {
        line("check", list(&version.checks));
    }
    for field in &version.fields {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}[fields.{}]", toml_key(&field.name));
        of_field(field, &mut text);
    }
    text
}

fn of_field(field: &FieldVersion, text: &mut String) {
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    let value = |constant: &Constant| literal(constant, &field.logical);
    line("type", toml_text(&field.logical.to_string()));
    if field.required {
        line("required", "true".to_owned());
    }
    if let Some(default) = &field.default {
        line("default", value(default));
    }
    if !field.description.is_empty() {
        line("description", toml_text(&field.description));
    }
    if let Some(was) = &field.was {
        line("was", toml_text(was));
    }
    let rules = &field.rules;
    if let Some(range) = &rules.range {
        line("range", bounds(range, value));
    }
    if let Some(length) = &rules.length {
        line("length", bounds(length, u64::to_string));
    }
    if let Some(pattern) = &rules.pattern {
        line("pattern", toml_text(pattern.text()));
    }
    if !rules.one_of.is_empty() {
        let values: Vec<String> = rules.one_of.iter().map(value).collect();
        line("one_of", format!("[{}]", values.join(", ")));
    }
    if rules.unique {
        line("unique", "true".to_owned());
    }
    if rules.not_empty {
        line("not_empty", "true".to_owned());
    }
}

/// A value as TOML has it: whole numbers and truth values as what they are. Others as text, which
/// keeps every digit as it was written.
fn literal(constant: &Constant, logical: &LogicalType) -> String {
    let text = constant.text();
    let is_plain = match logical {
        LogicalType::Boolean => true,
        logical if logical.is_numeric() => text.parse::<i64>().is_ok_and(|n| n.to_string() == text),
        _ => false,
    };
    match is_plain {
        true => text.to_owned(),
        false => toml_text(text),
    }
}

fn bounds<T>(bounds: &Bounds<T>, shown: impl Fn(&T) -> String) -> String {
    let end =
        |name: &str, end: &Option<T>| end.as_ref().map(|end| format!("{name} = {}", shown(end)));
    let ends = [end("min", &bounds.min), end("max", &bounds.max)];
    let ends: Vec<String> = ends.into_iter().flatten().collect();
    format!("{{ {} }}", ends.join(", "))
}

fn list(names: &[impl Display]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| toml_text(&name.to_string()))
        .collect();
    format!("[{}]", names.join(", "))
}
