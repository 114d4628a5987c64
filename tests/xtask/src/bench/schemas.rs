//! What it costs to hold records against a version of their schema, and to bring them to another.
//!
//! `dkhost validate` reads every record and takes it through every step, and writes nothing: what a
//! job with the step costs more than the one without is the step.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::figures::{self, Rounds};
use super::jobs::Jobs;
use super::json::Json;
use super::measure::{self, Usage};
use super::routes::Role;
use super::rows::Input;
use super::targets::{Bound, Target};
use super::wish::Wish;
use crate::shell::{self, Outcome};

/// Records when nobody says how many.
const ROWS: u64 = 1_000_000;

/// Rounds for each that was asked for.
const ROUNDS: usize = 4;

/// As `--route` knows it.
const NAME: &str = "schemas";

/// The version the records are of: ten fields, eight rules.
const OLD: &str = r#"
key = ["id"]

[fields.id]
type = "int64"
range = { min = 1 }
[fields.name]
type = "utf8"
not_empty = true
[fields.email]
type = "utf8"
pattern = "^[^@ ]+@[^@ ]+$"
length = { max = 100 }
[fields.phone]
type = "utf8"
length = { min = 10, max = 20 }
[fields.country]
type = "utf8"
[fields.city]
type = "utf8"
[fields.status]
type = "utf8"
one_of = ["active", "paused", "closed"]
[fields.amount]
type = "float64"
range = { min = 0, max = 10000 }
[fields.visits]
type = "int64"
range = { min = 0, max = 1000 }
[fields.updated_at]
type = "utf8"
"#;

/// The same records without rules: what migrating costs is then not what checking costs.
const PLAIN: &str = r#"
key = ["id"]

[fields.id]
type = "int64"
[fields.name]
type = "utf8"
[fields.email]
type = "utf8"
[fields.phone]
type = "utf8"
[fields.country]
type = "utf8"
[fields.city]
type = "utf8"
[fields.status]
type = "utf8"
[fields.amount]
type = "float64"
[fields.visits]
type = "int64"
[fields.updated_at]
type = "utf8"
"#;

/// The steps of the generated migration, as they are written by hand.
const STEPS: &str = "[[steps]]\nrename = { city = \"town\" }\n\
    [[steps]]\napply = { visits = { type_cast = { to = \"utf8\" } } }\n\
    [[steps]]\nset = { source = \"'crm'\" }\n";

const UP: &str = "[[up]]\nrename = { city = \"town\" }\n[[up]]\ncast = { visits = \"utf8\" }\n\
    [[up]]\nadd = { source = \"'crm'\" }\n\
    [[down]]\nremove = [\"source\"]\n[[down]]\ncast = { visits = \"int64\" }\n\
    [[down]]\nrename = { town = \"city\" }\n";

/// What came out: reading alone, with `validate`, with steps written by hand, with `migrate`.
#[derive(Default)]
pub struct Measured {
    rows: u64,
    usages: Vec<Rounds>,
}

const TITLES: [&str; 4] = [
    "reading alone",
    "`validate`, 10 fields and 8 rules",
    "rename + type_cast + set, by hand",
    "`migrate`, the same three generated",
];

impl Measured {
    fn of(&self, place: usize) -> &[Usage] {
        self.usages.get(place).map_or(&[], Vec::as_slice)
    }
}

/// Whether it is wanted.
pub fn is_wanted(wish: &Wish) -> bool {
    wish.has(NAME) && wish.wants(NAME)
}

/// Measures the four by turns.
pub fn measure(wish: &Wish, jobs: &Jobs) -> Outcome<Measured> {
    let rows = wish.rows.as_ref().and_then(|rows| rows.first());
    let rows = rows.copied().unwrap_or(ROWS);
    let records = jobs.parquet(&Input::of(jobs.folder(), rows)?)?;
    versions(jobs.folder())?;
    let commands = [
        job(jobs, "read", &records, "")?,
        job(
            jobs,
            "validate",
            &records,
            "[[steps]]\nvalidate = \"ruled@1.0.0\"\n",
        )?,
        job(jobs, "by-hand", &records, STEPS)?,
        job(
            jobs,
            "migrate",
            &records,
            "[[steps]]\nmigrate = { schema = \"plain\", from = \"1.0.0\", to = \"2.0.0\" }\n",
        )?,
    ];
    let mut usages = vec![Rounds::new(); commands.len()];
    // Each takes a fifth of a second, of which the clock's steps are a part: many rounds, summed.
    let runs = wish.runs * ROUNDS;
    // A round before the first warms the page cache.
    for round in 0..=runs {
        for ((title, arguments), usages) in TITLES.iter().zip(&commands).zip(&mut usages) {
            eprintln!("round {round} of {runs}: {NAME} – {title}");
            let mut command = Command::new(&arguments[0]);
            let usage = measure::run(command.current_dir(shell::root()).args(&arguments[1..]))?;
            if round > 0 {
                usages.push(usage);
            }
        }
    }
    Ok(Measured { rows, usages })
}

