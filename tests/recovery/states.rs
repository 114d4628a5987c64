//! The state is damaged between crash and resume: the history, or the checkpoint in the target.
//!
//! Each case says which of two things happens: the run is refused with its exit code, a way out and
//! everything untouched; or it is resumed and nothing is lost.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::faults::Chance;
use super::full::unshared;
use super::oracle::{check_end, checkpoint_log, content, letters, tree, undisturbed};
use super::targets::target;
use super::world::{Answer, Load, World};

/// Where the run is killed: in its second partition, after the history got copies of the first.
const KILL: &str = "run.batch.committed:145:kill";

fn interrupted(name: &str) -> World {
    let world = World::new(target(name), Load::SMALL);
    let answer = world.run_failing(KILL);
    assert_eq!(answer.code, -9, "{} {}", answer.last, answer.err);
    world
}

fn history(world: &World) -> PathBuf {
    world.path(".dkhost/state.db")
}

/// The history in one file, so that damage to it cannot be made good from its log.
fn settle(world: &World) {
    let db = Connection::open(history(world)).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(db);
    assert!(!world.path(".dkhost/state.db-wal").exists());
}

/// Everything in the folder but the lock, byte for byte.
fn everything(world: &World) -> Vec<(String, Vec<u8>)> {
    let paths = tree(&world.path("."))
        .into_iter()
        .filter(|path| !path.ends_with(".lock"));
    let read = |path: String| {
        let bytes = fs::read(world.path(&path)).unwrap_or_default();
        (path, bytes)
    };
    paths.map(read).collect()
}

/// The run is refused, says what to do, and touches nothing.
#[track_caller]
fn check_refused(world: &World, code: i32, error: &str, help: &str) {
    if world.path(".dkhost/state.db-wal").exists() {
        settle(world);
    }
    let before = everything(world);
    let answer = world.run();
    let seen = format!("{} {} {}", answer.code, answer.last, answer.err);
    assert_eq!((answer.code, answer.error()), (code, error), "{seen}");
    assert!(answer.help().contains(help), "{seen}");
    for ((path, was), (now, is)) in before.iter().zip(everything(world)) {
        assert!(*path == now && *was == is, "`{path}` was touched: {seen}");
    }
}

/// The run is resumed; only dead letters of batches before may be gone, with the log they were in.
#[track_caller]
fn check_resumed_without_log(world: &World) {
    let wanted = undisturbed(world.target, world.load);
    let answer = world.run();
    assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
    assert_eq!(answer.last["resumed"], true, "{}", answer.last);
    assert_eq!(answer.last["counts"], wanted.counts);
    assert!(content(world) == wanted.content, "the target differs");
    assert!(
        letters(world)
            .iter()
            .all(|letter| wanted.letters.contains(letter))
    );
    assert_eq!(tree(&world.path(".")), wanted.tree, "leftovers");
}

/// Starting over is always a way out, also where the first answer to it is what to remove.
#[track_caller]
fn check_anew(world: &World) {
    let wanted = undisturbed(world.target, world.load);
    let answer = world.run_with(&["--no-resume"]);
    assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
    assert_eq!(answer.last["counts"], wanted.counts);
    assert!(content(world) == wanted.content, "the target differs");
    assert_eq!(tree(&world.path(".")), wanted.tree, "leftovers");
}

#[test]
fn a_deleted_history_loses_the_log_and_no_data() {
    for name in ["sqlite", "sqlite-replace", "jsonl-gz", "folder-parquet"] {
        let world = interrupted(name);
        fs::remove_dir_all(world.path(".dkhost")).unwrap();
        check_resumed_without_log(&world);
    }
}

#[test]
fn a_history_truncated_to_zero_is_a_deleted_one() {
    for keeps_log in [false, true] {
        let world = interrupted("sqlite");
        if !keeps_log {
            settle(&world);
        }
        fs::write(history(&world), "").unwrap();
        check_resumed_without_log(&world);
    }
}

