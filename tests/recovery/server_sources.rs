//! A table of a server as source: killed, stopped and cut off while it is read, also through a pooler.

use std::time::Duration;

use dkhost_proxy::{Act, Proxy, Rule, Way};
use dkhost_servers::{Pooler, Server, Settings, Stop};

use super::faults::{Chance, kill_after};
use super::oracle::{Content, content};
use super::places::Place;
use super::targets::target;
use super::world::{Answer, Load, World};

const LOAD: Load = Load {
    records: 2_000,
    partitions: 1,
    batch: 20,
    plugin: false,
    parallel: 3,
    verify: "checksum",
};

const TABLE: &str = "CREATE TABLE s AS SELECT i AS id, 'Ünï ' || i AS name, i * 7 + 0.25::float8 AS price, i % 2 = 0 AS even, \
    ' A' || i || '@EXAMPLE.org' AS mail FROM generate_series(0, 1999) i; ALTER TABLE s ADD PRIMARY KEY (id);";

/// A job from `s` into the table `t` beside it, in three slices.
fn world(server: &Server, name: &str) -> World {
    let database = server.database().unwrap_or_else(|why| panic!("{why}"));
    database.sql(TABLE);
    let url = database.url.clone();
    let world = World::at(target(name), LOAD, Some(Place::Database(database)));
    let source =
        format!("backend = \"postgres\"\nurl = \"{url}\"\ntable = \"s\"\npartitions = 3\n");
    let job = world
        .job("")
        .replace("backend = \"file\"\npath = \"\"\n", &source);
    world.write("job.toml", job);
    world
}

fn start() -> Server {
    Server::start(&Settings::default()).unwrap_or_else(|why| panic!("{why}"))
}

/// What an undisturbed run leaves, and how long it takes.
fn undisturbed(server: &Server, name: &str) -> (Content, Duration) {
    let world = world(server, name);
    let began = std::time::Instant::now();
    let answer = world.run();
    assert_eq!(answer.code, 3, "{} {}", answer.last, answer.err);
    (content(&world), began.elapsed())
}

/// Runs until it is done, which it is within a few goes.
fn end(world: &World, wanted: &Content, context: &str) {
    let mut last = None;
    for _ in 0..4 {
        let answer = world.run();
        let code = answer.code;
        last = Some(answer);
        if code != 5 {
            break;
        }
    }
    let last: Answer = last.unwrap();
    assert_eq!(last.code, 3, "{context}: {} {}", last.last, last.err);
    assert!(content(world) == *wanted, "{context}: the target differs");
    let left = world
        .database()
        .sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'dkhost'");
    assert_eq!(left, "0", "{context}: leftovers");
}

#[test]
fn a_source_on_a_server_survives_kills() {
    let server = start();
    let rounds = super::seeds().map_or(3, |seeds| seeds / 4);
    for name in ["postgres", "postgres-upsert"] {
        let (wanted, took) = undisturbed(&server, name);
        for seed in 1..=rounds {
            let mut chance = Chance(seed * 31 + name.len() as u64);
            let world = world(&server, name);
            let fail = format!("run.batch.committed:{}:kill", 1 + chance.below(90));
            let answer = world.run_failing(&fail);
            assert_eq!(answer.code, -9, "{fail}: {} {}", answer.last, answer.err);
            kill_after(&world, took.mul_f64(chance.below(900) as f64 / 1_000.0));
            let done = super::oracle::is_done(&world);
            if !done {
                end(&world, &wanted, &format!("{name}, seed {seed}, {fail}"));
            }
        }
    }
}

#[test]
fn a_source_on_a_server_that_is_stopped_in_mid_read_goes_on() {
    let mut server = start();
    let (wanted, took) = undisturbed(&server, "postgres-upsert");
    for (part, how) in [(0.4, Stop::Immediate), (0.7, Stop::Fast)] {
        let world = world(&server, "postgres-upsert");
        let child = world.command().spawn().unwrap();
        std::thread::sleep(took.mul_f64(part));
        server.stop(how).unwrap();
        server.start_again().unwrap();
        let answer: Answer = child.wait_with_output().unwrap().into();
        let context = format!("{how:?}: {} {}", answer.last, answer.err);
        assert!([3, 5].contains(&answer.code), "{context}");
        if answer.code == 5 {
            end(&world, &wanted, &context);
        } else {
            assert!(content(&world) == wanted, "{context}");
        }
    }
}

#[test]
fn a_source_whose_connection_is_cut_is_read_on() {
    let server = start();
    let (wanted, _) = undisturbed(&server, "postgres");
    for bytes in [3_000, 12_000, 24_000] {
        let world = world(&server, "postgres");
        let address = format!("127.0.0.1:{}", server.port());
        let proxy = Proxy::start(&address).unwrap();
        let job = std::fs::read_to_string(world.path("job.toml")).unwrap();
        // The source alone: the first of the two addresses.
        let job = job.replacen(&address, &proxy.address().to_string(), 1);
        world.write("job.toml", job);
        proxy.set(Rule::after(Way::ToClient, bytes).then(Act::Cut));
        let answer = world.run();
        let context = format!("{bytes} bytes: {} {}", answer.last, answer.err);
        assert_eq!(proxy.struck(), 1, "it was never reached: {context}");
        assert!([3, 5].contains(&answer.code), "{context}");
        if answer.code == 5 {
            end(&world, &wanted, &context);
        } else {
            assert!(content(&world) == wanted, "{context}");
        }
    }
}

/// Rows that come while a run is interrupted, below its position and above, one of them committed late.
#[test]
fn rows_that_come_late_are_not_missed_or_the_run_is_refused() {
    let server = start();
    for (name, code) in [("postgres-upsert", 3), ("postgres", 4)] {
        let world = world(&server, name);
        let killed = world.run_failing("run.batch.committed:60:kill");
        assert_eq!(killed.code, -9, "{} {}", killed.last, killed.err);
        world.database().sql("UPDATE s SET name = 'changed' WHERE id = 1; INSERT INTO s VALUES (-5, 'late', 1, true, 'x')");
        let answer = world.run();
        let said = format!("{name}: {} {}", answer.last, answer.err);
        assert_eq!(answer.code, code, "{said}");
        if code == 3 {
            let rows = world
                .database()
                .sql("SELECT string_agg(id || name, ',' ORDER BY id) FROM t WHERE id IN (-5, 1)");
            assert_eq!(rows, "-5late,1changed", "{said}");
        } else {
            assert_eq!(answer.error(), "source::changed", "{said}");
            assert!(answer.help().contains("--no-resume"), "{said}");
        }
    }
}

/// Source, target and history, all through a pooler that hands out sessions by the transaction.
#[test]
fn everything_goes_through_a_pooler_of_transactions() {
    let server = start();
    let (wanted, _) = undisturbed(&server, "postgres-upsert");
    let pooler = Pooler::start(&server, 20).unwrap_or_else(|why| panic!("{why}"));
    for _ in 0..2 {
        let world = world(&server, "postgres-upsert");
        let through = pooler.url(&world.database().name);
        let job = std::fs::read_to_string(world.path("job.toml")).unwrap();
        let job = job.replace(&world.database().url, &through);
        world.write("job.toml", format!("{job}[state]\nurl = \"{through}\"\n"));
        let killed = world.run_failing("run.batch.committed:60:kill");
        assert_eq!(killed.code, -9, "{} {}", killed.last, killed.err);
        end(&world, &wanted, "through a pooler");
    }
}
