//! A folder with one file and a job that takes it to JSON Lines; the run is measured, and what
//! must be true after every run is checked here, so that no case can forget it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use expect_test::Expect;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Resident memory no input may take the program beyond.
const MEMORY_MAX_BYTES: u64 = 300 << 20;

/// Address space of the program, in KiB: what is declared but never touched counts here.
const ADDRESS_SPACE_KIB: u64 = 3 << 20;

/// Of the target's lines the first are kept, each up to so many bytes: what this process takes counts
/// for the processes it starts.
const KEPT_LINES: usize = 100;
const KEPT_BYTES: usize = 300;

/// A record is shown in a dead letter up to here.
const SHOWN_BYTES: usize = 120;

pub struct World {
    folder: tempfile::TempDir,
    input: String,
    /// What the file holds once it is unpacked, where places of dead letters are looked up.
    content: Option<Vec<u8>>,
}

/// What a run did.
pub struct Seen {
    pub exit: i32,
    /// The last event: the report, or the error.
    pub last: Value,
    pub errors: String,
    pub memory: u64,
    /// The first lines, each up to [`KEPT_BYTES`], and how many there are.
    pub written: Vec<String>,
    pub count: u64,
    pub letters: Vec<Letter>,
}

/// A dead letter as `errors list --json` shows it.
pub struct Letter {
    facts: Value,
    payload: Shown,
}

/// The payload as it stands there: a parser would lose a key that comes twice.
#[derive(serde::Deserialize)]
struct Shown {
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
}

impl World {
    /// With a file called `input`, filled by the caller, and more lines for the job's source.
    pub fn new(input: &str, source: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let job = format!(
            "name = \"input\"\n[source]\nbackend = \"file\"\npath = \"{input}\"\n{source}\n\
             [target]\nbackend = \"file\"\npath = \"out.jsonl\"\n[run]\non_error = \"dead-letter\"\n"
        );
        fs::write(folder.path().join("job.toml"), job).unwrap();
        World {
            folder,
            input: input.to_owned(),
            content: None,
        }
    }

    /// With a file that holds these bytes.
    pub fn with(input: &str, source: &str, bytes: &[u8]) -> World {
        let mut world = World::new(input, source);
        world.create().write_all(bytes).unwrap();
        world.content = Some(bytes.to_vec());
        world
    }

    /// The same, packed: `content` is what the file unpacks to, as far as it does.
    pub fn packed(input: &str, bytes: &[u8], content: &[u8]) -> World {
        let world = World::with(input, "", bytes);
        World {
            content: Some(content.to_vec()),
            ..world
        }
    }

    pub fn create(&self) -> File {
        File::create(self.path(&self.input)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program inside a limit on its address space.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_dkhost")]);
        command.args(arguments).current_dir(self.folder.path());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    /// Runs the job and checks what must be true after every run.
    pub fn run(&self) -> Seen {
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let mut command = self.command(&["run", "job.toml", "--json"]);
        command.stdout(File::create(&out).unwrap());
        command.stderr(File::create(&err).unwrap());
        let (exit, memory) = measured(command);
        let events = fs::read_to_string(&out).unwrap();
        let errors = fs::read_to_string(&err).unwrap();
        let last = events.lines().chain(errors.lines()).filter_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "report" || event["event"] == "error").then_some(event)
        });
        let last = { last }.next_back();
        let last = last.unwrap_or_else(|| panic!("exit {exit}, no report: {events}\n{errors}"));
        let (written, count) = self.written();
        let seen = Seen {
            exit,
            last,
            errors,
            memory,
            written,
            count,
            letters: self.letters(),
        };
        self.check(&seen);
        seen
    }

    fn written(&self) -> (Vec<String>, u64) {
        let Ok(out) = File::open(self.path("out.jsonl")) else {
            return (Vec::new(), 0);
        };
        let (mut lines, mut count, mut line) = (Vec::new(), 0, Vec::new());
        let mut out = BufReader::with_capacity(1 << 20, out);
        loop {
            let part = out.fill_buf().unwrap();
            let end = part.iter().position(|b| *b == b'\n');
            if part.is_empty() {
                return (lines, count);
            }
            let length = end.unwrap_or(part.len());
            line.extend_from_slice(&part[..length.min(KEPT_BYTES - line.len())]);
            out.consume(end.map_or(length, |end| end + 1));
            if end.is_some() {
                count += 1;
                if lines.len() < KEPT_LINES {
                    lines.push(String::from_utf8_lossy(&line).into_owned());
                }
                line.clear();
            }
        }
    }

    fn letters(&self) -> Vec<Letter> {
        let listed = self.command(&["errors", "list", "job.toml", "--json"]);
        let output = { listed }.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let letters = text.lines().map(|line| Letter {
            facts: serde_json::from_str(line).unwrap(),
            payload: serde_json::from_str(line).unwrap(),
        });
        letters
            .filter(|letter| letter.facts.get("number").is_some())
            .collect()
    }

    /// No panic, no signal; every record accounted for; every dead letter is where it says.
    fn check(&self, seen: &Seen) {
        let Seen { exit, last, .. } = seen;
        assert!(
            matches!(exit, 0 | 2 | 3 | 4),
            "exit {exit}: {last}\n{}",
            seen.errors
        );
        assert!(!seen.errors.contains("dkhost::bug"), "{}", seen.errors);
        assert!(
            seen.memory <= MEMORY_MAX_BYTES,
            "{} MiB of memory: {last}",
            seen.memory >> 20
        );
        if let Some(counts) = last.get("counts") {
            let count = |name: &str| counts[name].as_u64().unwrap();
            let fates = [
                "written",
                "unchanged",
                "filtered",
                "deduplicated",
                "skipped",
                "dead_lettered",
            ];
            let sum: u64 = fates.into_iter().map(count).sum();
            assert_eq!(count("read"), sum, "{last}");
            if last["status"] == "done" {
                assert_eq!(count("written"), seen.count, "{last}");
                assert_eq!(count("dead_lettered"), seen.letters.len() as u64, "{last}");
            }
        }
        if !matches!(exit, 0 | 3) {
            let message = last["message"]
                .as_str()
                .or(last["error"]["message"].as_str());
            let message = message.unwrap_or_else(|| panic!("no message: {last}"));
            assert!(message.contains(&self.input), "which file? {message}");
            assert!(
                seen.written.is_empty(),
                "half a result under its final name"
            );
        }
        for letter in &seen.letters {
            self.check_place(&letter.facts);
        }
    }

    /// The bytes of a dead letter are those of the file at its offset, on its line.
    fn check_place(&self, letter: &Value) {
        let (Some(content), Some(offset)) = (&self.content, letter["locator"]["offset"].as_u64())
        else {
            return;
        };
        let (offset, length) = (offset as usize, letter["payload_length"].as_u64().unwrap());
        let bytes = &content[offset..offset + length as usize];
        let line = content[..offset].iter().filter(|b| **b == b'\n').count() + 1;
        assert_eq!(letter["locator"]["line"], line, "{letter}");
        let digest = letter["payload_sha256"].as_str().unwrap();
        assert_eq!(digest, sha256(bytes), "{letter}");
    }
}

