//! A job of two partitions whose one step is a guest.

use std::collections::BTreeMap;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Output, Stdio};

use crate::common::{Answer, World, answer};
use crate::guests;

/// Records of a partition.
pub const RECORDS: usize = 40;

const JOB: &str = r#"name = "attacked"

[source]
backend = "file"
path    = "in/*.jsonl"

[target]
backend = "sqlite"
path    = "out.db"
table   = "t"

[plugins.attack]
path   = "attack.wasm"
limits = { call_timeout_ms = TIMEOUT }

[[steps]]
name   = "attack"
plugin = "attack"

[run]
parallel = 2
batch    = { rows = 20 }
verify   = "full"
"#;

/// The names of the records by id: the first is long, and the second partition has one with a `!`
/// in its second batch.
pub fn names() -> BTreeMap<i64, String> {
    let name = |id: i64| match id {
        0 => "name".repeat(50),
        67 => "!name 67".to_owned(),
        _ => format!("name {id}"),
    };
    (0..2 * RECORDS as i64).map(|id| (id, name(id))).collect()
}

/// A folder with the job, its two files, and the guest `name`.
pub fn attacked(name: &str) -> World {
    let found = guests::GUESTS.iter().find(|(known, ..)| *known == name);
    // Little time for those that take all there is, enough of it on a busy machine for the others.
    let timeout = match found.unwrap().2 {
        "plugin::out_of_time" | "plugin::bad_schema" => "400",
        _ => "60000",
    };
    let world = World::with_job(&JOB.replace("TIMEOUT", timeout));
    for (part, ids) in [(0, 0..RECORDS), (1, RECORDS..2 * RECORDS)] {
        let names = names();
        let line = |id: usize| {
            let id = id as i64;
            serde_json::json!({ "id": id, "name": names[&id] }).to_string() + "\n"
        };
        world.write(
            &format!("in/part-{part}.jsonl"),
            ids.map(line).collect::<String>(),
        );
    }
    world.write("attack.wasm", guests::guest(name));
    world
}

/// What the target holds, by id, how often.
pub fn held(world: &World) -> Vec<(i64, Option<String>)> {
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let mut query = database
        .prepare("SELECT id, name FROM t ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Every record once, as it was.
pub fn all() -> Vec<(i64, Option<String>)> {
    let names = names().into_iter();
    names.map(|(id, name)| (id, Some(name))).collect()
}

/// Runs the program. Answers with the peak of its memory too, in bytes.
// `ended` waits for it, in a way that the lint does not know.
#[allow(clippy::zombie_processes)]
pub fn measured(world: &World, arguments: &[&str]) -> (Answer, u64) {
    let mut child = world
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let listening = std::thread::spawn(move || {
        let mut said = Vec::new();
        stderr.read_to_end(&mut said).unwrap();
        said
    });
    let mut stdout = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut stdout)
        .unwrap();
    let stderr = listening.join().unwrap();
    let (status, peak) = ended(&child);
    let output = Output {
        status,
        stdout,
        stderr,
    };
    (answer(output), peak)
}

/// How a child ended, and its peak resident memory in bytes.
#[allow(unsafe_code)]
fn ended(child: &Child) -> (ExitStatus, u64) {
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::uninit());
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: both pointers are to values of the right type that live until the call returns, and
    // the child is ours and was not waited for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(waited, pid, "{}", std::io::Error::last_os_error());
    // SAFETY: wait4 filled it, since it answered with the child.
    let usage = unsafe { usage.assume_init() };
    let kilobytes = u64::try_from(usage.ru_maxrss).unwrap();
    (ExitStatus::from_raw(status), kilobytes << 10)
}

/// Nothing in it that a terminal would obey, and no more than a person reads.
pub fn harmless(name: &str, answer: &Answer) {
    for text in [&answer.out, &answer.err] {
        let obeyed = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(obeyed), "`{name}`: {text:?}");
        assert!(text.len() < 32 << 10, "`{name}`: {} bytes", text.len());
        let forged = text.lines().any(|line| line.starts_with("movies done"));
        assert!(!forged, "`{name}`: {text}");
    }
}
