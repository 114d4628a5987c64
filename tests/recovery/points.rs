//! Killed, or failing, at every fail point of the commit protocol.
//!
//! [`POINTS`] is the one list. A point that stands in the source and not here, or here and not in the
//! source, is a failure; so is one that the run it is tried on does not pass.

use std::path::Path;

use dkhost_drive::{Points, points_in};

use super::nth::strace;
use super::oracle::{check_end, check_meanwhile, content, undisturbed};
use super::targets::{Target, target};
use super::world::{Answer, Load, World};

/// A fail point.
pub struct Point {
    pub name: &'static str,
    on: On,
    when: When,
    fails: Fails,
}

/// What may go wrong there beside a death.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// Nothing that follows can fail before the step is over.
    Never,
    /// Something may fail for good.
    ForGood,
    /// Also something that may pass, and is tried again.
    OrForNow,
}

/// Which targets pass it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Any,
    Files,
    Folders,
    Sqlite,
    ReplacedTable,
    Postgres,
    MetOnServer,
    NewOnServer,
    ReplacedOnServer,
}

/// In which run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Once in each.
    Once,
    /// With every batch, or every commit.
    Often,
    /// Once in a run that goes on with another.
    Resumed,
    /// Where the file system cannot do what is asked of it first.
    OldFiles,
}

const fn point(name: &'static str, on: On, when: When) -> Point {
    Point {
        name,
        on,
        when,
        fails: Fails::OrForNow,
    }
}

const fn kill_only(name: &'static str, on: On, when: When) -> Point {
    Point {
        name,
        on,
        when,
        fails: Fails::Never,
    }
}

/// The commit is made and cannot be tried again; what follows it may fail.
const fn committed(name: &'static str, on: On, when: When) -> Point {
    Point {
        name,
        on,
        when,
        fails: Fails::ForGood,
    }
}

use On::{
    Any, Files, Folders, MetOnServer, NewOnServer, Postgres, ReplacedOnServer, ReplacedTable,
    Sqlite,
};
use When::{Often, OldFiles, Once, Resumed};

pub const POINTS: &[Point] = &[
    point("history.open.created", Any, Once),
    point("run.start.claimed", Any, Once),
    point("history.begin.prepared", Any, Once),
    kill_only("history.begin.committed", Any, Once),
    point("run.resume.claimed", Any, Resumed),
    point("history.take-over.prepared", Any, Resumed),
    kill_only("history.take-over.committed", Any, Resumed),
    point("run.resume.letters-forgotten", Any, Resumed),
    point("run.batch.written", Any, Often),
    point("history.letters.prepared", Any, Often),
    kill_only("history.letters.kept", Any, Often),
    committed("run.batch.committed", Any, Often),
    point("history.copy.prepared", Any, Once),
    kill_only("history.copy.committed", Any, Once),
    point("run.partition.done", Any, Once),
    point("run.partition.flushed", Any, Once),
    point("run.end.verified", Any, Once),
    point("run.end.published", Any, Once),
    point("history.end.prepared", Any, Once),
    kill_only("history.end.committed", Any, Once),
    kill_only("run.end.recorded", Any, Once),
    point("file.claim.locked", Files, Once),
    point("file.log.written", Files, Once),
    point("file.log.renamed", Files, Once),
    point("file.claim.logged", Files, Once),
    point("file.claim.restored", Files, Once),
    point("file.claim.swept", Files, Once),
    point("file.claim.folder-created", Folders, Once),
    point("file.part.created", Files, Once),
    point("file.commit.written", Files, Often),
    point("file.commit.synced", Files, Often),
    point("file.append.written", Files, Often),
    point("file.commit.logged", Files, Often),
    point("file.publish.flushed", Files, Once),
    point("file.finish.written", Files, Once),
    point("file.finish.synced", Files, Once),
    point("file.publish.finished", Files, Once),
    point("file.publish.logged", Files, Once),
    point("file.rename.linked", Files, OldFiles),
    point("file.rename.moved-aside", Folders, OldFiles),
    point("file.publish.renamed", Files, Once),
    point("file.publish.synced", Files, Once),
    point("file.publish.swept", Files, Once),
    point("file.retire.locked", Files, Once),
    point("file.retire.swept", Files, Once),
    point("file.retire.synced", Files, Once),
    point("file.retire.forgotten", Files, Once),
    point("sqlite.claim.opened", Sqlite, Once),
    point("sqlite.claim.prepared", Sqlite, Once),
    point("sqlite.claim.committed", Sqlite, Once),
    point("sqlite.claim.journal-changed", Sqlite, Once),
    point("sqlite.write.staged", Sqlite, Often),
    point("sqlite.commit.prepared", Sqlite, Often),
    point("sqlite.commit.committed", Sqlite, Often),
    point("sqlite.swap.dropped", ReplacedTable, Once),
    point("sqlite.swap.renamed", ReplacedTable, Once),
    point("sqlite.publish.prepared", Sqlite, Once),
    point("sqlite.publish.committed", Sqlite, Once),
    point("sqlite.retire.journal-changed", Sqlite, Once),
    point("sqlite.retire.prepared", Sqlite, Once),
    point("sqlite.retire.forgotten", Sqlite, Once),
    point("postgres.claim.opened", Postgres, Once),
    point("postgres.claim.prepared", Postgres, Once),
    point("postgres.claim.committed", Postgres, Once),
    point("postgres.claim.others-ended", Postgres, Once),
    point("postgres.write.begun", Postgres, Often),
    point("postgres.write.copied", MetOnServer, Often),
    point("postgres.write.culprits-found", MetOnServer, Once),
    point("postgres.write.staged", Postgres, Often),
    point("postgres.commit.prepared", Postgres, Often),
    point("postgres.commit.sent", Postgres, Often),
    point("postgres.commit.committed", Postgres, Often),
    point("postgres.swap.renamed", NewOnServer, Once),
    point("postgres.swap.emptied", ReplacedOnServer, Once),
    point("postgres.swap.filled", ReplacedOnServer, Once),
    point("postgres.publish.prepared", Postgres, Once),
    point("postgres.publish.committed", Postgres, Once),
    point("postgres.retire.prepared", Postgres, Once),
    point("postgres.retire.forgotten", Postgres, Once),
];

