//! A store that is the source and the target of one run: read, written anew beside itself, swapped.
//!
//! What the run does would show if it were done twice, and afterwards the store has another column,
//! so that the run's source and plan are gone with the swap. Whoever is killed, at whichever point,
//! leaves the old records or the new ones; whoever goes on ends with the new ones, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::nth::strace;
use super::places::Place;
use super::targets::target;
use super::world::{Answer, scratch};

pub const RECORDS: usize = 30;

/// A folder with jobs that read and write one store.
pub struct World {
    folder: tempfile::TempDir,
    /// On a server, for as long as it is looked at.
    _place: Option<Place>,
    /// `[source]` and `[target]`, as the store is named in both.
    pub store: String,
    /// What else must hold when all is done.
    pub sound: fn(&World),
}

impl World {
    /// A file or a folder in `store/`.
    pub fn file(path: &str) -> World {
        let format = match path.ends_with('/') {
            true => "format = \"jsonl\"\n",
            false => "",
        };
        World::of(
            None,
            format!("backend = \"file\"\npath = \"store/{path}\"\n{format}"),
        )
    }

    /// On a server that all tests share; the keys of `more` are for both ends.
    pub fn on(name: &str, more: &str) -> World {
        let place = Place::of(target(name)).unwrap();
        let store = format!("{}{more}", place.toml());
        World::of(Some(place), store)
    }

    /// Where the keys of `store` say, in the folder.
    pub fn at(store: &str) -> World {
        World::of(None, store.to_owned())
    }

    fn of(place: Option<Place>, store: String) -> World {
        let world = World {
            folder: scratch(),
            _place: place,
            store,
            sound: |_| (),
        };
        world.write(
            "job.toml",
            &world.job("job", &world.store, "replace-all", STEPS),
        );
        world
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn job(&self, name: &str, source: &str, conflict: &str, steps: &str) -> String {
        format!(
            "name = \"{name}\"\n[source]\n{source}key = [\"id\"]\n{steps}[target]\n{}on_conflict = \"{conflict}\"\n\
             [run]\nbatch = {{ rows = 5 }}\nparallel = 1\nverify = \"checksum\"\n",
            self.store
        )
    }

    /// Fills the store; under `replace-all` what has its name is an alias.
    pub fn seed(&self, conflict: &str) {
        let lines: String = (0..RECORDS).map(|i| line(i, false)).collect();
        self.write("seed.jsonl", &lines);
        let source = "backend = \"file\"\npath = \"seed.jsonl\"\n";
        self.write("seed.toml", &self.job("seed", source, conflict, ""));
        let answer = self.run(&["run", "seed.toml"], "");
        assert_eq!(answer.code, 0, "{} {}", answer.last, answer.err);
    }

    pub fn run(&self, words: &[&str], fail: &str) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dkhost"));
        command
            .args(words)
            .arg("--json")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_remove("DKHOST_FAIL");
        if !fail.is_empty() {
            command.env("DKHOST_FAIL", fail);
        }
        command.output().unwrap().into()
    }

    /// What the store holds, as anybody reads it.
    pub fn records(&self) -> BTreeSet<String> {
        let _ = fs::remove_dir_all(self.path("copy"));
        let text = format!(
            "name = \"copy\"\n[source]\n{}[target]\nbackend = \"file\"\npath = \"copy/out.jsonl\"\n",
            self.store
        );
        self.write("copy.toml", &text);
        let answer = self.run(&["run", "copy.toml"], "");
        assert_eq!(answer.code, 0, "{} {}", answer.last, answer.err);
        let text = fs::read_to_string(self.path("copy/out.jsonl")).unwrap();
        let found: Vec<String> = text.lines().map(sorted).collect();
        let set: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(set.len(), found.len(), "no record is there twice");
        set
    }
}

const STEPS: &str = "[[steps]]\nset = { n = \"n + 1\", seen = \"'yes'\" }\n";

fn line(i: usize, after: bool) -> String {
    match after {
        false => format!("{{\"id\":{i},\"n\":{},\"t\":\"Ünï {i}\"}}\n", i * 10),
        true => format!(
            "{{\"id\":{i},\"n\":{},\"seen\":\"yes\",\"t\":\"Ünï {i}\"}}\n",
            i * 10 + 1
        ),
    }
}

fn all(after: bool) -> BTreeSet<String> {
    (0..RECORDS).map(|i| sorted(&line(i, after))).collect()
}

