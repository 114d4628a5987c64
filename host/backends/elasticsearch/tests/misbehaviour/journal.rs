//! What a batch is about to change, written down before it is sent: when it is large, and when
//! somebody else comes in between.

use std::collections::BTreeMap;

use dkhost_core::Conflict;
use dkhost_drive::{Run, fates};
use dkhost_fake_elasticsearch::{Fake, Fault};

use crate::{ids, open, some};

/// What the server takes at most: less than a batch's documents, more than any of them.
const LIMIT: usize = 20_000;

/// A server with documents of some 3,000 bytes, and their texts.
fn with_large_documents(count: i64) -> (Fake, BTreeMap<String, String>) {
    let fake = Fake::start();
    // Characters of several bytes, and such as are escaped in a text.
    let pad = "ü\\\"\\\\€".repeat(300);
    for id in 1..=count {
        fake.put(
            "movies",
            &id.to_string(),
            &format!("{{\"id\":{id},\"n\":0,\"pad\":\"{pad}\"}}"),
        );
    }
    fake.limit(LIMIT);
    let before = fake.documents("movies");
    (fake, before)
}

/// Documents of our own index that are no owner and no partition.
fn pages(fake: &Fake) -> usize {
    let kept = fake.documents("dkhost-checkpoints").into_values();
    kept.filter(|text| text.contains("\"text\":")).count()
}

#[test]
fn what_was_there_may_be_larger_than_a_request() {
    let (fake, before) = with_large_documents(40);
    let every: Vec<i64> = (1..=40).collect();
    let mut run = Run::start(open(&fake, Conflict::Upsert), 1);
    assert_eq!(fates(&run.write(&some(&every)), 40), "w".repeat(40));
    assert!(pages(&fake) > 5);
    run.writer.roll_back().unwrap();
    assert_eq!((fake.documents("movies"), pages(&fake)), (before, 0));
    run.write(&some(&every));
    run.commit();
    assert_eq!(pages(&fake), 0, "nothing is kept of what is committed");
    run.finish();
    assert_eq!(fake.documents("movies")["7"], "{\"id\":7,\"n\":70}");
}

#[test]
fn a_killed_batch_of_large_documents_is_undone_by_whoever_comes_next() {
    let (fake, before) = with_large_documents(40);
    let every: Vec<i64> = (1..=40).collect();
    let mut killed = Run::start(open(&fake, Conflict::Upsert), 1);
    killed.write(&some(&every));
    let epoch = killed.checkpoint.epoch;
    drop(killed);
    let mut run = Run::over(open(&fake, Conflict::Upsert), 1, epoch);
    assert_eq!((fake.documents("movies"), run.checkpoint.seq), (before, 0));
    run.write(&some(&every));
    run.commit();
    run.finish();
    assert_eq!(fake.documents("dkhost-checkpoints"), BTreeMap::new());
}

#[test]
fn a_page_whose_reply_is_lost_is_there_once() {
    let (fake, before) = with_large_documents(40);
    let every: Vec<i64> = (1..=40).collect();
    let mut run = Run::start(open(&fake, Conflict::Upsert), 1);
    run.write(&some(&every));
    run.commit();
    for (id, text) in &before {
        fake.put("movies", id, text);
    }
    // Pages are created, the partition's document is replaced.
    for fault in [Fault::Lost, Fault::Cut(5), Fault::Status(503, None)] {
        fake.next("PUT", "-page", fault);
    }
    run.write(&some(&every));
    assert!(!fake.is_waiting());
    run.writer.roll_back().unwrap();
    assert_eq!((fake.documents("movies"), pages(&fake)), (before, 0));
}

#[test]
fn a_commit_that_comes_while_its_batch_is_undone_is_refused() {
    let fake = Fake::start();
    let mut paused = Run::start(open(&fake, Conflict::Insert), 1);
    paused.write(&some(&[1, 2]));
    let sink = open(&fake, Conflict::Insert);
    // Whoever takes over asks for the documents it is about to take back.
    fake.next("POST", "/_mget", Fault::Held);
    let epoch = paused.checkpoint.epoch;
    let (late, taker) = std::thread::scope(|scope| {
        let taker = scope.spawn(move || Run::over(sink, 1, epoch));
        while fake.is_waiting() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let late = paused.try_commit();
        fake.release();
        (late, taker.join().unwrap())
    });
    assert_eq!(late.unwrap_err().code(), "run::fenced");
    assert_eq!((ids(&fake), taker.checkpoint.seq), (vec![], 0));
}
