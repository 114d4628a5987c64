//! A folder of its own for each test, the program run in it, and masks for what differs each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use expect_test::Expect;
use regex::{Captures, Regex};
use serde_json::Value;

/// The program under test.
pub const DKHOST: &str = env!("CARGO_BIN_EXE_dkhost");

/// The top folder of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fixture below `tests/data`.
pub fn data(path: &str) -> PathBuf {
    root().join("tests/data").join(path)
}

/// A fixture's JSON.
pub fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A folder to run the program in.
pub struct World {
    folder: tempfile::TempDir,
}

/// What a run of the program said.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> World {
        World {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With `job.toml`.
    pub fn with_job(job: &str) -> World {
        let world = World::new();
        world.write("job.toml", job);
        world
    }

    /// With fixtures of `tests/data` where they lie in the checkout, so that its jobs run as they
    /// stand: results go to `out/`.
    pub fn with_fixtures(fixtures: &[&str]) -> World {
        let world = World::new();
        for fixture in fixtures {
            world.copy(&data(fixture), &format!("tests/data/{fixture}"));
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn copy(&self, from: &Path, name: &str) {
        self.write(name, fs::read(from).unwrap());
    }

    /// The program with a clean environment: no colours, no home, a cache all tests share.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(DKHOST);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must end with `code`.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(
            answer.code, code,
            "{arguments:?}\n{}\n{}",
            answer.out, answer.err
        );
        answer
    }

    /// Starts a run with `--json` and waits for its first event, so that records are moving.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        std::io::BufRead::read_line(&mut out, &mut first).unwrap();
        Running { child, out, first }
    }
}

/// A program that is running; its first line of output was read.
pub struct Running {
    pub child: Child,
    out: std::io::BufReader<std::process::ChildStdout>,
    pub first: String,
}

impl Running {
    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// Waits for the end.
    pub fn end(mut self) -> Answer {
        let mut out = self.first.clone();
        std::io::Read::read_to_string(&mut self.out, &mut out).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Answer {
            out,
            ..answer(output)
        }
    }
}

pub fn answer(output: Output) -> Answer {
    use std::os::unix::process::ExitStatusExt;
    let signal = output.status.signal().map(|signal| -signal);
    Answer {
        code: output.status.code().or(signal).unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Answer {
    /// The last line of stdout as JSON.
    pub fn last(&self) -> Value {
        let line = self
            .out
            .lines()
            .last()
            .unwrap_or_else(|| panic!("no output; {}", self.err));
        serde_json::from_str(line).unwrap()
    }

    /// Every line of stdout as JSON.
    pub fn objects(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Compares what a person sees, with masks for what differs each time.
pub fn check(seen: &str, expected: Expect) {
    expected.assert_eq(&masked(seen));
}

/// Masks run ids, moments, durations, speeds, memory, digests and what they do to columns.
pub fn masked(text: &str) -> String {
    let masks = [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
            "RUN",
        ),
        (r"\brun [0-9a-f]{8}-[0-9a-f]{4}\b", "run RUN"),
        (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),
        (r"(plan:? +)[0-9a-f]{12}", "${1}HASH"),
        (r"\d+(\.\d+)? (ms|s)\b( \d+ s)?", "TIME"),
        (r"[\d,.]+/s", "SPEED/s"),
        (r"[\d.]+ [KMG]iB at the peak", "MEMORY at the peak"),
        (r"costliest step  .*\n  ", ""),
        (r"CPU \(\d+ %\)", "CPU (SHARE %)"),
        (r"process \d+ since \S+", "process PID since MOMENT"),
    ];
    let mut text = text.to_owned();
    for (pattern, mask) in masks {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, mask)
            .into_owned();
    }
    // A masked cell may be wider or narrower than what it stands for.
    let gaps = Regex::new(r"(RUN|TIME|MOMENT|TIME)( {2,})").unwrap();
    text = gaps
        .replace_all(&text, |found: &Captures<'_>| format!("{}  ", &found[1]))
        .into_owned();
    let before = Regex::new(r" {2,}(TIME)").unwrap();
    text = before.replace_all(&text, "  $1").into_owned();
    let heading = Regex::new(r"run {6,}job").unwrap();
    text = heading.replace_all(&text, "run  job").into_owned();
    // As wide as the longest time below it.
    let took = Regex::new(r"started {2,}took").unwrap();
    took.replace_all(&text, "started  took").into_owned()
}

/// The plugin `clean`, built once.
pub fn clean() -> &'static Path {
    static CLEAN: OnceLock<PathBuf> = OnceLock::new();
    CLEAN.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clean.wasm");
        let source = root().join("plugins/clean");
        let built = World::new().run(&[
            "plugin",
            "build",
            source.to_str().unwrap(),
            "-o",
            path.to_str().unwrap(),
        ]);
        assert_eq!(built.code, 0, "{}{}", built.out, built.err);
        path
    })
}

/// A job with one source file of documents and an SQLite target.
pub const SMALL: &str = r#"name = "small"

[source]
backend = "file"
path    = "in.jsonl"

[target]
backend = "sqlite"
path    = "out.db"
table   = "t"
"#;
