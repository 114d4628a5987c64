//! Two processes and one target: whoever was taken over cannot write any more, and says so.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::oracle::{check_end, content, undisturbed};
use super::targets::target;
use super::world::{Answer, Load, World};

/// Gives the job another history.
fn use_history(world: &World, name: &str) {
    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    let job = job.split("[state]").next().unwrap().to_owned();
    world.write(
        "job.toml",
        format!("{job}[state]\nurl = \"sqlite:{name}/state.db\"\n"),
    );
}

/// Starts the job, which stops itself at a fail point, and waits until it has.
fn stopped(world: &World, fail: &str) -> Child {
    let mut child = world
        .command()
        .env("DKHOST_FAIL", format!("{fail}:stop"))
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !is_stopped(&child) {
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none() && began.elapsed() < Duration::from_secs(60),
            "{fail} was not passed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// *Source* – proc(5), `/proc/PID/stat`: the state follows the command's closing parenthesis.
fn is_stopped(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn continued(child: Child) -> Answer {
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    child.wait_with_output().unwrap().into()
}

/// The second process, which knows nothing of the first one's history, takes the target over.
fn check_fenced(name: &str, fail: &str) {
    let load = Load::small_for(target(name));
    let wanted = undisturbed(target(name), load);
    let world = World::new(target(name), load);
    use_history(&world, "first");
    let first = stopped(&world, fail);
    use_history(&world, "second");
    let answer = world.run();
    assert_eq!(
        answer.code, 3,
        "{name}, {fail}: {} {}",
        answer.last, answer.err
    );
    assert_eq!(answer.last["counts"], wanted.counts, "{name}, {fail}");
    let first = continued(first);
    let seen = format!(
        "{name}, {fail}: {} {} {}",
        first.code, first.last, first.err
    );
    assert_eq!((first.code, first.error()), (7, "run::fenced"), "{seen}");
    assert!(content(&world) == wanted.content, "{seen}");
    if world.place().is_some() {
        // What the paused process held is swept by whoever took over.
        return super::oracle::check_leftovers(&world, &wanted, &seen);
    }
    let mut left: Vec<_> = fs::read_dir(world.path("out"))
        .unwrap()
        .map(|entry| super::oracle::name(&entry.unwrap().path()))
        .collect();
    // A database that the paused process had open could not go back to the journal it had before;
    // SQLite removes its log with the next process that writes.
    left.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    assert_eq!(left, [super::oracle::name(&world.result())], "{seen}");
}

#[test]
fn a_table_paused_past_a_takeover_is_fenced() {
    check_fenced("sqlite", "run.batch.committed:40");
    check_fenced("sqlite-replace", "run.partition.done:2");
    check_fenced("sqlite-upsert", "run.end.verified:1");
}

/// Between batches, in a transaction that holds a batch, and at the end.
#[test]
fn a_table_of_a_server_paused_past_a_takeover_is_fenced() {
    check_fenced("postgres", "run.batch.committed:40");
    check_fenced("postgres", "postgres.commit.prepared:40");
    check_fenced("postgres-upsert", "postgres.write.staged:40");
    check_fenced("postgres-replace", "run.partition.done:2");
    check_fenced("postgres-upsert", "run.end.verified:1");
}

#[test]
fn a_file_paused_past_a_takeover_is_fenced() {
    check_fenced("jsonl", "run.batch.committed:70");
    check_fenced("parquet", "run.partition.done:2");
    check_fenced("folder", "run.end.verified:1");
    check_fenced("csv-zst", "file.publish.flushed:1");
}

/// Between batches, before and in a bulk, before its checkpoint, and at the end.
#[test]
fn an_index_paused_past_a_takeover_is_fenced() {
    check_fenced("elasticsearch", "run.batch.committed:20");
    check_fenced("elasticsearch-insert", "elasticsearch.write.intended:12");
    check_fenced("elasticsearch-upsert", "elasticsearch.bulk.answered:8");
    check_fenced("elasticsearch-insert", "elasticsearch.commit.prepared:16");
    check_fenced("elasticsearch-replace", "elasticsearch.write.intended:4");
    check_fenced("elasticsearch-replace", "elasticsearch.publish.refreshed:1");
}

#[test]
fn objects_paused_past_a_takeover_are_fenced() {
    check_fenced("s3", "run.batch.committed:20");
    check_fenced("s3", "s3.commit.sent:1");
    check_fenced("s3-parquet-replace", "s3.publish.manifest:1");
    check_fenced("s3-records", "s3.records.noted:12");
    check_fenced("s3-records-upsert", "s3.records.sent:18");
    check_fenced("s3-records-upsert", "run.end.verified:1");
}

/// A batch that is written again meets its own objects, and still overwrites nobody else's.
#[test]
fn an_object_changed_after_a_takeover_stays_changed() {
    let world = World::new(target("s3-records-upsert"), Load::OVER_HTTP);
    let Some(super::places::Place::Bucket(bucket)) = world.place() else {
        panic!("no bucket")
    };
    use_history(&world, "first");
    // The batch of record 3, which was there before.
    assert_eq!(world.run_failing("s3.records.sent:1:kill").code, -9);
    let first = stopped(&world, "s3.records.noted:1");
    use_history(&world, "second");
    let second = world.run();
    assert_eq!(second.code, 3, "{} {}", second.last, second.err);
    let (key, changed) = (format!("{}3.json", super::objects::PREFIX), b"{\"id\":3}");
    bucket.put(&key, changed);
    let first = continued(first);
    let seen = format!("{} {} {}", first.code, first.last, first.err);
    assert!([5, 7].contains(&first.code), "{seen}");
    assert_eq!(bucket.get(&key), changed, "{seen}");
}

/// Whoever was taken over writes nothing more, not even where nothing is any more.
#[test]
fn an_index_emptied_after_a_takeover_stays_empty() {
    for fail in [
        "elasticsearch.write.intended:12",
        "elasticsearch.write.sent:12",
    ] {
        let world = World::new(target("elasticsearch-insert"), Load::OVER_HTTP);
        use_history(&world, "first");
        let first = stopped(&world, fail);
        use_history(&world, "second");
        let second = world.run();
        assert_eq!(second.code, 3, "{fail}: {} {}", second.last, second.err);
        let place = world.place().unwrap();
        place.empty(world.target);
        let there = place.leftovers(world.target);
        let first = continued(first);
        let seen = format!("{fail}: {} {} {}", first.code, first.last, first.err);
        assert_eq!((first.code, first.error()), (7, "run::fenced"), "{seen}");
        assert!(content(&world).is_empty(), "{seen}");
        assert_eq!(place.leftovers(world.target), there, "{seen}");
    }
}

/// One history: the lock of the job keeps the second one out, and names the first.
#[test]
fn a_paused_process_keeps_its_job_locked() {
    for name in ["sqlite", "jsonl"] {
        let wanted = undisturbed(target(name), Load::SMALL);
        let world = World::new(target(name), Load::SMALL);
        let first = stopped(&world, "run.batch.committed:40");
        let second = world.run();
        assert_eq!(
            (second.code, second.error()),
            (7, "run::locked"),
            "{}",
            second.last
        );
        assert!(
            second
                .last
                .to_string()
                .contains(&format!("process {}", first.id())),
            "{}",
            second.last
        );
        let first = continued(first);
        assert_eq!(first.code, 3, "{} {}", first.last, first.err);
        assert!(content(&world) == wanted.content);
    }
}

/// Paused between looking at the table and claiming it, it would begin anew on top of what another
/// process wrote meanwhile.
#[test]
fn a_process_that_looked_too_early_does_not_begin_anew() {
    looked_too_early("sqlite-rows", "sqlite.claim.opened:1");
    looked_too_early("postgres-rows", "postgres.claim.opened:1");
}

fn looked_too_early(name: &str, fail: &str) {
    let wanted = undisturbed(target(name), Load::SMALL);
    let world = World::new(target(name), Load::SMALL);
    use_history(&world, "first");
    let first = stopped(&world, fail);
    use_history(&world, "second");
    assert_eq!(world.run_failing("run.batch.committed:40:kill").code, -9);
    let first = continued(first);
    let seen = format!("{} {}", first.last, first.err);
    assert_eq!((first.code, first.error()), (7, "target::busy"), "{seen}");
    use_history(&world, "first");
    let answer = world.run();
    assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
    assert_eq!(answer.last["counts"], wanted.counts);
    assert!(content(&world) == wanted.content);
}

/// Started at the same moment, each with a history of its own: one wins, the other says why not.
#[test]
fn two_processes_that_start_at_once_end_as_one_run() {
    let rounds = super::seeds().unwrap_or(3);
    for name in [
        "jsonl",
        "folder",
        "sqlite-replace",
        "jsonl-replace",
        "postgres-replace",
        "postgres-upsert",
    ] {
        for _ in 0..rounds {
            let wanted = undisturbed(target(name), Load::SMALL);
            let world = World::new(target(name), Load::SMALL);
            let start = |history: &str| {
                use_history(&world, history);
                let job = format!("{history}.toml");
                fs::copy(world.path("job.toml"), world.path(&job)).unwrap();
                world.other(&["run", &job, "--json"]).spawn().unwrap()
            };
            let both = [start("first"), start("second")];
            let answers = both.map(|child| Answer::from(child.wait_with_output().unwrap()));
            let seen = answers
                .iter()
                .map(|a| format!("{} {} {}; ", a.code, a.last, a.err))
                .collect::<String>();
            assert!(
                answers.iter().any(|answer| answer.code == 3),
                "{name}: {seen}"
            );
            assert!(
                answers
                    .iter()
                    .all(|answer| [2, 3, 5, 7].contains(&answer.code)),
                "{name}: {seen}"
            );
            assert!(content(&world) == wanted.content, "{name}: {seen}");
        }
    }
}

/// Paused in the middle of a commit it holds the target, and nobody gets between its steps.
#[test]
fn a_process_paused_inside_a_commit_is_waited_for_and_not_overtaken() {
    for (name, fail, code) in [
        ("jsonl", "file.commit.synced:1", 7),
        ("sqlite", "sqlite.commit.prepared:40", 5),
    ] {
        let wanted = undisturbed(target(name), Load::SMALL);
        let world = World::new(target(name), Load::SMALL);
        use_history(&world, "first");
        let first = stopped(&world, fail);
        use_history(&world, "second");
        let second = world.run();
        assert_eq!(second.code, code, "{} {}", second.last, second.err);
        assert!(!second.help().is_empty(), "{}", second.last);
        let first = continued(first);
        assert_eq!(first.code, 3, "{} {}", first.last, first.err);
        assert!(content(&world) == wanted.content);
    }
}

/// The second history finishes what the first began; the first then finds its run gone.
#[test]
fn two_histories_and_one_target_end_as_one_run() {
    for (name, code, error) in [
        ("sqlite", 8, "state::target_behind"),
        ("postgres", 8, "state::target_behind"),
        ("jsonl", 2, "target::exists"),
        ("json-gz", 2, "target::exists"),
    ] {
        let wanted = undisturbed(target(name), Load::SMALL);
        let world = World::new(target(name), Load::SMALL);
        use_history(&world, "first");
        assert_eq!(world.run_failing("run.batch.committed:80:kill").code, -9);
        use_history(&world, "second");
        assert_eq!(world.run_failing("run.batch.committed:20:kill").code, -9);
        use_history(&world, "first");
        assert_eq!(world.run_failing("run.batch.committed:10:kill").code, -9);
        use_history(&world, "second");
        let answer = world.run();
        assert_eq!(answer.code, 3, "{name}: {} {}", answer.last, answer.err);
        assert_eq!(answer.last["counts"], wanted.counts, "{name}");
        assert!(content(&world) == wanted.content, "{name}");
        use_history(&world, "first");
        let answer = world.run();
        assert_eq!(
            (answer.code, answer.error()),
            (code, error),
            "{name}: {} {}",
            answer.last,
            answer.err
        );
        assert!(content(&world) == wanted.content, "{name}");
    }
}

/// The library that sets the clock of a process, as its own command would load it.
fn faketime() -> String {
    let asked = std::process::Command::new("faketime")
        .args(["2001-01-01", "printenv", "LD_PRELOAD"])
        .output();
    let asked = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match asked {
        Ok(library) if !library.is_empty() => library,
        _ => panic!(
            "this test sets the clock back with `faketime`, which is not there: apt-get install faketime"
        ),
    }
}

/// Years back, and years ahead: a run is told by its id, never by which is later.
#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let library = faketime();
    for name in ["sqlite", "csv"] {
        for (first, then) in [("2031-01-01", "2001-01-01"), ("2001-01-01", "2031-01-01")] {
            let wanted = undisturbed(target(name), Load::SMALL);
            let world = World::new(target(name), Load::SMALL);
            let at = |moment: &str, fail: &str| -> Answer {
                let mut command = world.command();
                command
                    .env("LD_PRELOAD", &library)
                    .env("FAKETIME", format!("@{moment} 00:00:00"));
                command.env("DKHOST_FAIL", fail).output().unwrap().into()
            };
            let killed = at(first, "run.batch.committed:80:kill");
            assert_eq!(killed.code, -9, "{}", killed.err);
            let answer = at(then, "run.batch.committed:20:error");
            assert_eq!(answer.code, 5, "{} {}", answer.last, answer.err);
            check_end(&world, &wanted, &format!("{name}, {first} then {then}"));
        }
    }
}
