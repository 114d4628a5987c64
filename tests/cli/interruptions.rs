//! Signals, kills, two runs at once, readers that go away: nothing is lost and the exit code is true.

use std::io::Write;
use std::process::Stdio;

use expect_test::expect;
use rustix::process::Signal;
use serde_json::json;

use crate::world::{World, answer, check};

const RECORDS: i64 = 60_000;

/// A job that takes a while: many small batches, each committed durably.
fn long() -> World {
    let world = World::with_job(concat!(
        "name = \"long\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\n",
        "[[steps]]\nfilter = \"id % 100 <> 99\"\n",
        "[target]\nbackend = \"sqlite\"\npath = \"out.db\"\ntable = \"t\"\n",
        "[run]\nbatch = { rows = 20 }\nverify = \"checksum\"\n",
    ));
    let mut lines = Vec::new();
    for id in 0..RECORDS {
        writeln!(lines, "{{\"id\":{id},\"name\":\"Ünï {id}\"}}").unwrap();
    }
    world.write("in.jsonl", lines);
    world
}

/// The target holds what one undisturbed run would have written, each record once.
fn is_whole(world: &World) {
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let mut query = database
        .prepare("SELECT id, name FROM t ORDER BY id")
        .unwrap();
    let found: Vec<(i64, String)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected = (0..RECORDS)
        .filter(|id| id % 100 != 99)
        .map(|id| (id, format!("Ünï {id}")));
    assert!(
        found.into_iter().eq(expected),
        "the target is not what one run would have written"
    );
}

fn goes_on(world: &World) {
    let report = world
        .expect(
            0,
            &["run", "job.toml", "--json", "--set", "run.batch.rows=5000"],
        )
        .last();
    assert_eq!(report["resumed"], json!(true));
    // The counts are those of the whole run.
    assert_eq!(report["counts"]["read"], RECORDS);
    assert_eq!(report["counts"]["filtered"], RECORDS / 100);
    is_whole(world);
}

#[test]
fn sigint_finishes_the_batch_and_the_next_run_goes_on() {
    let world = long();
    let running = world.start(&["run", "job.toml", "--json"]);
    running.signal(Signal::INT);
    let answer = running.end();
    assert_eq!(answer.code, 130, "{}", answer.err);
    let report = answer.last();
    assert_eq!(
        (&report["status"], &report["exit_code"]),
        (&json!("stopped"), &json!(130))
    );
    let history = world.expect(0, &["history", "--json"]).last();
    assert_eq!(history["status"], "stopped");
    assert!(history["counts"]["read"].as_i64().unwrap() < RECORDS);
    goes_on(&world);
}

#[test]
fn a_second_signal_stops_at_once_and_loses_nothing() {
    let world = long();
    let running = world.start(&["run", "job.toml", "--json"]);
    running.signal(Signal::TERM);
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, 143);
    world.expect(
        0,
        &["run", "job.toml", "--quiet", "--set", "run.batch.rows=5000"],
    );
    is_whole(&world);
}

#[test]
fn kill_nine_in_the_middle_ends_like_one_clean_run() {
    let world = long();
    let running = world.start(&["run", "job.toml", "--json"]);
    std::thread::sleep(std::time::Duration::from_millis(150));
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, -9);
    let history = world.expect(0, &["history", "--json"]).last();
    assert_eq!(
        history["status"], "running",
        "nobody was left to say otherwise"
    );
    goes_on(&world);
}

