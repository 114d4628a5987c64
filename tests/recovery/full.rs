//! The disk is full, or a file may not grow further: an error that can be resumed, never a death.
//!
//! A disk of a megabyte is a `tmpfs`, mounted where only the processes of one script see it
//! (`unshare`), so that nothing is left mounted whatever happens.

use std::fs;
use std::process::Command;

use super::oracle::{check_end, check_meanwhile, check_result, undisturbed};
use super::targets::{Target, target};
use super::world::{Answer, Load, World};

/// A script that sees mounts of its own, as root inside it.
pub fn unshared(script: &str) -> Vec<String> {
    let works = |flags: &str| {
        let probe = Command::new("unshare")
            .args([flags, "sh", "-c", "mount -t tmpfs tmpfs /mnt"])
            .output();
        probe.is_ok_and(|output| output.status.success())
    };
    let flags = ["-m", "-rm"].into_iter().find(|flags| works(flags)).expect(
        "this test mounts a small disk of its own, which needs root or `unshare -rm` (util-linux, user namespaces)",
    );
    ["unshare", flags, "sh", "-c", script, "sh"]
        .map(str::to_owned)
        .into()
}

/// Runs in a full disk mounted at `folder`, then again when there is room; the first answer.
fn run_full(world: &World, folder: &str, free_kib: usize) -> i32 {
    fs::create_dir_all(world.path(folder)).unwrap();
    fs::create_dir(world.path("kept")).unwrap();
    let fill = 1024 - free_kib;
    // What is on the small disk is gone with the script, so it is copied before.
    let script = format!(
        "mount -t tmpfs -o size=1m,mode=700 tmpfs {folder} && head -c {fill}k /dev/zero > {folder}/filler || exit 99
         \"$@\" > first.json; echo $? > first.code; rm {folder}/filler
         \"$@\" > second.json; code=$?; cp -a {folder}/. kept/; exit $code"
    );
    let second: Answer = world
        .command_in(&unshared(&script), &[])
        .output()
        .unwrap()
        .into();
    let read = |name: &str| fs::read_to_string(world.path(name)).unwrap();
    let seen = format!(
        "{} {} {}",
        read("first.json"),
        read("second.json"),
        second.err
    );
    let first = read("first.code").trim().parse().unwrap();
    assert!(
        first == 3 || first == 5,
        "{folder}, {free_kib} KiB: {first} {seen}"
    );
    if first == 5 {
        assert!(
            seen.contains("disk_full"),
            "{folder}, {free_kib} KiB: {seen}"
        );
        assert_eq!(second.code, 3, "{folder}, {free_kib} KiB: {seen}");
    }
    fs::remove_dir(world.path(folder)).unwrap();
    fs::rename(world.path("kept"), world.path(folder)).unwrap();
    first
}

fn check(target: &'static Target, folder: &str, free_kib: &[usize]) {
    let wanted = undisturbed(target, Load::SMALL);
    let ended: Vec<i32> = free_kib
        .iter()
        .map(|free_kib| {
            let world = World::new(target, Load::SMALL);
            let first = run_full(&world, folder, *free_kib);
            if first == 5 {
                check_result(
                    &world,
                    &wanted,
                    &format!("{}, {free_kib} KiB on {folder}", target.name),
                );
            }
            first
        })
        .collect();
    // Otherwise the disk was never full, and nothing was tested.
    assert!(
        ended.iter().filter(|code| **code == 5).count() >= 2,
        "{}: {ended:?}",
        target.name
    );
}

#[test]
fn a_target_may_run_out_of_disk() {
    check(target("jsonl"), "out", &[4, 12, 20, 28, 36]);
    check(target("folder"), "out", &[4, 12, 20, 36]);
}

#[test]
fn a_database_may_run_out_of_disk() {
    check(target("sqlite"), "out", &[8, 24, 48, 96]);
}

#[test]
fn a_history_may_run_out_of_disk() {
    check(target("jsonl-gz"), ".dkhost", &[4, 40, 72, 104, 136]);
    check(target("sqlite"), ".dkhost", &[40, 104]);
}

/// `ulimit -f`: the kernel sends SIGXFSZ, which would kill a process that does nothing about it.
#[test]
fn a_file_that_may_not_grow_is_an_error_and_no_death() {
    for (name, limits) in [("jsonl", [4, 16, 40]), ("sqlite", [8, 24, 48])] {
        let target = target(name);
        let wanted = undisturbed(target, Load::SMALL);
        for limit_kib in limits {
            let world = World::new(target, Load::SMALL);
            let around = [
                "prlimit".to_owned(),
                format!("--fsize={}", limit_kib * 1024),
            ];
            let answer: Answer = world
                .command_in(&around, &[])
                .output()
                .expect("`prlimit` of util-linux")
                .into();
            let context = format!(
                "{name}, {limit_kib} KiB: {} {} {}",
                answer.code, answer.last, answer.err
            );
            assert_eq!(answer.code, 5, "{context}");
            check_meanwhile(&world, &wanted, &context);
            check_end(&world, &wanted, &context);
        }
    }
}
