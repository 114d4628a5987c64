//! An index and objects as sources: killed, cut off and ended while they are read. Every record
//! arrives once, as in one clean run, and nothing stays open on the server.

use std::process::Child;
use std::time::Duration;

use dkhost_proxy::{Act, Proxy, Rule, Way};
use dkhost_servers::{Cluster, Indices, Stop, Store};
use rusqlite::Connection;

use super::faults::{Chance, kill_after};
use super::oracle::{history, is_done, snapshot, table};
use super::places::Place;
use super::targets::target;
use super::world::{Answer, Load, World, line};
use super::{indices, objects};

const RECORDS: usize = 900;

/// Of an index.
const SHARDS: u64 = 2;

/// What the source is has its own partitions: shards, or objects.
const LOAD: Load = Load {
    records: 1,
    partitions: 1,
    batch: 20,
    plugin: false,
    parallel: 2,
    verify: "checksum",
};

/// Where the records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Two shards.
    Index,
    /// Three objects of lines.
    Lines,
    /// An object each.
    Records,
}

/// Puts the records there.
fn fill(place: &Place, from: From) {
    match place {
        Place::Indices(on) => fill_index(on),
        Place::Bucket(bucket) => {
            let key = |name: String| format!("{}{name}", objects::PREFIX);
            match from {
                From::Records => (0..RECORDS / 3)
                    .for_each(|i| bucket.put(&key(format!("{i}.json")), line(i).as_bytes())),
                _ => (0..3).for_each(|part| {
                    let lines: String = (part * RECORDS / 3..(part + 1) * RECORDS / 3)
                        .map(line)
                        .collect();
                    bucket.put(&key(format!("{part}.jsonl")), lines.as_bytes());
                }),
            }
        }
        Place::Database(_) => unreachable!("a table is read in another file"),
    }
}

fn fill_index(on: &Indices) {
    indices::fill(on, &[]);
    let lines = (0..RECORDS).map(|i| format!("{{\"index\":{{\"_id\":\"{i}\"}}}}\n{}", line(i)));
    indices::bulk(on, &lines.collect::<String>());
}

/// A job from the place, which is reached at `address`, into a database.
fn world(place: &Place, address: &str, from: From) -> World {
    let world = World::new(target("sqlite"), LOAD);
    let object = if from == From::Records {
        "object = \"record\"\n"
    } else {
        ""
    };
    let source = format!("{}{object}", place.toml()).replace(place.address(), address);
    let job = world
        .job("")
        .replace("backend = \"file\"\npath = \"\"\n", &source);
    world.write("job.toml", job);
    world
}

/// What a run leaves: rows, dead letters, and what became of every record.
#[derive(Debug, PartialEq)]
struct Left {
    rows: Vec<String>,
    letters: Vec<String>,
    counts: String,
}

fn left(world: &World) -> Left {
    let (_folder, db) = snapshot(&world.result()).expect("a database");
    let mut rows = table(
        &db,
        "SELECT id, name, price, even, mail, share FROM t ORDER BY id",
    );
    // An index is read by shards, which take turns.
    rows.sort();
    let (_folder, history) = history(world).unwrap();
    let sql = "SELECT stage, code, hex(payload) FROM dead_letter ORDER BY 3";
    let counts = "SELECT status, json_extract(report, '$.counts') FROM run";
    Left {
        rows,
        letters: table(&history, sql),
        counts: table(&history, counts).join(" "),
    }
}

/// What an undisturbed run leaves, and how long it takes.
fn undisturbed(place: &Place, from: From) -> (Left, Duration) {
    let world = world(place, place.address(), from);
    let began = std::time::Instant::now();
    let answer = world.run();
    assert_eq!(answer.code, 3, "{from:?}: {} {}", answer.last, answer.err);
    let wanted = left(&world);
    assert!(
        wanted.rows.len() > 200 && wanted.letters.len() > 2,
        "{wanted:?}"
    );
    (wanted, began.elapsed())
}

/// Runs until it is done, which it is within a few goes, and compares.
fn end(world: &World, wanted: &Left, context: &str) {
    for _ in 0..5 {
        if is_done(world) {
            break;
        }
        let answer = world.run();
        let said = format!("{context}: {} {}", answer.last, answer.err);
        assert!([3, 5].contains(&answer.code), "{said}");
    }
    let found = left(world);
    assert!(
        found == *wanted,
        "{context}: {} rows and {} letters, {}; wanted {} and {}, {}",
        found.rows.len(),
        found.letters.len(),
        found.counts,
        wanted.rows.len(),
        wanted.letters.len(),
        wanted.counts
    );
    let db = Connection::open(world.result()).unwrap();
    let tables = table(
        &db,
        "SELECT name FROM sqlite_schema WHERE name LIKE 'dkhost%'",
    );
    assert!(tables.is_empty(), "{context}: leftovers {tables:?}");
}

/// At a batch, and then at random moments.
fn survives_kills(place: &Place, from: From, salt: u64) {
    let (wanted, took) = undisturbed(place, from);
    for seed in 1..=super::seeds().map_or(2, |seeds| seeds / 4) {
        let mut chance = Chance(seed * 37 + salt);
        let world = world(place, place.address(), from);
        let fail = format!("run.batch.committed:{}:kill", 1 + chance.below(14));
        let answer = world.run_failing(&fail);
        assert_eq!(answer.code, -9, "{fail}: {} {}", answer.last, answer.err);
        for _ in 0..2 {
            if is_done(&world) {
                break;
            }
            kill_after(&world, took.mul_f64(chance.below(900) as f64 / 1_000.0));
        }
        end(&world, &wanted, &format!("{from:?}, seed {seed}, {fail}"));
    }
}