#[test]
fn a_history_of_random_bytes_is_refused_and_moving_it_aside_helps() {
    for (seed, name) in [(1, "sqlite"), (2, "csv")] {
        let world = interrupted(name);
        settle(&world);
        let mut chance = Chance(seed);
        let length = fs::metadata(history(&world)).unwrap().len();
        let noise: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        fs::write(history(&world), noise).unwrap();
        check_refused(&world, 8, "state::corrupt", "mv ");
        fs::rename(history(&world), world.path("state.db.broken")).unwrap();
        let answer = world.run();
        assert_eq!(
            (answer.code, &answer.last["resumed"]),
            (3, &true.into()),
            "{}",
            answer.last
        );
        assert!(content(&world) == undisturbed(world.target, world.load).content);
    }
}

/// A page in the middle is noise: the run is refused, or never needs the page.
#[test]
fn a_damaged_page_of_the_history_is_refused_or_does_not_matter() {
    let pages = {
        let world = interrupted("sqlite");
        settle(&world);
        fs::metadata(history(&world)).unwrap().len() as usize / 4096
    };
    assert!(pages > 8);
    for page in 1..pages {
        let world = interrupted("sqlite");
        settle(&world);
        let mut bytes = fs::read(history(&world)).unwrap();
        let mut chance = Chance(page as u64);
        bytes[page * 4096..(page + 1) * 4096]
            .iter_mut()
            .for_each(|byte| *byte = chance.next() as u8);
        fs::write(history(&world), bytes).unwrap();
        let wanted = undisturbed(world.target, world.load);
        let answer = world.run();
        let seen = format!(
            "page {page}: {} {} {}",
            answer.code, answer.last, answer.err
        );
        match answer.code {
            3 => assert!(content(&world) == wanted.content, "{seen}"),
            8 => {
                assert_eq!(answer.error(), "state::corrupt", "{seen}");
                assert!(
                    answer.help().contains("mv ") && wanted.content.starts_with(&content(&world)),
                    "{seen}"
                );
                for suffix in ["", "-wal", "-shm"] {
                    let _ = fs::remove_file(world.path(&format!(".dkhost/state.db{suffix}")));
                }
                let answer = world.run();
                // What the damaged history was told last may be that the run is done.
                assert!(
                    answer.code == 3 && content(&world) == wanted.content,
                    "{seen}; then {}",
                    answer.last
                );
            }
            _ => panic!("{seen}"),
        }
    }
}

#[test]
fn a_history_that_cannot_be_written_is_refused() {
    let world = interrupted("sqlite");
    settle(&world);
    let script =
        "mount --bind .dkhost .dkhost && mount -o remount,ro,bind .dkhost || exit 99; exec \"$@\"";
    let before = everything(&world);
    let answer: Answer = world
        .command_in(&unshared(script), &[])
        .output()
        .unwrap()
        .into();
    assert_eq!(answer.code, 5, "{} {}", answer.last, answer.err);
    assert!(!answer.help().is_empty(), "{}", answer.last);
    assert!(everything(&world) == before, "something was touched");
    check_end(
        &world,
        &undisturbed(world.target, world.load),
        "writable again",
    );
}

#[test]
fn a_history_that_another_process_locks_is_waited_for_and_then_refused() {
    let world = interrupted("jsonl");
    settle(&world);
    let db = Connection::open(history(&world)).unwrap();
    // In WAL mode others read on; the lock is on writing.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE run SET message = message;",
    )
    .unwrap();
    let answer = world.run();
    assert_eq!(
        (answer.code, answer.error()),
        (7, "state::busy"),
        "{} {}",
        answer.last,
        answer.err
    );
    assert!(!answer.help().is_empty());
    db.execute_batch("ROLLBACK").unwrap();
    drop(db);
    check_end(
        &world,
        &undisturbed(world.target, world.load),
        "unlocked again",
    );
}

#[test]
fn a_newer_history_is_refused_and_untouched() {
    let world = interrupted("sqlite");
    settle(&world);
    let db = Connection::open(history(&world)).unwrap();
    db.execute_batch("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', 1, x'00', 1)").unwrap();
    drop(db);
    settle(&world);
    check_refused(&world, 8, "state::newer", "version");
}

#[test]
fn a_deleted_checkpoint_of_a_file_is_refused() {
    for name in ["jsonl-zst", "folder"] {
        let world = interrupted(name);
        fs::remove_file(checkpoint_log(&world)).unwrap();
        check_refused(&world, 8, "state::target_behind", "--no-resume");
        check_anew(&world);
    }
}

