//! A cluster or an S3 server that is ended in the middle of loads and comes back: whatever the runs
//! said meanwhile, they go on to what an undisturbed run leaves.

use std::time::Duration;

use dkhost_servers::{Cluster, Stop, Store};

use super::faults::Chance;
use super::oracle::undisturbed;
use super::places::Place;
use super::servers::{ended, go_on};
use super::targets::target;
use super::world::{Answer, Load, World};

/// Enough to be in the middle of, with partitions at work at the same time.
const LOAD: Load = Load {
    records: 400,
    partitions: 2,
    batch: 10,
    plugin: false,
    parallel: 2,
    verify: "checksum",
};

fn check_answer(answer: &Answer, context: &str) {
    let said = format!("{context}: {} {} {}", answer.code, answer.last, answer.err);
    assert!([3, 5].contains(&answer.code), "{said}");
    // Whoever says so must not be told to start over.
    assert!(!answer.help().contains("--no-resume"), "{said}");
}

/// Three loads of different kinds meet the same end of their cluster, at a random moment.
#[test]
fn a_cluster_that_is_killed_and_started_again_loses_nothing() {
    let names = [
        "elasticsearch-insert",
        "elasticsearch-upsert",
        "elasticsearch-replace",
    ];
    let wanted = names.map(|name| undisturbed(target(name), LOAD));
    let mut cluster = Cluster::elasticsearch().unwrap_or_else(|why| panic!("{why}"));
    for seed in 1..=super::seeds().map_or(1, |seeds| seeds / 20) {
        let mut chance = Chance(seed * 101);
        let how = chance.one_of(&[Stop::Immediate, Stop::Immediate, Stop::Fast]);
        let delay = wanted[1]
            .took
            .mul_f64(0.2 + chance.below(1_500) as f64 / 1_000.0);
        let context = format!("seed {seed}, {how:?} after {delay:?}");
        let worlds = names.map(|name| {
            let place = Place::Indices(cluster.indices());
            World::at(target(name), LOAD, Some(place))
        });
        let children = worlds
            .each_ref()
            .map(|world| world.command().spawn().unwrap());
        std::thread::sleep(delay);
        cluster.process.stop(how).unwrap();
        std::thread::sleep(Duration::from_millis(chance.below(400) as u64));
        cluster.process.start_again().unwrap();
        for (world, child) in worlds.iter().zip(children) {
            check_answer(&ended(child), &format!("{}, {context}", world.target.name));
        }
        super::indices::settle(&cluster.indices());
        for (world, wanted) in worlds.iter().zip(&wanted) {
            go_on(world, wanted, &format!("{}, {context}", world.target.name));
        }
    }
}

/// Between two objects, in the middle of one, and before the manifest.
#[test]
fn an_s3_server_that_is_killed_and_started_again_loses_nothing() {
    type Start = fn() -> Result<Store, String>;
    let starts: [(Start, [&str; 2]); 2] = [
        (Store::minio, ["s3", "s3-records-upsert"]),
        (Store::versitygw, ["s3-parquet-replace", "s3-records"]),
    ];
    for (start, names) in starts {
        let mut store = start().unwrap_or_else(|why| panic!("{why}"));
        for seed in 1..=super::seeds().map_or(2, |seeds| seeds / 10) {
            for name in names {
                let wanted = undisturbed(target(name), LOAD);
                let mut chance = Chance(seed * 103 + name.len() as u64);
                let how = chance.one_of(&[Stop::Immediate, Stop::Fast]);
                let delay = wanted.took.mul_f64(chance.below(1_000) as f64 / 1_000.0);
                let context = format!("{name}, seed {seed}, {how:?} after {delay:?}");
                let place = Place::Bucket(store.bucket().unwrap());
                let world = World::at(target(name), LOAD, Some(place));
                let child = world.command().spawn().unwrap();
                std::thread::sleep(delay);
                store.process.stop(how).unwrap();
                std::thread::sleep(Duration::from_millis(chance.below(400) as u64));
                store.process.start_again().unwrap();
                check_answer(&ended(child), &context);
                go_on(&world, &wanted, &context);
            }
        }
    }
}