/// Waits for the end of a command: its exit code, or a signal below zero, and its peak of memory.
// `wait4` below waits, and says what `Child::wait` does not.
#[allow(clippy::zombie_processes)]
fn measured(mut command: Command) -> (i32, u64) {
    let child = command.spawn().unwrap();
    let process = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: all zeros is a `rusage`; both pointers are to values that outlive the call, and the
    // process is a child of ours that nobody else waits for.
    #[allow(unsafe_code)]
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(process, &mut status, 0, &mut usage), usage)
    };
    assert_eq!(waited, process);
    let exit = match libc::WIFEXITED(status) {
        true => libc::WEXITSTATUS(status),
        false => -libc::WTERMSIG(status),
    };
    (exit, u64::try_from(usage.ru_maxrss).unwrap() << 10)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Seen {
    /// For comparison: `exit`, then what was written, refused, and what stopped the run.
    pub fn lines(&self) -> String {
        let mut text = format!("exit {}\n", self.exit);
        for line in &self.written {
            writeln!(text, "written {line}").unwrap();
        }
        for letter in &self.letters {
            text.push_str(&letter_lines(letter));
        }
        let error = self.last.get("error").unwrap_or(&self.last);
        if let (Some(code), Some(message)) = (error["code"].as_str(), error["message"].as_str()) {
            writeln!(text, "stopped {code}: {message}").unwrap();
            for cause in error["causes"].as_array().into_iter().flatten() {
                writeln!(text, "  cause: {}", cause.as_str().unwrap()).unwrap();
            }
            if let Some(help) = error["help"].as_str() {
                writeln!(text, "  help: {help}").unwrap();
            }
        }
        text
    }
}

fn letter_lines(Letter { facts, payload }: &Letter) -> String {
    let place: Vec<String> = ["line", "offset", "row"]
        .iter()
        .filter(|name| facts["locator"].get(name).is_some())
        .map(|name| format!("{name} {}", facts["locator"][name]))
        .collect();
    let payload = match (&payload.payload, &payload.payload_base64) {
        (Some(payload), _) => payload.get().to_owned(),
        (_, Some(base64)) => format!("base64 {base64}"),
        _ => "nothing".to_owned(),
    };
    let mut shown: String = payload.chars().take(SHOWN_BYTES).collect();
    if shown.len() < payload.len() {
        shown.push('…');
    }
    format!(
        "refused {} {}\n  {}\n  {} bytes: {shown}\n",
        place.join(", "),
        facts["code"].as_str().unwrap(),
        facts["message"].as_str().unwrap(),
        facts["payload_length"]
    )
}

/// Runs a file of these bytes and compares.
pub fn check(input: &str, bytes: impl AsRef<[u8]>, expected: Expect) {
    check_with(input, "", bytes, expected);
}

/// The same with more lines for the job's source.
pub fn check_with(input: &str, source: &str, bytes: impl AsRef<[u8]>, expected: Expect) {
    let seen = World::with(input, source, bytes.as_ref()).run();
    expected.assert_eq(&seen.lines());
}