/// The points that the tests of a backend interrupt it at, and look up, themselves.
const BY_THEIR_OWN: [&str; 2] = ["elasticsearch.", "s3."];

/// Whether an ordinary run into `target` passes the point.
pub fn is_passed_by(point: &Point, target: &Target) -> bool {
    let fits = match point.on {
        Any => true,
        Files => target.is_file(),
        Folders => target.is_folder(),
        Sqlite => target.is_sqlite(),
        ReplacedTable => target.is_sqlite() && target.is_replaced(),
        Postgres => target.is_postgres(),
        MetOnServer => target.name == "postgres-upsert",
        NewOnServer => target.name == "postgres-replace-new",
        ReplacedOnServer => target.name == "postgres-replace",
    };
    fits && !matches!(point.when, OldFiles)
}

/// Disturbs one run at one point, and compares what comes of it.
fn play(target: &'static Target, point: &Point, nth: u64, action: &str) {
    let fail = format!("{}:{nth}:{action}", point.name);
    if std::env::var("DKHOST_FAIL").is_ok_and(|only| only != fail) {
        return;
    }
    let wanted = undisturbed(target, Load::SMALL);
    let world = World::new(target, Load::SMALL);
    let context = format!("target {}, DKHOST_FAIL={fail}", target.name);
    if point.when == Resumed {
        let first = world.run_failing("run.batch.committed:70:kill");
        assert_eq!(first.code, -9, "{context}: {}", first.err);
    }
    let answer = match point.when {
        OldFiles => run_on_old_files(&world, &fail),
        _ => world.run_failing(&fail),
    };
    check_answer(point, action, &answer, &context);
    if world.path("out/.t.dkhost-old").exists() {
        // Only where a folder cannot be swapped: the old one waits aside for its place.
        assert!(
            content(&world).is_empty() && point.when == OldFiles,
            "{context}"
        );
    } else {
        check_meanwhile(&world, &wanted, &context);
    }
    check_end(&world, &wanted, &context);
}

/// As on a file system that knows neither `NOREPLACE` nor `EXCHANGE`.
fn run_on_old_files(world: &World, fail: &str) -> Answer {
    let around = strace(&[
        "-e",
        "trace=renameat2",
        "-e",
        "inject=renameat2:error=EINVAL",
    ]);
    let mut command = world.command_in(&around, &[]);
    let answer = command.env("DKHOST_FAIL", fail).output().unwrap().into();
    std::fs::remove_file(world.path("strace.out")).unwrap();
    answer
}

fn check_answer(point: &Point, action: &str, answer: &Answer, context: &str) {
    let was_passed = match action {
        "kill" => answer.code == -9,
        // What cannot be swept is no reason to call the run failed.
        _ if point.name.contains(".retire.") => {
            answer.code == 3 && answer.last["notes"].to_string().contains(point.name)
        }
        "error" => answer.code == 5 && answer.last.to_string().contains(point.name),
        // Tried again, or failed and resumable.
        _ => answer.code == 3 || answer.code == 5,
    };
    assert!(
        was_passed,
        "{context}: the point was not passed, or the end is not true: {} {} {}",
        answer.code, answer.last, answer.err
    );
}

