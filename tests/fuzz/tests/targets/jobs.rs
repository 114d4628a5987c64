//! Job files: any text is a job, or an error that says where and what to type next; and a plan
//! writes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dkhost_core::tree;
use dkhost_core::{Class, Error, Node, NodeKind};
use dkhost_engine::job::PluginSettings;
use dkhost_engine::plan::Purpose;
use dkhost_engine::registry::LoadedPlugin;
use dkhost_engine::{Job, Plan, PluginLoader, Registry};
use dkhost_fuzz::Fuzz;

const JOB: &str = include_str!("../../corpus/jobs/everything.toml");

const WORDS: &[&str] = &[
    "[source]\n",
    "[target]\n",
    "[[steps]]\n",
    "[run]\n",
    "[plugins.x]\n",
    "[state]\n",
    "backend = ",
    "path = ",
    "\"file\"",
    "\"sqlite\"",
    "\"memory\"",
    "table = ",
    "query = ",
    "records = [",
    "key = [\"id\"]",
    "filter = ",
    "columns = [",
    "partitions = \"auto\"",
    "limit = ",
    "rename = {",
    "set = {",
    "apply = {",
    "drop = [",
    "keep = [",
    "plugin = ",
    "config = {",
    "on_conflict = \"replace-all\"",
    "on_error = { dead_letter = { max = ",
    "max_ratio = ",
    "batch = { rows = ",
    "memory = ",
    "\"8MiB\"",
    "parallel = ",
    "retry = {",
    "${HOME}",
    "${UNSET}",
    "${",
    "$${",
    "now()",
    "lower(",
    "id > 1",
    "cast(a as int64)",
    "case when ",
    "(((((",
    "'",
    "\"\"\"",
    "'''",
    "\\u0000",
    "\\u202e",
    "[[[[",
    "{a={a={a=",
    "1979-05-27",
    "inf",
    "nan",
    "1e308",
    "-1",
    "0",
    "true",
    "#",
    "\n",
    "=",
    ".",
    "\"in.jsonl\"",
    "\"in.csv\"",
    "\"out.db\"",
    "\"out.csv\"",
    "regex_replace = { pattern = \"(\", with = \"\" }",
    "type_cast = { to = \"int64\" }",
    "verify = \"full\"",
];

struct NoPlugins;

impl PluginLoader for NoPlugins {
    fn load(&self, path: &Path, _: &PluginSettings) -> Result<Arc<dyn LoadedPlugin>, Error> {
        Err(Error::config(
            "io::not_found",
            format!("no plugins here: {}", path.display()),
        )
        .help("none"))
    }
}

fn registry() -> Registry {
    Registry {
        backends: vec![
            Arc::new(dkhost_core::memory::Memory),
            Arc::new(dkhost_file::FileBackend),
            Arc::new(dkhost_sqlite::SqliteBackend),
        ],
        plugins: Arc::new(NoPlugins),
    }
}

fn variables(name: &str) -> Option<String> {
    (name == "HOME").then(|| "${HOME}".to_owned())
}

/// Every error has a code, a sentence, a place inside of the file and something to type next.
fn well_said(error: &Error, text: &str) {
    assert_ne!(error.class(), Class::Bug, "{}", error.chain());
    let message = error.to_string();
    assert!(
        !message.is_empty() && !message.ends_with('.'),
        "{message:?}"
    );
    if let Some((span, _)) = error.place() {
        assert!(
            span.start <= span.end && span.end <= text.len(),
            "{span:?} is not in the file"
        );
    }
    assert!(
        error.help_text().is_some_and(|help| !help.is_empty()),
        "no help: {}: {message}",
        error.code()
    );
}

/// Whether a text of the job leads out of its folder.
fn leads_out(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Text(text) => text.starts_with('/') || text.contains("..") || text.contains(":/"),
        NodeKind::Array(items) => items.iter().any(leads_out),
        NodeKind::Table(entries) => entries.iter().any(|(_, _, node)| leads_out(node)),
        _ => false,
    }
}

/// Names, sizes and contents of everything in a folder.
fn listing(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read(entry.path()).unwrap_or_default(),
            )
        })
        .collect()
}

fn shape(error: &Error) -> String {
    let message: String = error
        .to_string()
        .chars()
        .filter(|c| c.is_alphabetic() || *c == ' ')
        .take(30)
        .collect();
    format!("{} {message}", error.code())
}

#[test]
fn a_job_is_read_or_refused_with_its_place_and_plans_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("in.jsonl"),
        "{\"id\":1,\"email\":\"a@b.c\",\"price\":1.5,\"at\":\"2020-01-01\"}\n",
    )
    .unwrap();
    std::fs::write(path("in.csv"), "id,email,price\n1,a@b.c,1.5\n").unwrap();
    let db = rusqlite::Connection::open(path("in.db")).unwrap();
    db.execute_batch(
        "create table t (id integer primary key, email text); insert into t values (1, 'x')",
    )
    .unwrap();
    drop(db);
    let before = listing(folder.path());
    let planned = Job::parse(&path("job.toml"), JOB.to_owned(), &variables, &[])
        .and_then(|job| Plan::make(job, &registry(), Purpose::Run));
    assert_eq!(
        planned.map(|plan| plan.stages.len()).ok(),
        Some(7),
        "the seed is a job"
    );
    Fuzz::target("jobs")
        .words(WORDS)
        .rounds(6_000)
        .run(|input| {
            let Ok(text) = std::str::from_utf8(input) else {
                return "not UTF-8".to_owned();
            };
            let job = match Job::parse(&path("job.toml"), text.to_owned(), &variables, &[]) {
                Ok(job) => job,
                Err(error) => {
                    well_said(&error, text);
                    assert_eq!(error.class(), Class::Config, "{}", error.chain());
                    assert!(
                        error.place().is_some(),
                        "no place: {}: {error}",
                        error.code()
                    );
                    return shape(&error);
                }
            };
            if tree::parse(text, "job file", &variables).is_ok_and(|root| leads_out(&root)) {
                return "leads out".to_owned();
            }
            let planned = Plan::make(job, &registry(), Purpose::Run);
            assert_eq!(listing(folder.path()), before, "a plan wrote something");
            match planned {
                Ok(plan) => format!("planned {} stages", plan.stages.len()),
                Err(error) => {
                    well_said(&error, text);
                    shape(&error)
                }
            }
        });
}
