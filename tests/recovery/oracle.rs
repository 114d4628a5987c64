//! What must hold after a fault, and at the end as if there had been none.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use parquet::file::reader::SerializedFileReader;
use rusqlite::Connection;
use serde_json::Value;

use super::places::Place;
use super::targets::Target;
use super::world::{Load, World, scratch};

/// What a target holds: its rows where they are rows, else its bytes, by name.
pub type Content = Vec<(String, Vec<u8>)>;

/// What an undisturbed run leaves.
pub struct Wanted {
    pub counts: Value,
    pub verified: Value,
    pub content: Content,
    /// What is under the final name before.
    pub before: Content,
    pub letters: Vec<String>,
    /// Every path in the folder.
    pub tree: Vec<String>,
    pub took: std::time::Duration,
}

type Known = Mutex<HashMap<(&'static str, Load), Arc<Wanted>>>;

/// The undisturbed run, made once for each target and load.
pub fn undisturbed(target: &'static Target, load: Load) -> Arc<Wanted> {
    static KNOWN: std::sync::OnceLock<Known> = std::sync::OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    if let Some(wanted) = known.lock().unwrap().get(&(target.name, load)) {
        return wanted.clone();
    }
    let wanted = Arc::new(run_undisturbed(&World::new(target, load)));
    known
        .lock()
        .unwrap()
        .insert((target.name, load), wanted.clone());
    wanted
}

fn run_undisturbed(world: &World) -> Wanted {
    let before = content(world);
    let began = std::time::Instant::now();
    let answer = world.run();
    let took = began.elapsed();
    assert_eq!(
        answer.code, 3,
        "{}: {} {}",
        world.target.name, answer.last, answer.err
    );
    let wanted = Wanted {
        counts: answer.last["counts"].clone(),
        verified: answer.last["verified"].clone(),
        content: content(world),
        before,
        letters: letters(world),
        tree: leftovers(world),
        took,
    };
    assert!(is_conserved(&wanted.counts), "{}", wanted.counts);
    assert_eq!(wanted.counts["dead_lettered"], wanted.letters.len());
    assert!(!wanted.letters.is_empty() && !wanted.content.is_empty());
    // Refreshing is off during a load only.
    let is_off = |left: &String| world.target.is_index() && left.contains("String(\"-1\")");
    assert!(!wanted.tree.iter().any(is_off), "{:?}", wanted.tree);
    wanted
}

fn is_conserved(counts: &Value) -> bool {
    let count = |name: &str| counts[name].as_u64().unwrap();
    let fates = [
        "written",
        "unchanged",
        "filtered",
        "deduplicated",
        "skipped",
        "dead_lettered",
    ];
    count("read") == fates.into_iter().map(count).sum::<u64>()
}

/// What the target's final name holds now; nothing if it is not there. Nothing is changed by looking,
/// but that documents of a run that is not done are made findable.
pub fn content(world: &World) -> Content {
    if let Some(place) = world.place() {
        if let Place::Indices(indices) = place
            && !is_done(world)
        {
            super::indices::refresh(indices);
        }
        return place.content(world.target);
    }
    let path = world.result();
    if world.target.is_sqlite() {
        return snapshot(&path).map_or_else(Vec::new, |(_folder, db)| rows(&db));
    }
    let bytes = |path: &Path| match path.extension().is_some_and(|word| word == "parquet") {
        true => (name(path), parquet_rows(fs::File::open(path).unwrap())),
        false => (name(path), fs::read(path).unwrap()),
    };
    if !world.target.is_folder() {
        return if path.exists() {
            vec![bytes(&path)]
        } else {
            Vec::new()
        };
    }
    let mut parts: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    parts.sort();
    // The manifest names the run, which differs; the parts are the data.
    parts
        .iter()
        .filter(|part| name(part) != "_manifest.json")
        .map(|part| bytes(part))
        .collect()
}

/// The rows of a Parquet file: how they are cut into groups depends on where a run was stopped.
pub fn parquet_rows(file: fs::File) -> Vec<u8> {
    let file = SerializedFileReader::new(file).unwrap();
    let rows = file.into_iter().map(|row| format!("{}\n", row.unwrap()));
    rows.collect::<String>().into_bytes()
}

pub fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A copy of a database as another process would see it: opening the file itself would undo what a
/// killed process left, which is the next run's business. It is whole, or this panics.
pub fn snapshot(path: &Path) -> Option<(tempfile::TempDir, Connection)> {
    let folder = scratch();
    for suffix in ["", "-wal", "-journal"] {
        let from = format!("{}{suffix}", path.display());
        if Path::new(&from).exists() {
            fs::copy(&from, folder.path().join(format!("copy.db{suffix}"))).unwrap();
        }
    }
    let copy = folder.path().join("copy.db");
    if !copy.exists() {
        return None;
    }
    let db = Connection::open(copy).unwrap();
    let sound: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok", "{}", path.display());
    Some((folder, db))
}

fn rows(db: &Connection) -> Content {
    table(db, "SELECT * FROM t ORDER BY rowid")
        .into_iter()
        .map(|row| (row, Vec::new()))
        .collect()
}

/// Every row of a query as text; none if there is no such table.
pub fn table(db: &Connection, sql: &str) -> Vec<String> {
    let Ok(mut statement) = db.prepare(sql) else {
        return Vec::new();
    };
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |column| row.get::<_, rusqlite::types::Value>(column);
        Ok(format!(
            "{:?}",
            (0..columns).map(value).collect::<Result<Vec<_>, _>>()?
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The history, as a copy.
pub fn history(world: &World) -> Option<(tempfile::TempDir, Connection)> {
    snapshot(&world.path(".dkhost/state.db"))
}

/// Every dead letter but what tells runs apart.
pub fn letters(world: &World) -> Vec<String> {
    let sql = "SELECT job, partition, batch, row, source_id, locator, kind, stage, \"column\", code, message, \
        plugin_digest, hex(payload), media, payload_length, payload_sha256, resolved_by FROM dead_letter \
        ORDER BY run, partition, batch, row";
    let letters = history(world).map_or_else(Vec::new, |(_folder, db)| table(&db, sql));
    let anonymous = |letter: String| match world.place() {
        Some(place) => place.anonymous(&letter),
        None => letter,
    };
    letters.into_iter().map(anonymous).collect()
}

/// Whether the history says that the run is done.
pub fn is_done(world: &World) -> bool {
    history(world).is_some_and(|(_folder, db)| {
        !table(&db, "SELECT id FROM run WHERE status = 'done'").is_empty()
    })
}

/// Everything that is there: paths, and what a server holds.
pub fn leftovers(world: &World) -> Vec<String> {
    let mut found = tree(&world.path("."));
    if let Some(place) = world.place() {
        found.extend(place.leftovers(world.target));
    }
    found
}

/// Every path below a folder, sorted. SQLite's own files beside the history come and go.
pub fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            }
            let shown = path.strip_prefix(folder).unwrap().display().to_string();
            if !shown.starts_with(".dkhost/state.db-") {
                found.push(shown);
            }
        }
    }
    found.sort();
    found
}