/// Every point of these that `targets` pass, killed and failing.
fn check(targets: &[&str], group: &str) {
    for name in targets {
        let target = target(name);
        let points = POINTS.iter().filter(|point| point.name.starts_with(group));
        for point in points.filter(|point| is_passed_by(point, target)) {
            let times: &[u64] = match point.when {
                Often if point.name.starts_with("file.") || point.name.contains("letters") => {
                    &[1, 2]
                }
                Often => &[1, 70],
                _ => &[1],
            };
            for nth in times {
                play(target, point, *nth, "kill");
                if point.fails != Fails::Never {
                    play(target, point, *nth, "error");
                }
                if point.fails == Fails::OrForNow {
                    play(target, point, *nth, "again");
                }
            }
        }
    }
}

#[test]
fn a_file_survives_every_point() {
    let all: &[&str] = match super::seeds() {
        Some(_) => &[
            "jsonl",
            "jsonl-gz",
            "json",
            "csv-zst",
            "tsv",
            "parquet",
            "arrow",
            "jsonl-replace",
        ],
        None => &["csv-zst", "jsonl-replace"],
    };
    check(all, "file.");
}

#[test]
fn a_parquet_file_survives_every_point() {
    check(&["parquet"], "file.");
}

#[test]
fn a_folder_survives_every_point() {
    check(&["folder", "folder-replace"], "file.");
}

#[test]
fn a_table_survives_every_point() {
    check(&["sqlite"], "sqlite.");
}

#[test]
fn an_upserted_and_a_replaced_table_survive_every_point() {
    check(&["sqlite-upsert", "sqlite-replace"], "sqlite.");
}

#[test]
fn a_table_of_a_server_survives_every_point() {
    check(&["postgres"], "postgres.");
}

#[test]
fn an_upserted_and_a_replaced_table_of_a_server_survive_every_point() {
    check(
        &[
            "postgres-upsert",
            "postgres-replace",
            "postgres-replace-new",
        ],
        "postgres.",
    );
}

#[test]
fn the_run_survives_every_point_with_a_server() {
    check(&["postgres"], "run.");
}

#[test]
fn the_run_survives_every_point_with_a_file() {
    check(&["jsonl-gz"], "run.");
}

#[test]
fn the_run_survives_every_point_with_a_table() {
    check(&["sqlite"], "run.");
}

#[test]
fn the_history_survives_every_point_with_a_file() {
    check(&["parquet"], "history.");
}

#[test]
fn the_history_survives_every_point_with_a_table() {
    check(&["sqlite-upsert"], "history.");
}

#[test]
fn file_systems_that_cannot_swap_survive_every_point() {
    for (target_name, name) in [
        ("jsonl", "file.rename.linked"),
        ("folder-replace", "file.rename.moved-aside"),
    ] {
        let point = POINTS.iter().find(|point| point.name == name).unwrap();
        play(target(target_name), point, 1, "kill");
        play(target(target_name), point, 1, "error");
    }
}

#[test]
fn every_point_in_the_source_is_in_the_list_and_tested() {
    let mut found = points_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("host"));
    found.retain(|name| !BY_THEIR_OWN.iter().any(|group| name.starts_with(group)));
    let listed: Points = POINTS.iter().map(|point| point.name.to_owned()).collect();
    assert_eq!(found, listed);
}

/// A release has neither the points nor the variable that arms them.
#[test]
fn fail_points_are_for_debug_builds_only() {
    if !cfg!(debug_assertions) {
        panic!("these tests need the fail points of a debug build: run them without --release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let main = std::fs::read_to_string(root.join("host/cli/main.rs")).unwrap();
    for line in ["mod fail;", "fail::arm();"] {
        let (before, _) = main
            .split_once(line)
            .unwrap_or_else(|| panic!("no `{line}`"));
        assert!(
            before.trim_end().ends_with("#[cfg(debug_assertions)]"),
            "`{line}` is in a release"
        );
    }
    let core = std::fs::read_to_string(root.join("host/core/src/fail.rs")).unwrap();
    for line in ["pub fn arm", "static HOOK", "if let Some(hook)"] {
        let (before, _) = core
            .split_once(line)
            .unwrap_or_else(|| panic!("no `{line}`"));
        assert!(
            before.trim_end().ends_with("#[cfg(debug_assertions)]"),
            "`{line}` is in a release"
        );
    }
    // Where somebody built one, the binary itself is asked.
    let release = Path::new(env!("CARGO_BIN_EXE_dkhost"))
        .ancestors()
        .nth(2)
        .unwrap()
        .join("release/dkhost");
    if let Ok(bytes) = std::fs::read(release) {
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(
            !has("DKHOST_FAIL") && !has("file.commit.written"),
            "a release knows fail points"
        );
    }
}
