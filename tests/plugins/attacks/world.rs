//! A job of two partitions whose one step is a guest.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

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

/// Runs the program and watches its memory. Answers with the peak in bytes.
pub fn measured(world: &World, arguments: &[&str]) -> (Answer, u64) {
    let child = world
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watching = std::thread::spawn(move || {
        let mut peak = 0;
        // The high-water mark only rises, so the last look before the end is what counts.
        while let Some(now) = std::fs::read_to_string(&status)
            .ok()
            .and_then(|text| high_water(&text))
        {
            peak = now;
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let answer = answer(child.wait_with_output().unwrap());
    let peak = watching.join().unwrap();
    assert!(peak > 0, "the program's memory was never seen");
    (answer, peak)
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
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
