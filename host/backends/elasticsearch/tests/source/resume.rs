//! Reading on: in the moment that is still there, in another when it is lost, and not at all in
//! another index.

use dkhost_core::{OpenSource, Position};
use serde_json::json;

use crate::support::{Index, batches, ids, read, refused, said, servers, small};

fn in_tens(open: &mut OpenSource) {
    open.batch = small(10);
}

fn repeatable(open: &mut OpenSource) {
    in_tens(open);
    open.repeatable = true;
}

/// The position after the first three batches.
fn begun(index: &Index) -> (dkhost_core::Partition, Position) {
    let source = index.source_with(json!({}), in_tens).unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    for _ in 0..2 {
        reader.next().unwrap().unwrap();
    }
    let until = reader.next().unwrap().unwrap().until;
    (
        partition,
        serde_json::from_str(&serde_json::to_string(&until).unwrap()).unwrap(),
    )
}

fn rest(
    index: &Index,
    set: fn(&mut OpenSource),
    from: &(dkhost_core::Partition, Position),
) -> Vec<String> {
    let source = index.source_with(json!({}), set).unwrap();
    ids(&said(&batches(source.as_ref(), &from.0, &from.1)))
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn a_run_that_stopped_reads_on_in_another_moment() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..100);
        // Its process closed the moment.
        let from = begun(&index);
        assert_eq!(
            rest(&index, in_tens, &from),
            numbers(30..100),
            "{}",
            server.url()
        );
    }
}

#[test]
fn a_run_that_was_killed_reads_on_in_the_same_moment() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..100);
        let source = index.source_with(json!({}), in_tens).unwrap();
        let partition = source.partitions().unwrap().remove(0);
        let until = source
            .read(&partition, &Position::start())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .until;
        // Nothing closes the moment, and what is changed meanwhile is not of it.
        std::mem::forget(source);
        index.put([("50", r#"{"n":-50}"#)]);
        index.delete("51");
        let again = index.source_with(json!({}), in_tens).unwrap();
        let found = said(&batches(again.as_ref(), &partition, &until));
        assert_eq!(ids(&found), numbers(10..100), "{}", server.url());
        assert!(found[40].contains("\"n\":50"), "{}", found[40]);
    }
}

#[test]
fn a_moment_that_is_lost_on_the_way_is_replaced() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..5_000);
        let source = index.source_with(json!({}), in_tens).unwrap();
        let partition = source.partitions().unwrap().remove(0);
        let mut reader = source.read(&partition, &Position::start()).unwrap();
        let mut found = said(&[reader.next().unwrap().unwrap()]);
        index.forget_moments();
        while let Some(batch) = reader.next().unwrap() {
            found.extend(said(&[batch]));
        }
        assert_eq!(ids(&found), numbers(0..5_000), "{}", server.url());
    }
}

#[test]
fn what_was_changed_meanwhile_is_read_or_refused() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..100);
        let from = begun(&index);
        // One that was read, one that was not, one that is new, one that is gone.
        index.put([
            ("5", r#"{"n":5}"#),
            ("50", r#"{"n":50}"#),
            ("new", r#"{"n":1}"#),
        ]);
        index.delete("60");
        let mut found = rest(&index, repeatable, &from);
        let mut expected = numbers(30..100);
        expected.retain(|id| id != "60");
        expected.extend(["5".to_owned(), "new".to_owned()]);
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", server.url());
        let source = index.source_with(json!({}), in_tens).unwrap();
        let error = refused(source.read(&from.0, &from.1));
        assert_eq!(error.code(), "source::changed");
    }
}

#[test]
fn what_is_only_added_does_not_disturb() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..100);
        let from = begun(&index);
        index.fill(100..150);
        assert_eq!(
            rest(&index, in_tens, &from),
            numbers(30..100),
            "{}",
            server.url()
        );
    }
}

#[test]
fn another_index_of_the_same_name_is_refused() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..100);
        let before = index.source_with(json!({}), in_tens).unwrap();
        let from = begun(&index);
        server.must("DELETE", &index.name, "");
        server.must(
            "PUT",
            &index.name,
            r#"{"settings": {"number_of_replicas": 0}}"#,
        );
        index.fill(0..100);
        let after = index.source_with(json!({}), in_tens).unwrap();
        let partitions = [from.0.clone()];
        assert_ne!(
            before.fingerprint(&partitions).unwrap(),
            after.fingerprint(&partitions).unwrap()
        );
        assert_eq!(
            refused(after.read(&from.0, &from.1)).code(),
            "source::changed"
        );
        // In the midst of reading too.
        let error = refused(before.read(&from.0, &Position::start()));
        assert_eq!(
            error.code(),
            "source::changed",
            "{}: {}",
            server.url(),
            error.chain()
        );
    }
}

#[test]
fn a_new_field_in_the_mapping_is_seen() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..10);
        let told = || {
            let source = index.source(json!({})).unwrap();
            source.fingerprint(&source.partitions().unwrap()).unwrap()
        };
        let before = told();
        assert_eq!(before, told());
        index.put([("x", r#"{"another":1}"#)]);
        assert_ne!(before, told());
        assert_eq!(read(index.source(json!({})).unwrap().as_ref()).len(), 11);
    }
}
