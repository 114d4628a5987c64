//! The Nth system call of a kind fails: N = 1, 2, 3 … until a run passes without meeting the fault.
//!
//! `strace` makes the calls fail that touch one side of the run: its target, or its history with the
//! dead letters. It counts them in each thread on its own, which is one for each side.

use super::oracle::{check_end, check_meanwhile, is_done, undisturbed};
use super::targets::{Target, target};
use super::world::{Answer, Load, World};

/// Which files the failing calls touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Target,
    History,
}

/// What fails how.
const FAULTS: &[(&str, &str)] = &[
    ("fsync,fdatasync", "EIO"),
    ("write,pwrite64,ftruncate", "ENOSPC"),
    ("rename,renameat2,unlink,linkat", "EIO"),
    ("openat,mkdir", "EMFILE"),
];

/// More than any run of this load makes; a loop that does not end is a failure of its own.
const MOST: usize = 400;

/// `strace` with its arguments, before the program's own.
pub fn strace(arguments: &[&str]) -> Vec<String> {
    let found = std::process::Command::new("strace")
        .arg("--version")
        .output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test makes system calls fail with `strace`, which is not there: apt-get install strace"
    );
    let always = ["strace", "-f", "-qq", "-o", "strace.out"];
    always
        .iter()
        .chain(arguments)
        .map(|word| (*word).to_owned())
        .collect()
}

/// The files of one side, those that are not there yet included.
fn paths(world: &World, side: Side) -> Vec<String> {
    let name = super::oracle::name(&world.result());
    let relative: Vec<String> = match side {
        Side::History => ["", "-wal", "-journal", "-shm"]
            .map(|suffix| format!(".dkhost/state.db{suffix}"))
            .into(),
        Side::Target if world.target.is_sqlite() => ["", "-wal", "-journal", "-shm"]
            .map(|suffix| format!("out/{name}{suffix}"))
            .into(),
        Side::Target => {
            let hidden = ["part", "checkpoint", "checkpoint-new", "old"]
                .map(|what| format!("out/.{name}.dkhost-{what}"));
            let staging = format!("out/.{name}.dkhost-part");
            let inside = [
                "_manifest.json",
                "part-00000-00000.jsonl",
                "part-00001-00000.jsonl",
            ];
            let inside = inside.iter().map(|file| format!("{staging}/{file}"));
            hidden
                .into_iter()
                .chain(inside)
                .chain(["out".to_owned(), format!("out/{name}")])
                .collect()
        }
    };
    relative
        .iter()
        .flat_map(|path| {
            [
                world.path(path).display().to_string(),
                path.clone(),
                format!("./{path}"),
            ]
        })
        .collect()
}

/// Runs with the Nth of `calls` failing; `None` if no fault was met.
fn run(world: &World, side: Side, calls: &str, error: &str, nth: usize) -> Option<Answer> {
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:error={error}:when={nth}");
    let paths = paths(world, side);
    let mut arguments = vec!["-e", &trace, "-e", &inject];
    arguments.extend(paths.iter().flat_map(|path| ["-P", path.as_str()]));
    let answer: Answer = world
        .command_in(&strace(&arguments), &[])
        .output()
        .unwrap()
        .into();
    let trace = std::fs::read_to_string(world.path("strace.out")).unwrap();
    std::fs::remove_file(world.path("strace.out")).unwrap();
    trace.contains("(INJECTED)").then_some(answer)
}

/// The loop over N, in steps where it is only a sample.
fn check(target: &'static Target, side: Side) {
    let wanted = undisturbed(target, Load::TINY);
    let mut met = 0;
    for (index, (calls, error)) in FAULTS.iter().enumerate() {
        let (first, step) = match (std::env::var("DKHOST_NTH"), super::seeds()) {
            (Ok(only), _) => (only.parse().expect("DKHOST_NTH is a number"), MOST),
            (_, Some(_)) => (1, 1),
            // Not the same ones for each kind and target.
            (_, None) => (1 + (index + target.name.len()) % 4, 7),
        };
        let mut nth = first;
        loop {
            assert!(nth < MOST + first, "{}: {calls} never ends", target.name);
            let world = World::new(target, Load::TINY);
            let Some(answer) = run(&world, side, calls, error, nth) else {
                break;
            };
            met += 1;
            let context = format!(
                "target {}, {side:?}, {calls} {error}, DKHOST_NTH={nth}",
                target.name
            );
            check_answer(&world, &answer, &context);
            check_meanwhile(&world, &wanted, &context);
            check_end(&world, &wanted, &context);
            nth += step;
        }
    }
    let least = if std::env::var_os("DKHOST_NTH").is_some() {
        1
    } else {
        4
    };
    assert!(
        met >= least,
        "{}, {side:?}: only {met} faults were met",
        target.name
    );
}