#[test]
fn a_second_run_of_the_same_job_is_told_who_has_it() {
    let world = long();
    let running = world.start(&["run", "job.toml", "--json"]);
    let second = world.expect(7, &["run", "job.toml"]);
    check(
        &second.err,
        expect![[r#"
            long: file to table t in out.db
            delivery: effectively-once (rows and checkpoint in one transaction of the database)
            error[run::locked]: job `long` is being run by process PID since MOMENT
              help: wait for it, or stop it (SIGINT finishes its batch) and run again
        "#]],
    );
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, 143);
    goes_on(&world);
}

#[test]
fn people_read_how_far_a_stopped_run_came() {
    let world = long();
    let child = world
        .command(&["run", "job.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !world.path("out.db").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    let answer = answer(child.wait_with_output().unwrap());
    assert_eq!(answer.code, 130, "{}", answer.err);
    assert_eq!(answer.out, "");
    for expected in [
        "stopping: the batches under way",
        "long stopped in",
        "stopped[run::stopped]",
        "run the same command again",
    ] {
        assert!(
            answer.err.contains(expected),
            "{expected:?} is not in {}",
            answer.err
        );
    }
}

#[test]
fn a_changed_job_does_not_go_on_unasked() {
    let world = long();
    let running = world.start(&["run", "job.toml", "--json"]);
    std::thread::sleep(std::time::Duration::from_millis(150));
    running.signal(Signal::INT);
    assert_eq!(running.end().code, 130);
    let job = world
        .read("job.toml")
        .replace("id % 100 <> 99", "id % 100 <> 98");
    world.write("job.toml", job);
    check(
        &world.expect(2, &["run", "job.toml"]).err,
        expect![[r#"
            long: file to table t in out.db
            delivery: effectively-once (rows and checkpoint in one transaction of the database)
            error[run::plan_changed]: the job, a plugin or the source's columns changed since run RUN was interrupted
              help: put it back and run again; or go on with the new plan from where it stopped (`--accept-plan-change`, recorded); or start over (`--no-resume`)
        "#]],
    );
    world.expect(
        0,
        &[
            "run",
            "job.toml",
            "--accept-plan-change",
            "--quiet",
            "--set",
            "run.batch.rows=5000",
        ],
    );
    let remark = world.expect(0, &["history", "long", "--json"]).last()["remarks"].clone();
    assert!(remark.to_string().contains("changed plan"), "{remark}");
}

#[test]
fn a_reader_that_goes_away_ends_the_output_and_not_the_work() {
    let world = long();
    let mut child = world
        .command(&[
            "run",
            "job.toml",
            "--json",
            "--set",
            "run.batch.rows=5000",
            "--set",
            "run.progress_interval=1ms",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let answer = answer(child.wait_with_output().unwrap());
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    is_whole(&world);
    for command in [
        &["backends"][..],
        &["history"],
        &["--help"],
        &["job", "schema"],
        &["completions", "bash"],
    ] {
        let mut child = world
            .command(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let answer = crate::world::answer(child.wait_with_output().unwrap());
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{command:?}");
    }
}

#[test]
fn a_full_disk_behind_stdout_is_no_success() {
    let world = World::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let answer = answer(world.command(&["backends"]).stdout(full).output().unwrap());
    assert_eq!(answer.code, 5);
    check(
        &answer.err,
        expect![[r#"
        error[cli::stdout]: the answer could not be written to stdout
          cause: No space left on device (os error 28)
          help: what was done is done; `dkhost history` shows it
    "#]],
    );
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_can_be_resumed() {
    let world = long();
    let limited = format!(
        "ulimit -f 200; exec {} run job.toml --quiet",
        crate::world::DKHOST
    );
    let mut shell = std::process::Command::new("sh");
    let answer = answer(
        shell
            .args(["-c", &limited])
            .current_dir(world.path(""))
            .output()
            .unwrap(),
    );
    assert_eq!(answer.code, 5, "{}", answer.err);
    assert!(answer.err.starts_with("error["), "{}", answer.err);
    world.expect(
        0,
        &["run", "job.toml", "--quiet", "--set", "run.batch.rows=5000"],
    );
    is_whole(&world);
}

#[test]
fn a_mistake_of_ours_ends_with_what_to_report_and_the_run_goes_on_after_it() {
    let world = World::with_job(concat!(
        "name = \"small\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\n",
        "[target]\nbackend = \"sqlite\"\npath = \"out.db\"\ntable = \"t\"\n",
        "[run]\nbatch = { rows = 2 }\n",
    ));
    let lines: String = (0..5).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    world.write("in.jsonl", lines);
    let output = world
        .command(&["run", "job.toml", "--quiet"])
        .env("DKHOST_FAIL", "run.batch.written:2:panic")
        .output();
    let broken = answer(output.unwrap());
    assert_eq!((broken.code, broken.out.as_str()), (101, ""));
    for part in [
        "error[dkhost::bug]: dkhost made a mistake: told to panic at run.batch.written",
        "command `run`",
        "Batches that were committed are safe",
    ] {
        assert!(broken.err.contains(part), "{}", broken.err);
    }
    assert!(!broken.err.contains("RUST_BACKTRACE"), "{}", broken.err);

    let report = world.expect(0, &["run", "job.toml", "--json"]).last();
    assert_eq!(
        (&report["resumed"], &report["counts"]["written"]),
        (&json!(true), &json!(5))
    );
    // A history that is closed in order leaves no log beside it.
    assert!(!world.path(".dkhost/state.db-wal").exists());
}