/// What must hold at any moment: nothing half-written under a final name, and a history that does
/// not lead.
pub fn check_meanwhile(world: &World, wanted: &Wanted, context: &str) {
    let found = content(world);
    let is_whole = found == wanted.content || found == wanted.before;
    if world.target.is_of_documents() {
        check_documents(&found, wanted, context);
        return check_copies(world, context);
    }
    // A table that is written in place holds whole batches, one after the other; of a server, in
    // any order.
    let is_part = |found: &Content| match world.target.is_postgres() {
        true => found.iter().all(|row| wanted.content.contains(row)),
        false => wanted.content.starts_with(found),
    };
    let is_prefix = world.target.is_table()
        && !world.target.is_replaced()
        && (world.target.toml.contains("upsert") || is_part(&found));
    assert!(
        is_whole || is_prefix,
        "{context}: half-written under its final name: {} rows or files",
        found.len()
    );
    check_copies(world, context);
}

/// Documents and objects are seen one by one as they are written, each of them whole, and once.
fn check_documents(found: &Content, wanted: &Wanted, context: &str) {
    let foreign = found
        .iter()
        .find(|one| !wanted.content.contains(one) && !wanted.before.contains(one));
    let shown =
        |(name, body): &(String, Vec<u8>)| format!("{name} {}", String::from_utf8_lossy(body));
    assert!(foreign.is_none(), "{context}: {:?}", foreign.map(shown));
    let doubled = found.windows(2).find(|two| two[0] == two[1]);
    let doubled = doubled.map(|two| shown(&two[0]));
    assert!(doubled.is_none(), "{context}: twice {doubled:?}");
    let lost = wanted
        .before
        .iter()
        .find(|(id, _)| !found.iter().any(|(found, _)| found == id));
    assert!(lost.is_none(), "{context}: lost {:?}", lost.map(shown));
}

