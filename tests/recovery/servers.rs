//! A server that is stopped, cut off, full, or refuses for a moment: what it holds afterwards is
//! what an undisturbed run leaves.

use std::process::Child;
use std::time::Duration;

use dkhost_servers::{Database, Server, Settings, Stop};

use super::faults::Chance;
use super::oracle::{Wanted, check_end, check_meanwhile, content, is_done, undisturbed};
use super::places::Place;
use super::targets::target;
use super::world::{Answer, Load, World};

/// Enough to be in the middle of when a server stops.
const LOAD: Load = Load {
    records: 2_000,
    partitions: 2,
    batch: 20,
    plugin: false,
    parallel: 2,
    verify: "checksum",
};

fn start(settings: &Settings) -> Server {
    Server::start(settings).unwrap_or_else(|why| panic!("{why}"))
}

fn on(server: &Server, name: &str, load: Load) -> World {
    let database = server.database().unwrap_or_else(|why| panic!("{why}"));
    World::at(target(name), load, Some(Place::Database(database)))
}

pub fn ended(child: Child) -> Answer {
    child.wait_with_output().unwrap().into()
}

/// Runs until it is done: each time it may only end done or resumable.
pub fn go_on(world: &World, wanted: &Wanted, context: &str) {
    for _ in 0..5 {
        check_meanwhile(world, wanted, context);
        if is_done(world) {
            break;
        }
        let answer = world.run();
        assert!(
            [3, 5].contains(&answer.code),
            "{context}: {} {}",
            answer.last,
            answer.err
        );
    }
    check_end(world, wanted, context);
}

/// At random moments of a run, in mid-COPY among them.
#[test]
fn a_server_that_is_stopped_and_started_again_loses_nothing() {
    let mut server = start(&Settings::default());
    let rounds = super::seeds().map_or(2, |seeds| seeds / 10);
    for name in ["postgres", "postgres-upsert", "postgres-replace"] {
        let wanted = undisturbed(target(name), LOAD);
        for seed in 1..=rounds {
            let mut chance = Chance(seed * 7 + name.len() as u64);
            let how = chance.one_of(&[Stop::Immediate, Stop::Fast]);
            let delay = wanted.took.mul_f64(chance.below(1_000) as f64 / 1_000.0);
            let context = format!("{name}, {how:?} after {delay:?}");
            let world = on(&server, name, LOAD);
            let child = world.command().spawn().unwrap();
            std::thread::sleep(delay);
            server.stop(how).unwrap();
            std::thread::sleep(Duration::from_millis(chance.below(400) as u64));
            server.start_again().unwrap();
            let answer = ended(child);
            assert!(
                [3, 5].contains(&answer.code),
                "{context}: {} {}",
                answer.last,
                answer.err
            );
            go_on(&world, &wanted, &context);
        }
    }
}

/// The backend's sessions are ended one by one while it writes.
#[test]
fn a_session_that_is_ended_is_made_anew() {
    let server = start(&Settings::default());
    for name in ["postgres", "postgres-upsert"] {
        let wanted = undisturbed(target(name), LOAD);
        let world = on(&server, name, LOAD);
        let mut child = world.command().spawn().unwrap();
        let mut ends = 0;
        while child.try_wait().unwrap().is_none() {
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name LIKE 'dkhost%' AND xact_start IS NOT NULL";
            if ends < 3 {
                ends += server.sql(sql).unwrap().parse::<u32>().unwrap().min(1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(ends > 0, "{name}: it was never caught writing");
        let answer = ended(child);
        assert!(
            [3, 5].contains(&answer.code),
            "{name}: {} {}",
            answer.last,
            answer.err
        );
        go_on(&world, &wanted, name);
    }
}

/// A trigger refuses the nth row once, as a server does that asks for the transaction again.
#[test]
fn what_a_server_refuses_for_a_moment_is_written_the_next_time() {
    for state in ["40001", "40P01", "55P03"] {
        for name in ["postgres-rows", "postgres-upsert"] {
            let wanted = undisturbed(target(name), Load::SMALL);
            let world = World::new(target(name), Load::SMALL);
            world.database().sql(&format!(
                "CREATE SEQUENCE moment; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF nextval('moment') IN (40, 90) THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse();"
            ));
            let answer = world.run();
            let context = format!("{name}, {state}: {} {}", answer.last, answer.err);
            assert_eq!(answer.code, 3, "{context}");
            assert_eq!(answer.last["counts"], wanted.counts, "{context}");
            assert!(content(&world) == wanted.content, "{context}");
        }
    }
}

/// Says so, and goes on once somebody hangs up.
#[test]
fn a_server_without_a_free_connection_is_waited_for_or_named() {
    let server = start(
        &Settings::default()
            .set("max_connections", "8")
            .set("superuser_reserved_connections", "0"),
    );
    let wanted = undisturbed(target("postgres"), Load::SMALL);
    let world = on(&server, "postgres", Load::SMALL);
    let sleepers: Vec<Child> = (0..8).filter_map(|_| sleeper(world.database())).collect();
    std::thread::sleep(Duration::from_millis(500));
    let answer = world.run();
    assert_eq!(answer.code, 5, "{} {}", answer.last, answer.err);
    let said = format!("{} {}", answer.last, answer.err);
    assert!(said.contains("connections"), "{said}");
    for mut sleeper in sleepers {
        sleeper.wait().unwrap();
    }
    go_on(&world, &wanted, "53300");
}

/// A session that only takes a place, for a while.
fn sleeper(database: &Database) -> Option<Child> {
    let psql = dkhost_servers::programs::postgres("psql").unwrap();
    std::process::Command::new(psql)
        .args(["-X", "-d", &database.url, "-c", "SELECT pg_sleep(8)"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()
}

/// Everything that was committed stays; with room again the run goes on.
#[test]
fn a_server_may_run_out_of_disk() {
    let server = start(
        &Settings::default()
            .disk_mib(110)
            .set("max_wal_size", "32MB")
            .set("min_wal_size", "32MB"),
    );
    let wanted = undisturbed(target("postgres"), Load::SMALL);
    let world = on(&server, "postgres", Load::SMALL);
    let database = world.database();
    database.sql("CREATE SCHEMA filler; CREATE TABLE filler.room (x text); ALTER TABLE filler.room ALTER x SET STORAGE EXTERNAL");
    let fill = "INSERT INTO filler.room SELECT repeat('x', 8000) FROM generate_series(1, 64)";
    while database.try_sql(fill).is_ok() {}
    let answer = world.run();
    let said = format!("{} {}", answer.last, answer.err);
    assert_eq!(answer.code, 5, "{said}");
    assert!(said.contains("space") || said.contains("disk"), "{said}");
    database.sql("DROP SCHEMA filler CASCADE; CHECKPOINT");
    go_on(&world, &wanted, "disk full");
}