/// Before the history has a copy, too: what the table holds already would be written twice.
#[test]
fn a_deleted_checkpoint_of_a_table_is_refused() {
    for fail in [KILL, "run.batch.committed:1:kill"] {
        let world = World::new(target("sqlite"), Load::SMALL);
        assert_eq!(world.run_failing(fail).code, -9);
        Connection::open(world.result())
            .unwrap()
            .execute_batch("DROP TABLE dkhost_checkpoint")
            .unwrap();
        check_refused(&world, 8, "state::target_behind", "--no-resume");
    }
}

#[test]
fn a_garbled_or_newer_checkpoint_of_a_file_is_refused() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(Damage, &str); 4] = [
        (|_| Vec::new(), "state::corrupt"),
        (
            |bytes| {
                bytes
                    .iter()
                    .enumerate()
                    .map(|(i, byte)| if i == bytes.len() / 2 { 0 } else { *byte })
                    .collect()
            },
            "state::corrupt",
        ),
        (
            |bytes| bytes.iter().map(|byte| byte.wrapping_mul(167)).collect(),
            "state::corrupt",
        ),
        (
            |bytes| {
                String::from_utf8(bytes)
                    .unwrap()
                    .replace("\"version\":1", "\"version\":99")
                    .into_bytes()
            },
            "state::newer",
        ),
    ];
    for (damage, error) in cases {
        let world = interrupted("parquet");
        let log = checkpoint_log(&world);
        fs::write(&log, damage(fs::read(&log).unwrap())).unwrap();
        check_refused(&world, 8, error, "rm ");
        // As the help says: remove it, which the history notices, and start over.
        fs::remove_file(&log).unwrap();
        check_anew(&world);
    }
}

/// A power cut may take the end of the log, as long as nobody was told about it.
#[test]
fn a_checkpoint_cut_in_its_last_line_goes_on_from_the_line_before() {
    let world = World::new(target("jsonl"), Load::SMALL);
    assert_eq!(world.run_failing("file.commit.logged:3:kill").code, -9);
    let log = checkpoint_log(&world);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 20]).unwrap();
    check_end(
        &world,
        &undisturbed(world.target, world.load),
        "the last line was cut",
    );
}

#[test]
fn a_part_shorter_than_its_checkpoint_says_is_refused() {
    let world = interrupted("jsonl");
    let part = world.path("out/.t.jsonl.dkhost-part");
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..100]).unwrap();
    check_refused(&world, 8, "state::corrupt", "--no-resume");
}

#[test]
fn a_garbled_or_newer_checkpoint_of_a_table_is_refused() {
    let cases = [
        ("UPDATE dkhost_checkpoint SET body = ''", "state::corrupt"),
        (
            "UPDATE dkhost_checkpoint SET body = substr(body, 1, 40)",
            "state::corrupt",
        ),
        (
            "UPDATE dkhost_checkpoint SET body = '{\"version\":1}' WHERE partition = 0",
            "state::corrupt",
        ),
        (
            "UPDATE dkhost_checkpoint SET body = replace(body, '\"version\":1', '\"version\":99')",
            "state::newer",
        ),
        (
            "DELETE FROM dkhost_checkpoint WHERE partition = -1",
            "state::corrupt",
        ),
        (
            "DELETE FROM dkhost_checkpoint WHERE partition = 0",
            "state::target_behind",
        ),
        (
            "DROP TABLE dkhost_checkpoint; CREATE TABLE dkhost_checkpoint (a)",
            "state::corrupt",
        ),
    ];
    for (damage, error) in cases {
        let world = interrupted("sqlite");
        let db = Connection::open(world.result()).unwrap();
        db.execute_batch(damage).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        drop(db);
        let before = content(&world);
        let answer = world.run();
        let seen = format!("{damage}: {} {}", answer.last, answer.err);
        assert_eq!((answer.code, answer.error()), (8, error), "{seen}");
        assert!(
            !answer.help().is_empty() && content(&world) == before,
            "{seen}"
        );
    }
}
