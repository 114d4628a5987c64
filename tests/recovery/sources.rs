//! The source changes between crash and resume: refused, or read as it is now, never spliced.
//!
//! A file that is another one, longer, shorter or written to is refused, and starting over reads it as
//! it is. A table with a key is read on from its key: that is what a key is for.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::oracle::{check_end, content, undisturbed};
use super::targets::target;
use super::world::{Load, World, line};

/// Beyond what is hashed of a file's beginning.
const RECORDS: usize = 3_000;

const LOAD: Load = Load {
    records: RECORDS,
    partitions: 1,
    batch: 20,
    plugin: false,
    parallel: 1,
    verify: "checksum",
};

/// A source of a format, which the product itself writes from JSONL.
fn world(format: &str) -> World {
    let world = World::new(target("sqlite"), LOAD);
    fs::remove_dir_all(world.path("in")).unwrap();
    fs::create_dir(world.path("in")).unwrap();
    let lines = lines(0..RECORDS);
    match format {
        "jsonl" => world.write("in/0.jsonl", lines),
        "csv" => world.write("in/0.csv", csv(&lines)),
        _ => convert(&world, &lines, &format!("in/0.{format}")),
    }
    let path = format!("in/*.{format}");
    world.write("job.toml", world.job(&path));
    world
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(line).collect()
}

fn csv(lines: &str) -> String {
    let mut text = "id,name,price,even,mail\n".to_owned();
    for line in lines.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let cell = |name: &str| {
            record[name]
                .as_str()
                .map_or_else(|| record[name].to_string(), str::to_owned)
        };
        let cells = ["id", "name", "price", "even", "mail"].map(cell);
        text.push_str(&format!("{}\n", cells.join(",")));
    }
    text
}

fn convert(world: &World, lines: &str, path: &str) {
    world.write("all.jsonl", lines);
    let job = format!(
        "name = \"convert\"\n[source]\nbackend = \"file\"\npath = \"all.jsonl\"\n[target]\nbackend = \"file\"\npath = \"{path}\"\non_conflict = \"replace-all\"\n"
    );
    world.write("job.toml", job);
    let answer = world.run();
    assert_eq!(answer.code, 0, "{} {}", answer.last, answer.err);
    fs::remove_file(world.path("all.jsonl")).unwrap();
    fs::remove_dir_all(world.path(".dkhost")).unwrap();
}

/// Interrupts a run, changes its source, and expects a refusal that leaves the target as it was.
fn check_refused(world: &World, what: &str, change: impl Fn(&Path)) {
    let file = fs::read_dir(world.path("in"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let answer = world.run_failing("run.batch.committed:120:kill");
    assert_eq!(answer.code, -9, "{what}: {} {}", answer.last, answer.err);
    let before = content(world);
    assert!(!before.is_empty());
    change(&file);
    let answer = world.run();
    let seen = format!("{what}: {} {} {}", answer.code, answer.last, answer.err);
    assert!([4, 5].contains(&answer.code), "{seen}");
    match answer.error() {
        "source::changed" => assert!(answer.help().contains("--no-resume"), "{seen}"),
        // A Parquet file without its end is none, whatever it was before.
        "file::corrupt" => {}
        // A file that is gone may come back.
        error => assert_eq!((answer.code, error), (5, "io::not_found"), "{seen}"),
    }
    assert!(content(world) == before, "{seen}");
}

/// Writes over a file in place, and sets its time of modification back.
fn overwrite(file: &Path, bytes: &[u8]) {
    let time = fs::metadata(file).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let open = fs::OpenOptions::new().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&open, bytes, 0).unwrap();
    open.set_modified(time).unwrap();
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), time);
}