/// A record with its fields by their names, without the id a store gives it beside them, and without
/// what only a table has: a column that nothing was written to yet.
pub fn sorted(line: &str) -> String {
    let mut record: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    record.remove("_id");
    if record.get("seen") == Some(&Value::Null) {
        record.remove("seen");
    }
    serde_json::to_string(&record).unwrap()
}

/// Kills a run at a point, and goes on.
fn play(fresh: &dyn Fn() -> World, fail: &str) {
    let world = fresh();
    let killed = world.run(&["run", "job.toml"], fail);
    let at = format!("{} at {fail}", world.store);
    assert_eq!(killed.code, -9, "{at}: {} {}", killed.last, killed.err);
    let meanwhile = world.records();
    assert!(
        meanwhile == all(false) || meanwhile == all(true),
        "{at}: {meanwhile:?}"
    );
    let ended = world.run(&["run", "job.toml"], "");
    assert_eq!(ended.code, 0, "{at}: {} {}", ended.last, ended.err);
    assert_eq!(world.records(), all(true), "{at}");
    assert_eq!(
        ended.last["resumed"],
        !fail.starts_with("run.start"),
        "{at}"
    );
    assert_eq!(ended.last["counts"]["read"], RECORDS, "{at}");
    assert_eq!(hidden(&world.path("store")), Vec::<String>::new(), "{at}");
    (world.sound)(&world);
}

