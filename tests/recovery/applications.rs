//! A store that is brought to another version of its schema, killed on the way.
//!
//! Whoever is killed leaves records of the one version or the other; the same command goes on, or
//! finds that nothing is left to do; and the history of applications tells what became of it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::world::{Answer, scratch};

const RECORDS: u64 = 30;

const FILES: [(&str, &str); 4] = [
    (
        "schemas/user/1.0.0.toml",
        "[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.years]\ntype = \"int64\"\n",
    ),
    (
        "schemas/user/2.0.0.toml",
        "[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.age]\ntype = \"int64\"\nwas = \"years\"\n",
    ),
    (
        "schemas/user/1.0.0--2.0.0.toml",
        "[[up]]\nrename = { years = \"age\" }\n[[down]]\nrename = { age = \"years\" }\n",
    ),
    (
        "job.toml",
        "name = \"users\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\n\
         [target]\nbackend = \"file\"\npath = \"out.jsonl\"\non_conflict = \"replace-all\"\n\
         [run]\nbatch = { rows = 5 }\nparallel = 1\n",
    ),
];

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World { folder: scratch() };
        fs::create_dir_all(world.folder.path().join("schemas/user")).unwrap();
        let records: String = (0..RECORDS)
            .map(|id| format!("{{\"id\":{id},\"years\":{}}}\n", id * 2))
            .collect();
        for (name, text) in FILES.into_iter().chain([("in.jsonl", records.as_str())]) {
            fs::write(world.folder.path().join(name), text).unwrap();
        }
        let answer = world.run(&["run", "job.toml"], "");
        assert_eq!(answer.code, 0, "{}", answer.err);
        world
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dkhost"));
        command
            .args(words)
            .arg("--json")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_remove("DKHOST_FAIL");
        command
    }

    fn run(&self, words: &[&str], fail: &str) -> Answer {
        let mut command = self.command(words);
        if !fail.is_empty() {
            command.env("DKHOST_FAIL", fail);
        }
        command.output().unwrap().into()
    }

    fn apply(&self, fail: &str) -> Answer {
        let words = "schema apply user --from 1.0.0 --to 2.0.0 --job job.toml";
        self.run(&words.split(' ').collect::<Vec<_>>(), fail)
    }

    /// Status and counts of every application, the first one first.
    fn applications(&self) -> Vec<Value> {
        let output = self.command(&["schema", "history"]).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let lines = out.lines().rev().map(|line| {
            let one: Value = serde_json::from_str(line).unwrap();
            json!([one["status"], one["counts"]])
        });
        lines.collect()
    }

    /// The names of the fields of all records, and how many there are.
    fn shape(&self) -> (BTreeSet<String>, usize) {
        let text = fs::read_to_string(self.folder.path().join("out.jsonl")).unwrap();
        let records = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let fields = records.flat_map(|record| {
            let names = record.as_object().unwrap().keys().cloned();
            names.collect::<Vec<_>>()
        });
        (fields.collect(), text.lines().count())
    }
}

fn shape(fields: &[&str]) -> (BTreeSet<String>, usize) {
    let fields = fields.iter().map(|name| (*name).to_owned());
    (fields.collect(), RECORDS as usize)
}

#[test]
fn an_application_that_is_killed_goes_on_and_is_told_truly() {
    let counted = |changed: u64, unchanged: u64| json!({ "changed": changed, "unchanged": unchanged, "rejected": 0 });
    let done = json!(["done", counted(RECORDS, 0)]);
    let running = vec![json!(["running", null])];
    // The one who comes after all is done meets records that have the version.
    let again = vec![done.clone(), json!(["done", counted(0, RECORDS)])];
    for (point, meanwhile, after) in [
        ("history.begin.committed:1", vec![], vec![done.clone()]),
        ("run.batch.committed:2", running.clone(), vec![done.clone()]),
        ("run.end.verified:1", running.clone(), vec![done.clone()]),
        ("run.end.published:1", running.clone(), vec![done.clone()]),
        ("history.end.prepared:1", running, vec![done.clone()]),
        ("history.end.committed:1", vec![done.clone()], again.clone()),
        ("run.end.recorded:1", vec![done], again),
    ] {
        let world = World::new();
        let killed = world.apply(&format!("{point}:kill"));
        assert_eq!(killed.code, -9, "{point}: {} {}", killed.last, killed.err);
        assert_eq!(world.applications(), meanwhile, "{point}");
        let (old, new) = (
            shape(&["id", "years"]),
            shape(&["id", "age", "_schema_version"]),
        );
        assert!([old, new.clone()].contains(&world.shape()), "{point}");
        let ended = world.apply("");
        assert_eq!(ended.code, 0, "{point}: {} {}", ended.last, ended.err);
        assert_eq!(world.shape(), new, "{point}");
        assert_eq!(world.applications(), after, "{point}");
    }
}
