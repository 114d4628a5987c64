//! `dkhost schema history`: which store was brought to which version, by whom, by which files; and
//! which of these files say something else today.

use std::path::{Component, Path, PathBuf};

use dkhost_core::{Error, Result};
use dkhost_engine::Job;
use dkhost_engine::history::{
    ApplicationFilter, ApplicationRecord, Author, Edited, History, Hop, StateUrl, Status, digest,
    edited,
};
use dkhost_engine::job::{DEFAULT_SCHEMAS, DEFAULT_STATE};
use serde_json::{Value, json};

use crate::args::StateArgs;
use crate::commands::history::moment;
use crate::commands::lenient;
use crate::escape::escape;
use crate::screen::{Paint, Screen};
use crate::table::{Cell, Table, clip, count, duration};

/// Lists applications, latest first: of the schema `named`, by the job of `job`.
///
/// Migration files are looked for in `schemas`; when left out, where the job says they lie.
///
/// *Errors* – `history::empty` when there is no history; looking never creates one.
pub fn history(
    named: Option<&str>,
    job: Option<&Path>,
    schemas: Option<&Path>,
    limit: u32,
    state: &StateArgs,
    screen: &mut Screen,
) -> Result<i32> {
    let job = job.map(|path| Job::load(path, &lenient, &[])).transpose()?;
    let folder = match (schemas, &job) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(job)) => job.schemas.clone(),
        (None, None) => PathBuf::from(DEFAULT_SCHEMAS),
    };
    // Files are compared with all that was applied, however little of it is listed.
    let filter = ApplicationFilter {
        schema: named,
        job: job.as_ref().map(|job| job.name.as_str()),
        limit: u32::MAX,
    };
    let all = open(job.as_ref(), state)?.applications(filter)?;
    let edits = match folder.is_dir() {
        true => edited(&all, &|schema, hop| digest_now(&folder, schema, hop)),
        false => Vec::new(),
    };
    let records = &all[..all.len().min(limit as usize)];
    if screen.json {
        for record in records {
            screen.object(&object(record, &edits))?;
        }
        return Ok(0);
    }
    let mut lines = match all.is_empty() {
        true => nothing(named, job.as_ref(), screen.paint),
        false => list(records, screen.paint),
    };
    if records.len() < all.len() {
        lines.push(screen.paint.dim("older applications: --limit N"));
    }
    lines.extend(warnings(records, &edits, &folder, screen.paint));
    screen.line(lines.join("\n"))?;
    Ok(0)
}

fn open(job: Option<&Job>, state: &StateArgs) -> Result<History> {
    let place = match (&state.state, job) {
        (Some(url), _) => StateUrl::parse(url, Path::new("."))?,
        (None, Some(job)) => job.state.clone(),
        (None, None) => StateUrl::parse(DEFAULT_STATE, Path::new("."))?,
    };
    History::open_existing(&place)?.ok_or_else(|| {
        Error::config(
            "history::empty",
            format!("there is no history at `{place}`"),
        )
        .help("name the job (`dkhost schema history --job job.toml`) or the history (--state URL); the first `dkhost schema apply` makes it")
    })
}

/// The digest of a hop's file as it is now. Names come from the history, which others may write:
/// only a file in the schema's own folder is looked at.
pub(super) fn digest_now(folder: &Path, schema: &str, hop: &Hop) -> Option<String> {
    let path = folder.join(plain(schema)?).join(plain(hop.by.name())?);
    if !path.is_file() {
        return None;
    }
    Some(digest(&std::fs::read(path).ok()?))
}

/// A name that leads nowhere else.
fn plain(name: &str) -> Option<&str> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Some(name),
        _ => None,
    }
}

/// An application for programs: everything the history holds, and which of its files were edited.
fn object(record: &ApplicationRecord, edits: &[Edited]) -> Value {
    let mut object = json!(record);
    let touched = edits.iter().filter(|edit| is_of(record, edit));
    let touched =
        touched.map(|edit| json!({ "file": edit.file, "digest": edit.digest, "now": edit.now }));
    object["edited"] = touched.collect();
    object
}

fn is_of(record: &ApplicationRecord, edit: &Edited) -> bool {
    record.status == Status::Done
        && record.application.schema == edit.schema
        && record.application.hops.iter().any(|hop| {
            matches!(&hop.by, Author::File(file) if *file == edit.file) && hop.digest == edit.digest
        })
}