/// The history's checkpoints are never ahead of the target's (invariant 6).
fn check_copies(world: &World, context: &str) {
    let (Some((_folder, history)), Some(held)) = (history(world), held(world)) else {
        return;
    };
    let sql = "SELECT c.body FROM checkpoint c JOIN run r ON r.id = c.run WHERE r.status NOT IN ('done', 'abandoned')";
    let Ok(mut statement) = history.prepare(sql) else {
        return;
    };
    let copies = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    for copy in copies.map(|copy| serde_json::from_str::<Value>(&copy.unwrap()).unwrap()) {
        let seq = copy["seq"].as_u64().unwrap();
        if seq == 0 {
            continue;
        }
        let target = held
            .get(&copy["partition"].as_u64().unwrap())
            .copied()
            .unwrap_or(0);
        assert!(
            seq <= target,
            "{context}: the history leads: {seq} of {target} batches"
        );
    }
}

/// How many batches the target holds of each partition; `None` when it has forgotten the run.
pub fn held(world: &World) -> Option<BTreeMap<u64, u64>> {
    let of = |checkpoint: &Value| {
        Some((
            checkpoint["partition"].as_u64()?,
            checkpoint["seq"].as_u64()?,
        ))
    };
    if let Some(place) = world.place() {
        return Some(place.checkpoints()?.iter().filter_map(of).collect());
    }
    if world.target.is_sqlite() {
        let (_folder, db) = snapshot(&world.result())?;
        let mut statement = db.prepare("SELECT body FROM dkhost_checkpoint").ok()?;
        let bodies = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        let bodies = bodies.map(|body| serde_json::from_str::<Value>(&body.unwrap()).unwrap());
        return Some(bodies.filter_map(|body| of(&body)).collect());
    }
    let log = fs::read_to_string(checkpoint_log(world)).ok()?;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let checkpoints = lines
        .filter_map(|line| line["commit"]["checkpoints"].as_array().cloned())
        .flatten();
    Some(
        checkpoints
            .filter_map(|checkpoint| of(&checkpoint))
            .collect(),
    )
}

/// Where a file target keeps its checkpoint.
pub fn checkpoint_log(world: &World) -> std::path::PathBuf {
    world.path(&format!("out/.{}.dkhost-checkpoint", name(&world.result())))
}

/// Lets an interrupted job go on to its end, and compares everything with an undisturbed run.
pub fn check_end(world: &World, wanted: &Wanted, context: &str) {
    let was_done = is_done(world);
    if !was_done {
        let answer = world.run();
        assert_eq!(answer.code, 3, "{context}: {} {}", answer.last, answer.err);
        assert_eq!(answer.last["counts"], wanted.counts, "{context}");
        // Killed after publishing, it was compared before.
        let verified = &answer.last["verified"];
        let is_verified =
            *verified == wanted.verified || verified == "compared before it was published";
        assert!(is_verified, "{context}: {verified}");
    }
    check_result(world, wanted, context);
    if was_done {
        // Killed between the end of the run and the last sweep, which the next run makes up for.
        if world.target.refuses_repeats()
            && let Some(place) = world.place()
        {
            // It would meet every record it is to insert.
            place.empty(world.target);
        }
        let next = world.run();
        assert_eq!(
            next.code,
            world.target.code_of_another_run(),
            "{context}: {} {}",
            next.last,
            next.err
        );
    }
    assert_eq!(leftovers(world), wanted.tree, "{context}: leftovers");
}

/// As at the end of [`check_end`], in a test that gave its job other histories.
pub fn check_leftovers(world: &World, wanted: &Wanted, context: &str) {
    let is_of_history = |path: &String| {
        ["first", "second", ".dkhost"]
            .iter()
            .any(|name| path.starts_with(name))
    };
    let there = |all: Vec<String>| -> Vec<String> {
        all.into_iter()
            .filter(|path| !is_of_history(path))
            .collect()
    };
    assert_eq!(
        there(leftovers(world)),
        there(wanted.tree.clone()),
        "{context}: leftovers"
    );
}

/// The target and the dead letters are those of an undisturbed run.
pub fn check_result(world: &World, wanted: &Wanted, context: &str) {
    let found = content(world);
    let lengths = |content: &Content| {
        content
            .iter()
            .map(|(_, bytes)| bytes.len())
            .collect::<Vec<_>>()
    };
    assert!(
        found == wanted.content,
        "{context}: the target differs from an undisturbed run: {:?}, wanted {:?}",
        lengths(&found),
        lengths(&wanted.content)
    );
    assert_eq!(letters(world), wanted.letters, "{context}: dead letters");
    let (_folder, history) = history(world).unwrap();
    let unfinished = table(
        &history,
        "SELECT id FROM run WHERE status NOT IN ('done', 'abandoned')",
    );
    assert!(
        unfinished.is_empty(),
        "{context}: the history says it is not done"
    );
}