/// Writes the schemas beside the jobs.
fn versions(folder: &Path) -> Outcome {
    let new = PLAIN.replace("[fields.city]", "[fields.town]").replace(
        "[fields.visits]\ntype = \"int64\"",
        "[fields.visits]\ntype = \"utf8\"",
    );
    let new = format!("{new}[fields.source]\ntype = \"utf8\"\n");
    for (file, text) in [
        ("ruled/1.0.0.toml", OLD),
        ("plain/1.0.0.toml", PLAIN),
        ("plain/2.0.0.toml", &new),
        ("plain/1.0.0--2.0.0.toml", UP),
    ] {
        let path = folder.join("schemas").join(file);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, text))
            .map_err(|cause| format!("cannot write {}: {cause}", path.display()))?;
    }
    Ok(())
}

/// The command line of `dkhost validate` for a job with these steps.
fn job(jobs: &Jobs, name: &str, records: &Path, steps: &str) -> Outcome<Vec<String>> {
    let name = format!("{NAME}-{name}");
    let source = format!(
        "backend = \"file\"\npath = {:?}",
        records.display().to_string()
    );
    let target = "backend = \"file\"\npath = \"unwritten.jsonl\"";
    let arguments = jobs.written(&name, &source, target, Role::Plain, "")?;
    let (program, path) = (&arguments[0], PathBuf::from(&arguments[2]));
    let text = std::fs::read_to_string(&path).map_err(|cause| cause.to_string())?;
    std::fs::write(&path, format!("{text}\n{steps}")).map_err(|cause| cause.to_string())?;
    Ok(vec![
        program.clone(),
        "validate".into(),
        arguments[2].clone(),
    ])
}

/// What is wanted of both.
pub fn targets(measured: &Measured) -> Vec<Target> {
    if measured.usages.is_empty() {
        return Vec::new();
    }
    let (read, by_hand) = (measured.of(0), measured.of(2));
    vec![
        Target {
            name: format!("validate, {} records: CPU of the step", measured.rows),
            value: figures::extra_ns(measured.of(1), read, measured.rows) * measured.rows as f64
                / 1e9,
            bound: Bound::AtMost(0.5 * measured.rows as f64 / ROWS as f64),
            unit: "s",
        },
        Target {
            name: format!(
                "migrate, {} records: CPU against the same steps by hand",
                measured.rows
            ),
            value: summed(measured.of(3)) / summed(by_hand),
            bound: Bound::AtMost(1.05),
            unit: "×",
        },
    ]
}

/// CPU seconds of all rounds.
fn summed(usages: &[Usage]) -> f64 {
    usages.iter().map(figures::cpu).sum()
}

/// The table.
pub fn markdown(measured: &Measured) -> String {
    if measured.usages.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n| {} records of 10 fields, Parquet, nothing written | CPU s | ns a record more than reading | peak MiB |\n|---|--:|--:|--:|\n",
        measured.rows
    );
    for (title, usages) in TITLES.iter().zip(&measured.usages) {
        let _ = writeln!(
            text,
            "| {title} | {:.2} | {:.0} | {:.0} |",
            figures::median(usages.iter().map(figures::cpu)),
            figures::extra_ns(usages, measured.of(0), measured.rows),
            figures::median(usages.iter().map(figures::mib)),
        );
    }
    text
}

/// The figures of every round.
pub fn json(measured: &Measured) -> Vec<Json> {
    let told = TITLES.iter().zip(&measured.usages).map(|(title, usages)| {
        let cpu = usages.iter().map(figures::cpu).map(Json::Number);
        Json::Object(vec![
            ("name", Json::Text((*title).to_owned())),
            ("cpu_s", Json::List(cpu.collect())),
        ])
    });
    told.collect()
}