/// The exit code tells the truth: done, or an error of the disk that can be resumed.
fn check_answer(world: &World, answer: &Answer, context: &str) {
    let seen = format!("{context}: {} {} {}", answer.code, answer.last, answer.err);
    match answer.code {
        3 => assert!(is_done(world), "{seen}"),
        5 => {
            assert!(!is_done(world), "{seen}");
            assert!(
                !answer.error().is_empty() && answer.error() != "dkhost::bug",
                "{seen}"
            );
        }
        _ => panic!("{seen}"),
    }
}

#[test]
fn any_call_on_a_file_may_fail() {
    check(target("csv-zst"), Side::Target);
}

#[test]
fn any_call_on_a_parquet_file_may_fail() {
    check(target("parquet"), Side::Target);
}

#[test]
fn any_call_on_a_replaced_file_may_fail() {
    check(target("jsonl-replace"), Side::Target);
}

#[test]
fn any_call_on_a_folder_may_fail() {
    check(target("folder"), Side::Target);
}

#[test]
fn any_call_on_a_replaced_folder_may_fail() {
    check(target("folder-replace"), Side::Target);
}

#[test]
fn any_call_on_a_database_may_fail() {
    check(target("sqlite"), Side::Target);
}

#[test]
fn any_call_on_a_replaced_table_may_fail() {
    check(target("sqlite-replace"), Side::Target);
}

#[test]
fn any_call_on_the_history_may_fail_while_a_file_is_written() {
    check(target("jsonl-gz"), Side::History);
}

#[test]
fn any_call_on_the_history_may_fail_while_rows_are_upserted() {
    check(target("sqlite-upsert"), Side::History);
}

/// What a failed sync left in the page cache is not what the disk holds, and the next sync of the same
/// descriptor would say that all is well.
#[test]
fn a_failed_sync_is_never_trusted_again() {
    let files = [
        ("jsonl", ".t.jsonl.dkhost-part"),
        ("jsonl", ".t.jsonl.dkhost-checkpoint"),
        ("sqlite", "t.db-wal"),
    ];
    for (name, file) in files {
        let world = World::new(target(name), Load::SMALL);
        let wanted = undisturbed(target(name), Load::SMALL);
        let path = world.path(&format!("out/{file}")).display().to_string();
        let inject = ["-e", "inject=fsync,fdatasync:error=EIO:when=1"];
        let (answer, calls) = run_traced(&world, &path, &inject);
        let context = format!(
            "{name}, {file}: {} {} {}",
            answer.code, answer.last, answer.err
        );
        assert_eq!(answer.code, 5, "{context}");
        let failed = calls.iter().position(|call| call.contains("(INJECTED)"));
        let failed = failed.unwrap_or_else(|| panic!("{context}: no sync was met"));
        check_syncs(&calls[failed + 1..], &context);
        // The next process writes again what was not synced.
        let (answer, calls) = run_traced(&world, &path, &[]);
        assert_eq!(answer.code, 3, "{context}: {} {}", answer.last, answer.err);
        check_syncs(&calls, &context);
        super::oracle::check_result(&world, &wanted, &context);
    }
}

/// Runs and gives back the writes and syncs of one file.
fn run_traced(world: &World, path: &str, inject: &[&str]) -> (Answer, Vec<String>) {
    let mut arguments = vec!["-P", path, "-e", "trace=fsync,fdatasync,write,pwrite64"];
    arguments.extend(inject);
    let answer = world
        .command_in(&strace(&arguments), &[])
        .output()
        .unwrap()
        .into();
    let calls = std::fs::read_to_string(world.path("strace.out")).unwrap();
    std::fs::remove_file(world.path("strace.out")).unwrap();
    (answer, calls.lines().map(str::to_owned).collect())
}

/// No sync succeeds before something was written anew.
fn check_syncs(calls: &[String], context: &str) {
    let succeeded = calls
        .iter()
        .position(|call| call.contains("sync(") && call.contains("= 0"));
    let written = calls.iter().position(|call| call.contains("write"));
    if let Some(succeeded) = succeeded {
        let is_new = written.is_some_and(|written| written < succeeded);
        assert!(is_new, "{context}: synced without writing: {calls:?}");
    }
}