fn nothing(named: Option<&str>, job: Option<&Job>, paint: Paint) -> Vec<String> {
    let schema = escape(named.unwrap_or("NAME"));
    let path = job.map_or_else(
        || "job.toml".to_owned(),
        |job| job.path.display().to_string(),
    );
    let what = match (named, job) {
        (None, None) => "no schema was applied yet".to_owned(),
        (Some(_), None) => format!("no version of {schema} was applied yet"),
        (None, Some(job)) => format!("{} applied no schema yet", escape(&job.name)),
        (Some(_), Some(job)) => format!("{} applied no version of {schema} yet", escape(&job.name)),
    };
    let command = format!(
        "dkhost schema apply {schema} --to VERSION --job {}",
        escape(&path)
    );
    vec![what, String::new(), format!("  {}", paint.cyan(&command))]
}

/// Columns of a name that is shown whole.
const NAME_SHOWN: usize = 40;

fn list(records: &[ApplicationRecord], paint: Paint) -> Vec<String> {
    let names = [
        ("when", false),
        ("schema", false),
        ("from -> to", false),
        ("", false),
        ("job", false),
        ("store", false),
        ("who", false),
        ("by", false),
        ("changed", true),
        ("unchanged", true),
        ("rejected", true),
        ("took", true),
        ("status", false),
    ];
    let mut table = Table::default();
    table.row(names.map(|(name, right)| {
        let heading = Cell::new(name).painted(|text| paint.dim(text));
        if right { heading.right() } else { heading }
    }));
    for record in records {
        table.row(row(record, paint));
    }
    table.lines()
}

fn row(record: &ApplicationRecord, paint: Paint) -> [Cell; 13] {
    let application = &record.application;
    let name = |text: &str| Cell::new(clip(&escape(text), NAME_SHOWN));
    let from = application.from.as_deref().unwrap_or("several");
    let by: Vec<&str> = application.hops.iter().map(|hop| hop.by.name()).collect();
    let [changed, unchanged, rejected] = match record.counts {
        Some(counts) => [counts.changed, counts.unchanged, counts.rejected].map(count),
        None => Default::default(),
    };
    // A process that was killed told nobody how long it lived.
    let took = match record.duration_ms {
        0 if record.counts.is_none() => String::new(),
        known => duration(known),
    };
    [
        Cell::new(moment(&record.started_at)),
        name(&application.schema),
        name(&format!("{from} -> {}", application.to)),
        Cell::new(application.direction.word()),
        name(&application.job),
        name(&application.store),
        name(&application.who),
        name(&by.join(", ")),
        Cell::new(changed).right(),
        Cell::new(unchanged).right(),
        Cell::new(rejected).right(),
        Cell::new(took).right(),
        status(record.status, paint),
    ]
}

fn status(status: Status, paint: Paint) -> Cell {
    let word = Cell::new(status.word());
    match status {
        Status::Done => word.painted(|text| paint.green(text)),
        Status::Stopped | Status::Running => word.painted(|text| paint.yellow(text)),
        Status::Failed => word.painted(|text| paint.red(text)),
        Status::Abandoned => word.painted(|text| paint.dim(text)),
    }
}

/// What is to be known beside the list: why something stopped, and which files changed later.
fn warnings(
    records: &[ApplicationRecord],
    edits: &[Edited],
    folder: &Path,
    paint: Paint,
) -> Vec<String> {
    let why = records.iter().filter_map(|record| {
        let (why, application) = (record.message.as_deref()?, &record.application);
        let [schema, to, store] =
            [&application.schema, &application.to, &application.store].map(|name| escape(name));
        let word = record.status.word();
        Some(format!("{schema}@{to} {word} on {store}: {}", escape(why)))
    });
    let edits = edits.iter().map(|edit| paint.yellow(&warning(edit)));
    let mut told: Vec<String> = why.chain(edits).collect();
    let by_file = |record: &ApplicationRecord| {
        let mut authors = record.application.hops.iter().map(|hop| &hop.by);
        authors.any(|author| matches!(author, Author::File(_)))
    };
    if !folder.is_dir() && records.iter().any(by_file) {
        let folder = folder.display().to_string();
        let line = format!(
            "whether migration files were edited later is not known: there is no folder {}",
            escape(&folder)
        );
        told.push(paint.dim(&line));
    }
    if !told.is_empty() {
        told.insert(0, String::new());
    }
    told
}

fn warning(edit: &Edited) -> String {
    let what = match edit.now {
        Some(_) => "was edited",
        None => "was removed",
    };
    format!(
        "{}/{} {what} after it was applied on {} to {}",
        escape(&edit.schema),
        escape(&edit.file),
        moment(&edit.applied_at),
        escape(&edit.store)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_out_of_the_history_leads_nowhere_else() {
        assert_eq!(plain("1.0.0--2.0.0.toml"), Some("1.0.0--2.0.0.toml"));
        for elsewhere in ["", ".", "..", "../x", "a/b", "/etc/passwd"] {
            assert_eq!(plain(elsewhere), None, "{elsewhere}");
        }
    }
}
