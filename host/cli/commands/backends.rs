//! `dkhost backends`: what can be read and written, with every option at both ends.

use dkhost_core::error::nearest;
use dkhost_core::{Backend, Error, OptionSpec, OptionType, Result};
use dkhost_engine::job::{SOURCE_OPTIONS, TARGET_OPTIONS};
use serde_json::{Value, json};

use crate::registry;
use crate::screen::{Paint, Screen, width};
use crate::table::{Cell, Table};

/// Lists the backends, or one.
pub fn backends(name: Option<&str>, screen: &mut Screen) -> Result<i32> {
    let all = registry::backends();
    let wanted: Vec<_> = all
        .iter()
        .filter(|backend| name.is_none_or(|name| name == backend.name()))
        .collect();
    if let (Some(name), []) = (name, wanted.as_slice()) {
        return Err(unknown(
            name,
            &all.iter().map(|backend| backend.name()).collect::<Vec<_>>(),
        ));
    }
    for (index, backend) in wanted.iter().enumerate() {
        if screen.json {
            screen.object(&object(backend.as_ref()))?;
            continue;
        }
        if index > 0 {
            screen.line("")?;
        }
        screen.line(text(backend.as_ref(), screen.paint).join("\n"))?;
    }
    if !screen.json && name.is_none() {
        screen.line(common(screen.paint).join("\n"))?;
    }
    Ok(0)
}

fn unknown(name: &str, known: &[&str]) -> Error {
    let error = Error::config(
        "job::unknown_backend",
        format!("there is no backend `{}`", name.escape_debug()),
    );
    match nearest(name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("this version has: {}", known.join(", "))),
    }
}

fn text(backend: &dyn Backend, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        paint.bold(backend.name()),
        backend.summary()
    )];
    lines.extend(options("as [source]", backend.source_options(), paint));
    lines.extend(options("as [target]", backend.target_options(), paint));
    lines
}

fn common(paint: Paint) -> Vec<String> {
    let mut lines = vec![String::new(), paint.bold("every backend")];
    lines.extend(options("in [source]", SOURCE_OPTIONS, paint));
    lines.extend(options("in [target]", TARGET_OPTIONS, paint));
    lines
}

fn options(title: &str, specs: &[OptionSpec], paint: Paint) -> Vec<String> {
    let mut lines = vec![format!("  {}", paint.dim(title))];
    let names = specs
        .iter()
        .map(|spec| spec.name.len())
        .max()
        .unwrap_or(0)
        .max(11);
    let room = width().saturating_sub(names + 8).max(30);
    let mut table = Table::indented(4);
    for spec in specs {
        let need = if spec.required { " (required)" } else { "" };
        let mut help = wrapped(&format!("{}{need}", spec.help), room).into_iter();
        let name = Cell::new(format!("{:names$}", spec.name)).painted(|text| paint.cyan(text));
        table.row([name, Cell::new(help.next().unwrap_or_default())]);
        for line in help {
            table.row([Cell::default(), Cell::new(line)]);
        }
    }
    lines.extend(table.lines());
    lines
}

/// Text in lines of at most `room` characters, broken at spaces.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut();
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn object(backend: &dyn Backend) -> Value {
    let options = |common: &[OptionSpec], own: &[OptionSpec]| -> Vec<Value> {
        own.iter().chain(common).map(option).collect()
    };
    json!({
        "name": backend.name(),
        "summary": backend.summary(),
        "source": options(SOURCE_OPTIONS, backend.source_options()),
        "target": options(TARGET_OPTIONS, backend.target_options()),
    })
}

fn option(spec: &OptionSpec) -> Value {
    let (ty, words): (&str, Option<&[&str]>) = match spec.ty {
        OptionType::Boolean => ("boolean", None),
        OptionType::Integer => ("integer", None),
        OptionType::Text => ("text", None),
        OptionType::Word(words) => ("word", Some(words)),
        OptionType::TextList => ("text list", None),
        OptionType::TextTable => ("text table", None),
        OptionType::Table => ("table", None),
        OptionType::Any => ("any", None),
    };
    let mut object =
        json!({ "name": spec.name, "type": ty, "required": spec.required, "help": spec.help });
    if let Some(words) = words {
        object["words"] = json!(words);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrapped("extraordinarily long", 5),
            ["extraordinarily", "long"]
        );
        assert_eq!(wrapped("", 5), [""]);
    }
}