/// Cut and closed after some bytes of an answer.
fn survives_cuts(place: &Place, from: From, most: usize) {
    let (wanted, _) = undisturbed(place, from);
    for seed in 1..=super::seeds().unwrap_or(3) {
        let mut chance = Chance(seed * 41);
        let proxy = Proxy::start(place.address()).unwrap();
        let world = world(place, &proxy.address().to_string(), from);
        let (bytes, act) = (
            1 + chance.below(most),
            chance.one_of(&[Act::Cut, Act::Close]),
        );
        proxy.set(Rule::after(Way::ToClient, bytes as u64).then(act));
        let answer = world.run();
        let context = format!(
            "{from:?}, {act:?} after {bytes} bytes: {} {}",
            answer.last, answer.err
        );
        assert_eq!(proxy.struck(), 1, "it was never reached: {context}");
        assert!([3, 5].contains(&answer.code), "{context}");
        end(&world, &wanted, &context);
    }
}

#[test]
fn objects_of_lines_survive_kills_and_cuts() {
    let place = Place::Bucket(dkhost_servers::minio());
    fill(&place, From::Lines);
    survives_kills(&place, From::Lines, 1);
    survives_cuts(&place, From::Lines, 40_000);
}

#[test]
fn objects_of_records_survive_kills_and_cuts() {
    let place = Place::Bucket(dkhost_servers::versitygw());
    fill(&place, From::Records);
    survives_kills(&place, From::Records, 2);
    survives_cuts(&place, From::Records, 3_000);
}

#[test]
fn an_index_of_opensearch_survives_kills() {
    let place = Place::Indices(dkhost_servers::opensearch());
    fill(&place, From::Index);
    survives_kills(&place, From::Index, 3);
}

/// Starts a run and ends its server in the middle, for as long as that takes.
fn ended_in_mid_read(world: &World, delay: Duration, restart: impl FnOnce()) -> Answer {
    let child: Child = world.command().spawn().unwrap();
    std::thread::sleep(delay);
    restart();
    child.wait_with_output().unwrap().into()
}

/// With the end of the cluster all its moments are lost; the run goes on in another. Those that
/// checkpoints of killed processes name are closed by the one that goes on.
#[test]
fn an_index_survives_kills_cuts_and_the_end_of_its_cluster() {
    let mut cluster = Cluster::elasticsearch().unwrap_or_else(|why| panic!("{why}"));
    let place = Place::Indices(cluster.indices());
    fill(&place, From::Index);
    let (wanted, took) = undisturbed(&place, From::Index);
    assert_eq!(indices::moments(&cluster.indices()), 0, "left open");
    let first = world(&place, place.address(), From::Index);
    let in_both_shards = "run.batch.committed:24:kill";
    assert_eq!(first.run_failing(in_both_shards).code, -9);
    assert_eq!(indices::moments(&cluster.indices()), SHARDS);
    let read_on = read_on(&first);
    end(&first, &wanted, in_both_shards);
    // What no partition is read on in goes when nobody has asked for it a while.
    let left = indices::moments(&cluster.indices());
    assert_eq!(left, SHARDS - read_on, "left open");
    survives_kills(&place, From::Index, 4);
    survives_cuts(&place, From::Index, 40_000);

    let killed = world(&place, place.address(), From::Index);
    assert_eq!(killed.run_failing(in_both_shards).code, -9);
    let running = world(&place, place.address(), From::Index);
    let answer = ended_in_mid_read(&running, took.mul_f64(0.6), || {
        cluster.process.stop(Stop::Immediate).unwrap();
        cluster.process.start_again().unwrap();
    });
    let said = format!("{} {}", answer.last, answer.err);
    assert!([3, 5].contains(&answer.code), "{said}");
    indices::settle(&cluster.indices());
    end(&running, &wanted, &format!("while it ran: {said}"));
    end(&killed, &wanted, "while it was interrupted");
    assert_eq!(indices::moments(&cluster.indices()), 0, "left open");
}

/// How many partitions an interrupted run has begun and not ended.
fn read_on(world: &World) -> u64 {
    let (_folder, db) = snapshot(&world.result()).expect("a database");
    let sql = "SELECT 1 FROM dkhost_checkpoint WHERE NOT json_extract(body, '$.done')";
    table(&db, sql).len() as u64
}

#[test]
fn objects_survive_the_end_of_their_server() {
    let mut store = Store::minio().unwrap_or_else(|why| panic!("{why}"));
    for from in [From::Lines, From::Records] {
        let place = Place::Bucket(store.bucket().unwrap());
        fill(&place, from);
        let (wanted, took) = undisturbed(&place, from);
        for part in [0.5, 0.8] {
            let world = world(&place, place.address(), from);
            let answer = ended_in_mid_read(&world, took.mul_f64(part), || {
                store.process.stop(Stop::Immediate).unwrap();
                store.process.start_again().unwrap();
            });
            let context = format!("{from:?}, {part}: {} {}", answer.last, answer.err);
            assert!([3, 5].contains(&answer.code), "{context}");
            end(&world, &wanted, &context);
        }
    }
}
