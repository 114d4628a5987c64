//! Where a job and what it names may lie: behind links, and never in a pipe, a socket, a device, a
//! folder or nowhere, which is told at once and not waited for.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use expect_test::expect;

use crate::world::{SMALL, World, check};

const RECORDS: &str = "{\"id\":1}\n{\"id\":2}\n";

fn world() -> World {
    let world = World::with_job(SMALL);
    world.write("in.jsonl", RECORDS);
    world
}

/// Makes one of what is no file, under this name.
fn odd(world: &World, kind: &str, name: &str) {
    let path = world.path(name);
    match kind {
        "pipe" => assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        ),
        "socket" => drop(UnixListener::bind(&path).unwrap()),
        "device" => symlink("/dev/zero", &path).unwrap(),
        "folder" => fs::create_dir(&path).unwrap(),
        "loop" => symlink(&path, &path).unwrap(),
        "dangling" => symlink("nowhere", &path).unwrap(),
        _ => unreachable!("{kind}"),
    }
}

#[test]
fn a_job_behind_a_link_means_paths_beside_the_link() {
    let world = World::new();
    world.write("real/job.toml", SMALL);
    world.write("here/in.jsonl", RECORDS);
    symlink("../real/job.toml", world.path("here/job.toml")).unwrap();
    world.expect(0, &["run", "here/job.toml"]);
    assert!(world.path("here/out.db").exists() && world.path("here/.dkhost/state.db").exists());
    assert!(!world.path("real/out.db").exists());
}

#[test]
fn a_source_behind_links_is_read() {
    let world = world();
    fs::rename(world.path("in.jsonl"), world.path("records.jsonl")).unwrap();
    symlink("records.jsonl", world.path("link.jsonl")).unwrap();
    symlink("link.jsonl", world.path("in.jsonl")).unwrap();
    let report = world.expect(0, &["run", "job.toml", "--json"]).last();
    assert_eq!(report["counts"]["written"], 2);
}

#[test]
fn a_target_behind_a_link_is_written_there_and_the_link_stays() {
    for (target, name) in [("sqlite", "out.db"), ("file", "out.csv")] {
        let world = world();
        world.write(
            "job.toml",
            SMALL.replace(
                "\"sqlite\"\npath    = \"out.db\"\ntable   = \"t\"",
                &format!(
                    "\"{target}\"\npath = \"{name}\"{}",
                    if target == "sqlite" {
                        "\ntable = \"t\""
                    } else {
                        "\non_conflict = \"replace-all\""
                    }
                ),
            ),
        );
        fs::create_dir(world.path("store")).unwrap();
        let real = format!("store/{name}");
        if target == "file" {
            world.write(&real, "old\n");
        }
        symlink(&real, world.path(name)).unwrap();
        world.expect(0, &["run", "job.toml"]);
        assert!(
            fs::symlink_metadata(world.path(name)).unwrap().is_symlink(),
            "{name} is no link any more"
        );
        assert!(
            fs::metadata(world.path(&real)).unwrap().len() > 4,
            "{real} was not written"
        );
    }
}

#[test]
fn what_is_no_file_is_no_job() {
    for kind in ["pipe", "socket", "device", "folder", "loop", "dangling"] {
        let world = World::new();
        odd(&world, kind, "job.toml");
        for command in [
            &["plan", "job.toml"][..],
            &["run", "job.toml"],
            &["history", "job.toml"],
            &["plan", "job.toml", "--json"],
        ] {
            let answer = world.expect(2, command);
            assert!(answer.err.contains("help"), "{kind}: {}", answer.err);
        }
    }
    let world = World::new();
    odd(&world, "pipe", "job.toml");
    check(
        &world.expect(2, &["plan", "job.toml"]).err,
        expect![[r#"
        error[job::no_file]: `job.toml` is a pipe or a device, and no job file
          help: give the path of the file itself: `dkhost run FOLDER/job.toml`; a run that is taken up again reads it again
    "#]],
    );
    check(
        &world.expect(2, &["plan", "."]).err,
        expect![[r#"
        error[job::no_file]: `.` is a folder, and no job file
          help: give the path of the file itself: `dkhost run FOLDER/job.toml`; a run that is taken up again reads it again
    "#]],
    );
}

#[test]
fn what_is_no_file_is_no_source() {
    for kind in ["pipe", "socket", "device", "loop", "dangling"] {
        let world = World::with_job(SMALL);
        odd(&world, kind, "in.jsonl");
        let answer = world.expect(2, &["plan", "job.toml"]);
        assert!(
            answer.err.contains("[job.toml:5:") && answer.err.contains("help: "),
            "{kind}: {}",
            answer.err
        );
        let world = World::with_job(
            &SMALL
                .replace("\"file\"", "\"sqlite\"\ntable = \"t\"")
                .replace("in.jsonl", "in.db"),
        );
        odd(&world, kind, "in.db");
        let answer = world.expect(2, &["plan", "job.toml"]);
        assert!(
            answer.err.contains("[job.toml:") && answer.err.contains("help: "),
            "{kind}: {}",
            answer.err
        );
    }
}

#[test]
fn what_is_no_file_is_no_target() {
    for kind in ["pipe", "socket", "device", "folder", "loop"] {
        for (from, name) in [
            (SMALL.to_owned(), "out.db"),
            (
                SMALL.replace(
                    "\"sqlite\"\npath    = \"out.db\"\ntable   = \"t\"",
                    "\"file\"\npath = \"out.csv\"",
                ),
                "out.csv",
            ),
        ] {
            let world = world();
            world.write("job.toml", &from);
            odd(&world, kind, name);
            let answer = world.expect(2, &["run", "job.toml"]);
            assert!(
                answer.err.contains("[job.toml:") && answer.err.contains("help: "),
                "{kind} {name}: {}",
                answer.err
            );
        }
    }
}

#[test]
fn what_is_no_file_is_no_plugin_and_no_state() {
    for kind in ["pipe", "socket", "device", "folder", "loop", "dangling"] {
        let world = world();
        odd(&world, kind, "x.wasm");
        let answer = world.run(&["plan", "job.toml", "--plugin", "x.wasm"]);
        assert!(
            [2, 5, 6].contains(&answer.code) && answer.err.contains("help: "),
            "{kind}: {} {}",
            answer.code,
            answer.err
        );
        fs::create_dir(world.path("s")).unwrap();
        odd(&world, kind, "s/state.db");
        let answer = world.run(&["run", "job.toml", "--set", "state.url=sqlite:s/state.db"]);
        if kind != "dangling" {
            assert!(
                [2, 5, 8].contains(&answer.code) && answer.err.contains("help: "),
                "{kind}: {} {}",
                answer.code,
                answer.err
            );
        }
    }
}