fn check_file(format: &str) {
    check_refused(&world(format), "replaced by another", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file.with_extension("new"), bytes).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    });
    check_refused(&world(format), "appended", |file| {
        let mut bytes = fs::read(file).unwrap();
        bytes.extend_from_within(bytes.len() - 100..);
        fs::write(file, bytes).unwrap();
    });
    check_refused(&world(format), "truncated", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() - 100]).unwrap();
    });
    // At its beginning, behind what was read, and before it.
    for part in [0, 60, 95] {
        check_refused(
            &world(format),
            &format!("same size and time, others at {part} %"),
            |file| {
                let mut bytes = fs::read(file).unwrap();
                let at = bytes.len() * part / 100 + 200;
                // In text another address, so that the file is one of its kind as before.
                let text = bytes[at..].windows(7).position(|word| word == b"EXAMPLE");
                bytes[at + text.unwrap_or(0)] ^= 3;
                overwrite(file, &bytes);
            },
        );
    }
}

#[test]
fn a_changed_jsonl_file_is_refused() {
    check_file("jsonl");
}

#[test]
fn a_changed_csv_file_is_refused() {
    check_file("csv");
}

#[test]
fn a_changed_parquet_file_is_refused() {
    check_file("parquet");
}

/// The list of a pattern is frozen when a run begins: a file that comes later is for the next run.
#[test]
fn a_file_that_comes_later_is_not_read_by_the_run_that_goes_on() {
    for name in ["00.jsonl", "1.jsonl"] {
        let world = World::new(target("sqlite"), LOAD);
        assert_eq!(world.run_failing("run.batch.committed:120:kill").code, -9);
        world.write(&format!("in/{name}"), line(5_000));
        let answer = world.run();
        assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
        assert!(
            content(&world) == undisturbed(world.target, LOAD).content,
            "{name}"
        );
    }
}

#[test]
fn a_file_less_in_the_folder_is_refused() {
    let two = world("jsonl");
    two.write("in/1.jsonl", lines(RECORDS..RECORDS + 10));
    check_refused(&two, "removed", |file| {
        let other = if file.ends_with("0.jsonl") {
            "1.jsonl"
        } else {
            "0.jsonl"
        };
        fs::remove_file(file.with_file_name(other)).unwrap();
    });
}

/// Refused, and then started over into a target that is replaced: exactly the new source.
#[test]
fn starting_over_reads_the_source_as_it_is() {
    let replaced = target("jsonl-replace");
    let world = World::new(replaced, Load::SMALL);
    assert_eq!(world.run_failing("run.batch.committed:80:kill").code, -9);
    let reordered: String = (0..150).rev().map(line).collect();
    world.write("in/0.jsonl", &reordered);
    assert_eq!(world.run().error(), "source::changed");
    assert_eq!(world.run_with(&["--no-resume"]).code, 3);
    let undisturbed = World::new(replaced, Load::SMALL);
    undisturbed.write("in/0.jsonl", &reordered);
    assert_eq!(undisturbed.run().code, 3);
    assert!(content(&world) == content(&undisturbed));
}

/// A database with the records of [`Load::SMALL`] as source, interrupted in the middle.
fn from_table(sql: &str) -> World {
    let world = World::new(target("csv"), Load::SMALL);
    let mut db = Connection::open(world.path("in.db")).unwrap();
    db.execute_batch(sql).unwrap();
    let rows = db.transaction().unwrap();
    for i in 0..300 {
        let values = (i, format!("n{i}"), i as f64);
        rows.execute(
            "INSERT INTO s (id, name, price) VALUES (?1, ?2, ?3)",
            values,
        )
        .unwrap();
    }
    rows.commit().unwrap();
    let job = world.job("").replace(
        "backend = \"file\"\npath = \"\"",
        "backend = \"sqlite\"\npath = \"in.db\"\ntable = \"s\"",
    );
    world.write("job.toml", job.replace(", mail", ""));
    let answer = world.run_failing("run.batch.committed:70:kill");
    assert_eq!(answer.code, -9, "{} {}", answer.last, answer.err);
    world
}