/// What a run leaves beside a file.
fn hidden(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

pub fn check(fresh: &dyn Fn() -> World, points: &[&str]) {
    let undisturbed = fresh();
    assert_eq!(undisturbed.records(), all(false));
    let answer = undisturbed.run(&["run", "job.toml"], "");
    assert_eq!(answer.code, 0, "{} {}", answer.last, answer.err);
    assert_eq!(undisturbed.records(), all(true));
    (undisturbed.sound)(&undisturbed);
    for point in points {
        play(fresh, &format!("{point}:kill"));
    }
}

/// Those that every run passes; from the second on its result has its name.
pub const OF_THE_RUN: [&str; 4] = [
    "run.batch.committed:2",
    "run.end.verified:1",
    "run.end.published:1",
    "history.end.prepared:1",
];

#[test]
fn a_file_is_replaced_by_what_became_of_it() {
    let points = [
        "file.publish.flushed:1",
        "file.finish.synced:1",
        "file.publish.finished:1",
        "file.publish.logged:1",
        "file.publish.renamed:1",
        "file.publish.synced:1",
        "file.publish.swept:1",
    ];
    let points: Vec<&str> = OF_THE_RUN.into_iter().chain(points).collect();
    for path in ["t.jsonl", "t/"] {
        let fresh = || {
            let world = World::file(path);
            world.seed("insert");
            world
        };
        check(&fresh, &points);
    }
}

#[test]
fn every_format_is_replaced_by_what_became_of_it() {
    for path in [
        "t.json",
        "t.csv",
        "t.tsv.gz",
        "t.jsonl.zst",
        "t.parquet",
        "t.arrow",
    ] {
        let fresh = || {
            let world = World::file(path);
            world.seed("insert");
            world
        };
        check(
            &fresh,
            &[
                "run.batch.committed:2",
                "file.publish.logged:1",
                "run.end.published:1",
            ],
        );
    }
}

#[test]
fn a_file_that_somebody_else_changed_is_still_refused() {
    let world = World::file("t.jsonl");
    world.seed("insert");
    let killed = world.run(&["run", "job.toml"], "file.publish.logged:1:kill");
    assert_eq!(killed.code, -9);
    let theirs = line(0, false);
    fs::write(world.path("store/t.jsonl"), &theirs).unwrap();
    let refused = world.run(&["run", "job.toml"], "");
    assert_eq!(refused.error(), "source::changed", "{}", refused.last);
    assert_eq!(
        fs::read_to_string(world.path("store/t.jsonl")).unwrap(),
        theirs
    );
}

#[test]
fn a_folder_that_was_moved_aside_is_named_and_put_back_by_hand() {
    let world = World::file("t/");
    world.seed("insert");
    // As on a file system that cannot swap two folders.
    let mut around = strace(&[
        "-e",
        "trace=renameat2",
        "-e",
        "inject=renameat2:error=EINVAL",
    ]);
    around.extend([env!("CARGO_BIN_EXE_dkhost"), "run", "job.toml"].map(str::to_owned));
    let killed = Command::new(&around[0])
        .args(&around[1..])
        .current_dir(world.folder.path())
        .env("DKHOST_FAIL", "file.rename.moved-aside:1:kill")
        .output()
        .unwrap();
    assert!(!killed.status.success(), "{killed:?}");
    assert!(!world.path("store/t").exists());
    let refused = world.run(&["run", "job.toml"], "");
    assert_eq!(refused.error(), "file::not_found", "{}", refused.last);
    assert!(
        refused.help().contains("/store/.t.dkhost-old'"),
        "{}",
        refused.help()
    );
    assert!(refused.help().contains("mv '"), "{}", refused.help());
    fs::rename(world.path("store/.t.dkhost-old"), world.path("store/t")).unwrap();
    let ended = world.run(&["run", "job.toml"], "");
    assert_eq!(ended.code, 0, "{} {}", ended.last, ended.err);
    assert_eq!(world.records(), all(true));
    assert_eq!(hidden(&world.path("store")), Vec::<String>::new());
}

/// Those of a target that is an index.
const OF_AN_INDEX: [&str; 3] = [
    "elasticsearch.publish.refreshed:1",
    "elasticsearch.publish.swapped:1",
    "elasticsearch.publish.noted:1",
];

fn index(name: &str, seeded: &str) {
    let fresh = || {
        let world = World::on(name, "");
        world.seed(seeded);
        world
    };
    let points: Vec<&str> = OF_THE_RUN.into_iter().chain(OF_AN_INDEX).collect();
    check(&fresh, &points);
}

#[test]
fn an_index_is_replaced_by_what_became_of_it() {
    index("elasticsearch", "insert");
}

#[test]
fn an_index_behind_an_alias_is_replaced_by_what_became_of_it() {
    index("opensearch-upsert", "replace-all");
}

#[test]
fn an_index_that_was_swapped_in_is_not_swept_by_a_run_that_begins_anew() {
    let world = World::on("elasticsearch", "");
    world.seed("replace-all");
    let killed = world.run(&["run", "job.toml"], "elasticsearch.publish.swapped:1:kill");
    assert_eq!(killed.code, -9, "{} {}", killed.last, killed.err);
    assert_eq!(world.records(), all(true));
    // It reads what it is about to replace, and is killed before it has done anything of it.
    let anew = ["run", "job.toml", "--no-resume"];
    let killed = world.run(&anew, "run.batch.written:1:kill");
    assert_eq!(killed.code, -9, "{} {}", killed.last, killed.err);
    assert_eq!(world.records(), all(true));
}

#[test]
fn objects_are_replaced_by_what_became_of_them() {
    for (name, format) in [("s3", "jsonl"), ("s3-parquet-replace", "parquet")] {
        let fresh = || {
            let world = World::on(name, &format!("format = \"{format}\"\n"));
            world.seed("insert");
            world
        };
        let points = [
            "s3.publish.flushed:1",
            "s3.publish.manifest:1",
            "s3.publish.latest:1",
        ];
        let points: Vec<&str> = OF_THE_RUN.into_iter().chain(points).collect();
        check(&fresh, &points);
    }
}

/// Records that are an object each are replaced one by one: a step that may meet a record twice.
const TWICE: &str = "[[steps]]\nset = { seen = \"'yes'\", n = \"n - n % 10 + 1\" }\n";

#[test]
fn records_are_replaced_one_by_one_by_what_became_of_them() {
    let fresh = || {
        let world = World::on("s3", "object = \"record\"\n");
        world.seed("insert");
        world.write("job.toml", &world.job("job", &world.store, "upsert", TWICE));
        world
    };
    for fail in [
        "run.batch.committed:2:kill",
        "s3.records.sent:2:kill",
        "run.end.published:1:kill",
    ] {
        let world = fresh();
        let killed = world.run(&["run", "job.toml"], fail);
        assert_eq!(killed.code, -9, "{fail}: {} {}", killed.last, killed.err);
        let mut ended = world.run(&["run", "job.toml"], "");
        if !fail.contains("published") {
            // Some records have a field more by now, and with them the source.
            assert_eq!(ended.error(), "run::plan_changed", "{fail}: {}", ended.last);
            ended = world.run(&["run", "job.toml", "--accept-plan-change"], "");
        }
        assert_eq!(ended.code, 0, "{fail}: {} {}", ended.last, ended.err);
        assert_eq!(world.records(), all(true), "{fail}");
        assert_eq!(ended.last["counts"]["read"], RECORDS, "{fail}");
    }
}
