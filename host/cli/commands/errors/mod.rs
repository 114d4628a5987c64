//! `dkhost errors`: refused records, kept with everything needed to see why and to try again.

mod letter;
mod retry;

use std::io::Write;
use std::path::Path;

use dkhost_core::{Error, Result};
use dkhost_engine::History;
use dkhost_engine::history::{LetterFilter, RunRecord};

use super::look;
use crate::args::{ErrorsCommand, LettersOf, StateArgs};
use crate::escape::{escape, escape_json};
use crate::screen::{Paint, Screen, width};
use crate::table::{Cell, Table, clip, count, counted};

/// Runs a command about refused records.
pub fn errors(command: ErrorsCommand, screen: &mut Screen) -> Result<i32> {
    match command {
        ErrorsCommand::List { of, all, limit } => list(&of, all, limit, screen),
        ErrorsCommand::Show { number, job, state } => show(number, job.as_deref(), &state, screen),
        ErrorsCommand::Export { file, of } => export(&file, &of, screen),
        ErrorsCommand::Retry {
            of,
            plugins,
            set,
            state,
        } => retry::retry(of.as_deref(), &plugins, &set, &state, screen),
    }
}

/// The run whose letters are meant: the one named, else the latest of the job, else the latest.
fn run_of(of: &LettersOf) -> Result<(History, RunRecord)> {
    let looked = look(of.run.as_deref(), &of.state)?;
    let record = looked
        .history
        .find(looked.run.as_deref().or(looked.job.as_deref()))?;
    Ok((looked.history, record))
}

fn list(of: &LettersOf, all: bool, limit: u32, screen: &mut Screen) -> Result<i32> {
    let (history, run) = run_of(of)?;
    let letters = history.letters(LetterFilter {
        run: Some(&run.id),
        unresolved: !all,
        limit,
        ..LetterFilter::default()
    })?;
    if screen.json {
        for found in &letters {
            screen.object(&letter::object(found))?;
        }
        return Ok(0);
    }
    let (kept, open) = history.count_letters(&run.id)?;
    let head = format!(
        "{}  run {}",
        screen.paint.bold(&escape(&run.job)),
        escape(&run.id)
    );
    screen.line(format!(
        "{head}: {}, {} open",
        counted(kept, "refused record"),
        count(open)
    ))?;
    if letters.is_empty() {
        return Ok(0);
    }
    screen.line("")?;
    screen.line(table(&letters, screen.paint).join("\n"))?;
    let shown = letters.len() as u64;
    let matching = if all { kept } else { open };
    screen.line("")?;
    if shown < matching {
        screen.line(format!(
            "  the first {} of {}; --limit N shows more",
            count(shown),
            count(matching)
        ))?;
    }
    let job = escape(&run.job_path).into_owned();
    let first = letters.first().map_or(1, |letter| letter.number);
    let mut next = Table::indented(2);
    let paint = screen.paint;
    let mut command = |text: String, what: &str| {
        next.row([
            Cell::new(text).painted(|text| paint.cyan(text)),
            Cell::new(what),
        ])
    };
    command(
        format!("dkhost errors show {first} {job}"),
        "one record with all that is known",
    );
    match run.kind == "schema" {
        true => command(
            format!("dkhost errors export refused.jsonl {}", escape(&run.id)),
            "writes them down as they were: the store holds them no more",
        ),
        false => command(
            format!("dkhost errors retry {job}"),
            "takes them through the job again, once it is mended",
        ),
    }
    screen.line(next.lines().join("\n"))?;
    Ok(0)
}

fn table(letters: &[dkhost_engine::history::Letter], paint: Paint) -> Vec<String> {
    let mut table = Table::indented(2);
    table.row(
        ["#", "where", "stage", "column", "why"]
            .map(|name| Cell::new(name).painted(|text| paint.dim(text))),
    );
    let room = width().saturating_sub(70).max(40);
    for found in letters {
        let letter = &found.letter;
        let done = if found.resolved_by.is_some() {
            " (resolved)"
        } else {
            ""
        };
        table.row([
            Cell::new(found.number.to_string()).right(),
            Cell::new(clip(&escape(&letter.locator.to_string()), 44)),
            Cell::new(clip(&escape(&letter.stage), 20)),
            Cell::new(clip(&escape(letter.column.as_deref().unwrap_or("")), 20)),
            Cell::new(format!("{}{done}", clip(&escape(&letter.message), room))),
        ]);
    }
    table.lines()
}

fn show(number: i64, job: Option<&str>, state: &StateArgs, screen: &mut Screen) -> Result<i32> {
    let looked = look(job, state)?;
    let filter = LetterFilter {
        number: Some(number),
        limit: 1,
        ..LetterFilter::default()
    };
    let found = looked
        .history
        .letters(filter)?
        .into_iter()
        .next()
        .ok_or_else(|| {
            Error::config(
                "errors::unknown",
                format!("there is no refused record number {number}"),
            )
            .help("`dkhost errors list` shows the numbers")
        })?;
    match screen.json {
        true => screen.object(&letter::object(&found))?,
        false => screen.line(letter::lines(&found, screen.paint).join("\n"))?,
    }
    Ok(0)
}

/// Letters read at once for an export: few enough that large payloads fit into memory.
const EXPORT_PAGE: u32 = 200;

fn export(file: &Path, of: &LettersOf, screen: &mut Screen) -> Result<i32> {
    let (history, run) = run_of(of)?;
    let mut written = 0u64;
    if file.as_os_str() == "-" {
        each_letter(&history, &run.id, &mut |line| {
            screen.line(line).map(|()| !screen.is_closed())
        })?;
        return Ok(0);
    }
    let mut output = std::io::BufWriter::new(create_private(file)?);
    let failed = |cause| Error::io("write", file, cause);
    each_letter(&history, &run.id, &mut |line| {
        written += 1;
        writeln!(output, "{line}").map(|()| true).map_err(failed)
    })?;
    output
        .flush()
        .and_then(|()| output.get_ref().sync_all())
        .map_err(failed)?;
    let shown = file.display().to_string();
    if screen.json {
        screen.object(&serde_json::json!({ "file": shown, "records": written, "run": run.id }))?;
    } else {
        screen.line(format!(
            "wrote {} of run {} to {}",
            counted(written, "refused record"),
            escape(&run.id),
            escape(&shown)
        ))?;
    }
    Ok(0)
}

/// Calls `each` with every open letter as a line of JSON, until it wants no more.
fn each_letter(
    history: &History,
    run: &str,
    each: &mut dyn FnMut(&str) -> Result<bool>,
) -> Result<()> {
    let mut after = 0;
    loop {
        let page = history.letters(LetterFilter {
            run: Some(run),
            unresolved: true,
            after,
            limit: EXPORT_PAGE,
            ..LetterFilter::default()
        })?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.number;
        for found in &page {
            let text = serde_json::to_string(&letter::object(found))
                .map_err(|cause| Error::bug("a letter could not be written").caused_by(cause))?;
            if !each(&escape_json(&text))? {
                return Ok(());
            }
        }
    }
}

/// Refused records are source data: the file is its owner's alone.
fn create_private(file: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    created.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => Error::config(
            "errors::exists",
            format!("`{}` exists and is left as it is", file.display()),
        )
        .help("give another name"),
        _ => Error::io("write", file, cause),
    })
}