const KEYED: &str = "CREATE TABLE s (id INTEGER PRIMARY KEY, name TEXT, price REAL)";

#[test]
fn an_altered_table_is_refused() {
    for change in [
        "ALTER TABLE s ADD COLUMN more TEXT",
        "ALTER TABLE s RENAME COLUMN name TO title",
        "DROP TABLE s",
    ] {
        let world = from_table(KEYED);
        Connection::open(world.path("in.db"))
            .unwrap()
            .execute_batch(change)
            .unwrap();
        let answer = world.run();
        assert!(
            [2, 4, 5].contains(&answer.code),
            "{change}: {} {}",
            answer.last,
            answer.err
        );
        assert!(
            !answer.error().is_empty() && !world.result().exists(),
            "{change}: {}",
            answer.last
        );
    }
}

#[test]
fn another_database_under_the_name_is_refused() {
    let world = from_table(KEYED);
    fs::copy(world.path("in.db"), world.path("copy.db")).unwrap();
    fs::rename(world.path("copy.db"), world.path("in.db")).unwrap();
    let answer = world.run();
    assert_eq!(
        (answer.code, answer.error()),
        (4, "source::changed"),
        "{} {}",
        answer.last,
        answer.err
    );
}

/// Every row is read once, as it was when its key came: those before the key stay as they were read.
#[test]
fn a_table_with_a_key_is_read_on_from_its_key() {
    let world = from_table(KEYED);
    let db = Connection::open(world.path("in.db")).unwrap();
    db.execute_batch(
        "UPDATE s SET name = 'new' WHERE id IN (1, 291); DELETE FROM s WHERE id IN (2, 292)",
    )
    .unwrap();
    drop(db);
    let answer = world.run();
    assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
    let text = fs::read_to_string(world.result()).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let mut ids: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let found = ids.len();
    ids.dedup();
    assert_eq!(found, ids.len(), "a row was doubled");
    let name = |id: &str| rows.iter().find(|row| row[0] == id).map(|row| row[1]);
    assert_eq!((name("1"), name("2")), (Some("n1"), Some("n2")));
    assert_eq!((name("291"), name("292")), (Some("new"), None));
}

/// Where only the order of reading tells rows apart, any change moves them: refused.
#[test]
fn a_view_without_a_key_that_changed_is_refused() {
    let world = from_table(
        "CREATE TABLE base (id INTEGER, name TEXT, price REAL); CREATE VIEW s AS SELECT * FROM base; \
        CREATE TRIGGER fill INSTEAD OF INSERT ON s BEGIN INSERT INTO base VALUES (new.id, new.name, new.price); END;",
    );
    let db = Connection::open(world.path("in.db")).unwrap();
    db.execute_batch("DELETE FROM base WHERE id = 2").unwrap();
    drop(db);
    let answer = world.run();
    assert_eq!(
        answer.error(),
        "source::changed",
        "{} {}",
        answer.last,
        answer.err
    );
    assert!(answer.code == 4 || answer.code == 5, "{}", answer.last);
    assert!(!world.result().exists());
}

/// Nothing changed at all: the cases above are refused for what they changed.
#[test]
fn an_unchanged_source_is_gone_on_with() {
    for format in ["jsonl", "csv", "parquet"] {
        let world = world(format);
        assert_eq!(
            world.run_failing("run.batch.committed:120:kill").code,
            -9,
            "{format}"
        );
        let answer = world.run();
        assert_eq!(
            (answer.code, &answer.last["resumed"]),
            (3, &true.into()),
            "{format}: {}",
            answer.last
        );
        assert_eq!(answer.last["counts"]["read"], RECORDS);
    }
    let world = World::new(target("sqlite"), LOAD);
    assert_eq!(world.run_failing("run.batch.committed:120:kill").code, -9);
    check_end(&world, &undisturbed(target("sqlite"), LOAD), "unchanged");
}
