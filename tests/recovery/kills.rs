//! `kill -9` at random moments: crash and resume must equal one clean run.
//!
//! Every seed kills the process some times at moments of its own, lets the job go on, and compares
//! the target with that of an undisturbed run. A seed that fails is printed; `DKHOST_SEED=17 cargo
//! test --test recovery` plays it alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RECORDS: usize = 6_000;

/// Seeds per target in the ordinary test run; the torture command runs more.
const SEEDS: u64 = 3;

struct Target {
    name: &'static str,
    toml: &'static str,
    /// The file or folder to compare.
    path: &'static str,
}

const TARGETS: &[Target] = &[
    Target {
        name: "sqlite",
        toml: "backend = \"sqlite\"\npath = \"out/t.db\"\ntable = \"t\"",
        path: "out/t.db",
    },
    Target {
        name: "jsonl",
        toml: "backend = \"file\"\npath = \"out/t.jsonl\"",
        path: "out/t.jsonl",
    },
    Target {
        name: "jsonl-gz",
        toml: "backend = \"file\"\npath = \"out/t.jsonl.gz\"",
        path: "out/t.jsonl.gz",
    },
    Target {
        name: "json",
        toml: "backend = \"file\"\npath = \"out/t.json\"",
        path: "out/t.json",
    },
    Target {
        name: "csv-zst",
        toml: "backend = \"file\"\npath = \"out/t.csv.zst\"",
        path: "out/t.csv.zst",
    },
    Target {
        name: "parquet",
        toml: "backend = \"file\"\npath = \"out/t.parquet\"",
        path: "out/t.parquet",
    },
    Target {
        name: "arrow",
        toml: "backend = \"file\"\npath = \"out/t.arrow\"",
        path: "out/t.arrow",
    },
    Target {
        name: "folder",
        toml: "backend = \"file\"\npath = \"out/t/\"\nformat = \"jsonl\"",
        path: "out/t",
    },
];

struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Two source files, so that there are two partitions, and the job that moves them.
    fn new(target: &Target) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        for part in 0..2 {
            let lines: String = (part * RECORDS / 2..(part + 1) * RECORDS / 2)
                .map(|i| {
                    format!(
                        "{{\"id\":{i},\"name\":\"Ünï {i}\",\"price\":{}.25,\"even\":{}}}\n",
                        i * 7,
                        i % 2 == 0
                    )
                })
                .collect();
            fs::write(folder.path().join(format!("in/{part}.jsonl")), lines).unwrap();
        }
        // One record in a thousand is refused by a step, so that dead letters take part.
        let job = format!(
            "name = \"killed\"\n[source]\nbackend = \"file\"\npath = \"in/*.jsonl\"\n\
             [[steps]]\nset = {{ share = \"1000 / (id % 1000)\" }}\n[[steps]]\nfilter = \"id % 10 <> 7\"\n\
             [target]\n{}\n[run]\nbatch = {{ rows = 100 }}\non_error = \"dead-letter\"\nverify = \"checksum\"\n",
            target.toml
        );
        fs::write(folder.path().join("job.toml"), job).unwrap();
        World { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dkhost"));
        command
            .args(["run", "job.toml", "--json"])
            .current_dir(self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end; gives back the report.
    fn finish(&self) -> serde_json::Value {
        let output = self.command().output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let last = stdout.lines().last().unwrap_or_default();
        let report: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|_| {
            panic!(
                "no report: {stdout}\n{}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        assert_eq!(
            output.status.code(),
            Some(3),
            "dead letters: {report}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        report
    }

    /// Starts the job and kills it after `delay`; `false` if it was faster.
    fn kill_after(&self, delay: Duration) -> bool {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        !self.is_done()
    }

    /// Whether the history says that the run is done: it may have been killed while it printed.
    fn is_done(&self) -> bool {
        let Ok(db) = rusqlite::Connection::open(self.path(".dkhost/state.db")) else {
            return false;
        };
        db.query_row(
            "SELECT count(*) FROM run WHERE status = 'done'",
            [],
            |row| row.get::<_, i64>(0),
        )
        .is_ok_and(|done| done > 0)
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }
}

/// What a target holds, in a form that can be compared: rows for SQLite, bytes for files.
fn content(path: &Path) -> Vec<(String, Vec<u8>)> {
    if path.extension().is_some_and(|extension| extension == "db") {
        return rows(path);
    }
    if path.is_dir() {
        let mut parts: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        parts.sort();
        // The manifest names the run, which differs; the parts are the data.
        parts.retain(|part| {
            part.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        return parts
            .iter()
            .map(|part| (name(part), fs::read(part).unwrap()))
            .collect();
    }
    vec![(name(path), fs::read(path).unwrap())]
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn rows(path: &Path) -> Vec<(String, Vec<u8>)> {
    let db = rusqlite::Connection::open(path).unwrap();
    let mut statement = db.prepare("SELECT * FROM t ORDER BY rowid").unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            let values: Vec<_> = (0..columns)
                .map(|c| row.get::<_, rusqlite::types::Value>(c))
                .collect::<Result<_, _>>()?;
            Ok((format!("{values:?}"), Vec::new()))
        })
        .unwrap();
    rows.map(|row| row.unwrap()).collect()
}

/// SplitMix64: small, and the same everywhere.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn check(target: &Target) {
    let clean = World::new(target);
    let began = Instant::now();
    let wanted_report = clean.finish();
    let took = began.elapsed();
    let wanted = content(&clean.path(target.path));
    assert!(!wanted.is_empty());
    let seeds: Vec<u64> = match std::env::var("DKHOST_SEED") {
        Ok(seed) => vec![seed.parse().expect("DKHOST_SEED is a number")],
        Err(_) => (1..=SEEDS).collect(),
    };
    for seed in seeds {
        let world = World::new(target);
        let mut state = seed.wrapping_mul(1_000_003);
        let was_done = (0..4).any(|_| {
            let delay = took.mul_f64((random(&mut state) % 1_000) as f64 / 1_000.0);
            !world.kill_after(delay)
        });
        let context = format!("target {}, DKHOST_SEED={seed}", target.name);
        if !was_done {
            let report = world.finish();
            assert_eq!(report["counts"], wanted_report["counts"], "{context}");
            // Killed after publishing, it was compared before.
            let verified = &report["verified"];
            assert!(
                *verified == wanted_report["verified"]
                    || verified == "compared before it was published",
                "{context}: {verified}"
            );
        }
        assert!(
            content(&world.path(target.path)) == wanted,
            "{context}: the target differs from an undisturbed run"
        );
        if was_done {
            // Killed between the end of the run and the last sweep, which the next run makes up
            // for: it refuses to write over a file, and adds its rows to a table.
            let next = world.command().output().unwrap();
            let wanted = if target.name == "sqlite" { 3 } else { 2 };
            assert_eq!(next.status.code(), Some(wanted), "{context}");
        }
        let left: Vec<String> = fs::read_dir(world.path("out"))
            .unwrap()
            .map(|entry| name(&entry.unwrap().path()))
            .collect();
        assert_eq!(left, [name(Path::new(target.path))], "{context}: leftovers");
    }
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

macro_rules! survives {
    ($($test:ident = $name:literal),*) => {$(
        #[test]
        fn $test() {
            check(target($name));
        }
    )*
    #[test]
    fn every_target_has_its_test() {
        let tested = [$($name),*];
        assert!(TARGETS.iter().all(|target| tested.contains(&target.name)));
    }};
}

survives!(
    sqlite_survives = "sqlite",
    jsonl_survives = "jsonl",
    gzipped_jsonl_survives = "jsonl-gz",
    json_survives = "json",
    compressed_csv_survives = "csv-zst",
    parquet_survives = "parquet",
    arrow_survives = "arrow",
    a_folder_of_parts_survives = "folder"
);
