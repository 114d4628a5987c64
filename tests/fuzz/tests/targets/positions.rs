//! Positions and slices as a checkpoint or a history might hold them after somebody edited it: read
//! from, or refused.

use dkhost_core::{Backend, BatchSize, Class, OpenSource, Options, Partition, Position, Source};
use dkhost_file::FileBackend;
use dkhost_fuzz::Fuzz;
use dkhost_sqlite::SqliteBackend;
use serde_json::{Value, json};
use tempfile::TempDir;

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "\"at\":",
    "\"offset\":",
    "\"line\":",
    "\"before\":",
    "\"inside\":",
    "\"group\":",
    "\"row\":",
    "\"file\":",
    "\"from\":",
    "\"to\":",
    "\"slice\":",
    "\"position\":",
    "\"rowid\":",
    "\"key\":",
    "-1",
    "1",
    "18446744073709551615",
    "9223372036854775807",
    "1e999",
    "\"\"",
    "\"a\"",
    "true",
];

/// Sources of every kind of position.
fn sources(folder: &TempDir) -> Vec<Box<dyn Source>> {
    let path = |name: &str| folder.path().join(name);
    let lines: String = (0..20)
        .map(|n| format!("{{\"n\":{n},\"t\":\"x{n}\"}}\n"))
        .collect();
    std::fs::write(path("x.jsonl"), &lines).unwrap();
    std::fs::write(
        path("x.json"),
        format!("[{}]", lines.trim_end().replace('\n', ",")),
    )
    .unwrap();
    let cells: String = (0..20).map(|n| format!("{n},\"x{n}\"\n")).collect();
    std::fs::write(path("x.csv"), format!("n,t\n{cells}")).unwrap();
    std::fs::write(
        path("x.csv.gz"),
        crate::reading::gzip(format!("n,t\n{cells}").as_bytes()),
    )
    .unwrap();
    let db = rusqlite::Connection::open(path("x.db")).unwrap();
    db.execute_batch(
        "create table t (id integer primary key, t text); create table k (a text, b real, t, primary key (a, b)) without rowid;
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 20)
         insert into t select i, 'x' || i from n; insert into k select 'x' || id, id * 0.5, t from t",
    )
    .unwrap();
    drop(db);
    let open = OpenSource {
        base: folder.path().to_owned(),
        batch: BatchSize {
            rows: 3,
            bytes: 1 << 20,
        },
        partitions: 1,
        ..OpenSource::default()
    };
    let of = |backend: &dyn Backend, options: Value| {
        let options = Options::from_json("[source]", &options).unwrap();
        backend.open_source(options, &open).unwrap()
    };
    let file = |name: &str| of(&FileBackend, json!({ "path": name }));
    let table = |name: &str| of(&SqliteBackend, json!({ "path": "x.db", "table": name }));
    vec![
        file("x.jsonl"),
        file("x.json"),
        file("x.csv"),
        file("x.csv.gz"),
        table("t"),
        table("k"),
    ]
}

/// Positions and slices these sources make themselves.
fn genuine(which: usize, source: &dyn Source) -> Vec<String> {
    let mut seeds = Vec::new();
    for partition in source.partitions().unwrap() {
        let mut reader = source.read(&partition, &Position::start()).unwrap();
        for _ in 0..3 {
            let until = reader.next().unwrap().unwrap().until;
            seeds.push(format!(
                "{which}{}",
                json!({ "position": until, "slice": partition.slice })
            ));
        }
    }
    seeds
}

#[test]
fn a_position_is_read_from_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(&folder);
    let seeds: Vec<String> = sources
        .iter()
        .enumerate()
        .flat_map(|(which, source)| genuine(which, &**source))
        .collect();
    let fuzz = seeds
        .into_iter()
        .fold(Fuzz::target("positions"), Fuzz::seed);
    fuzz.words(WORDS).rounds(3_000).run(|input| {
        let (which, text) = crate::reading::variant(input, sources.len());
        let Ok(Value::Object(place)) = serde_json::from_slice(text) else {
            return "no JSON".to_owned();
        };
        let part = |name: &str| place.get(name).cloned().unwrap_or_default();
        let partition = Partition {
            index: 0,
            label: "p".into(),
            slice: part("slice"),
        };
        // A slice of another file is another file: the history says what a run reads.
        let genuine =
            sources[which].partitions().unwrap()[0].slice["file"] == partition.slice["file"];
        let read = || {
            let mut reader = sources[which].read(&partition, &Position(part("position")))?;
            let mut records = 0;
            while let Some(batch) = reader.next()? {
                records += batch.source.len();
                assert!(records <= 20 || !genuine, "more records than there are");
            }
            Ok::<usize, dkhost_core::Error>(records)
        };
        match read() {
            Ok(records) => format!("{which} {records} records"),
            Err(error) => {
                assert_ne!(error.class(), Class::Bug, "{}", error.chain());
                format!("{which} {}", error.code())
            }
        }
    });
}
