//! What is read of a source: the filter it checks itself, what changed since the last run, slices by
//! values.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::atomic::Ordering;

use dkhost_core::{OpenSource, SourceCapabilities};
use dkhost_engine::history::Window;
use dkhost_engine::run::Ended;
use support::*;

/// The report's `read`, `filtered` and `written`.
fn counted(ended: &Ended) -> (u64, u64, u64) {
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let counts = &ended.report.counts;
    (counts.read, counts.filtered, counts.written)
}

/// [`numbered`] records into `table`, with more keys of `[source]`.
fn reading(table: &str, records: usize, source: &str) -> String {
    let toml = job(table, &numbered(records), "");
    toml.replace("records =", &format!("{source}\nrecords ="))
}

fn last_opened(world: &World) -> OpenSource {
    world.faults.opened.lock().unwrap().last().unwrap().clone()
}

#[test]
fn records_the_source_does_not_let_pass_are_not_read_and_the_rest_of_the_filter_runs_here() {
    let world = World::new();
    let toml = reading("passes", 7, "filter = \"id > 2 and lower(name) <> 'n5'\"");
    let view = world.plan(&toml).unwrap().view();
    assert_eq!(view.source_checks, ["id > 2"]);
    assert_eq!(view.stages[0].summary, "where lower(name) <> 'n5'");
    assert_eq!(
        view.source_notes[1],
        "the source itself checks: id > 2; other records are not read"
    );
    assert_eq!(counted(&world.run(&toml).unwrap()), (4, 1, 3));
    assert_eq!(
        rows("passes"),
        [
            r#"{"id":3,"name":"n3"}"#,
            r#"{"id":4,"name":"n4"}"#,
            r#"{"id":6,"name":"n6"}"#
        ]
    );
}

#[test]
fn where_the_source_checks_the_whole_filter_there_is_no_stage_and_no_column_for_it() {
    let world = World::new();
    let toml = reading(
        "whole",
        7,
        "columns = [\"name\"]\nfilter = \"id > 4 and id <> 5\"",
    );
    let view = world.plan(&toml).unwrap().view();
    let columns: Vec<&str> = view
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!((columns, view.stages.len()), (vec!["name", "_rest"], 0));
    assert_eq!(counted(&world.run(&toml).unwrap()), (1, 0, 1));
    assert_eq!(rows("whole"), [r#"{"name":"n6"}"#]);
}

#[test]
fn a_column_that_only_the_rest_of_the_filter_needs_is_read_and_goes_no_further() {
    let world = World::new();
    let source = "columns = [\"name\"]\nfilter = \"id % 2 = 0 and name <> 'n4'\"";
    let toml = reading("behind", 7, source);
    let opened = |world: &World| last_opened(world).columns.unwrap();
    assert_eq!(counted(&world.run(&toml).unwrap()), (6, 3, 3));
    assert_eq!(opened(&world), ["name", "id"]);
    assert_eq!(rows("behind")[2], r#"{"name":"n6"}"#);

    // The source takes `id > 1` only, and says so when it is open: then `name` is needed, too.
    let world = World::new();
    world.faults.takes_one.store(true, Ordering::SeqCst);
    let source = "columns = [\"id\"]\nfilter = \"id > 1 and name <> 'n4'\"";
    let toml = reading("behind", 7, source).replace("\"behind\"", "\"behind again\"");
    let toml = toml.replace(
        "name = \"behind again\"\n[source]",
        "name = \"again\"\n[source]",
    );
    let view = world.plan(&toml).unwrap().view();
    assert_eq!(
        (opened(&world), view.source_checks),
        (vec!["id".into(), "name".to_owned()], vec!["id > 1".into()])
    );
    assert_eq!(counted(&world.run(&toml).unwrap()), (5, 1, 4));
    assert_eq!(rows("behind again")[3], r#"{"id":6}"#);
}

#[test]
fn a_source_that_cannot_filter_is_opened_once_and_everything_runs_here() {
    let world = World::new();
    *world.faults.can.lock().unwrap() = Some(SourceCapabilities::default());
    let toml = reading(
        "here",
        7,
        "columns = [\"name\"]\nfilter = \"id > 2 and lower(name) <> 'n5'\"",
    );
    let summary = &world.plan(&toml).unwrap().view().stages[0].summary;
    assert_eq!(summary, "where id > 2 and lower(name) <> 'n5'");
    world.faults.opened.lock().unwrap().clear();
    assert_eq!(counted(&world.run(&toml).unwrap()), (7, 4, 3));
    assert_eq!(world.faults.opened.lock().unwrap().len(), 1);
    assert_eq!(
        rows("here"),
        [r#"{"name":"n3"}"#, r#"{"name":"n4"}"#, r#"{"name":"n6"}"#]
    );
}

#[test]
fn a_run_is_not_gone_on_with_where_another_part_of_the_filter_moved_to_the_source() {
    let world = World::new();
    let toml = reading("moved", 7, "filter = \"id > 0 and name <> 'n4'\"");
    let hash = |world: &World| world.plan(&toml).unwrap().hash;
    let both = hash(&world);
    world.faults.takes_one.store(true, Ordering::SeqCst);
    assert_ne!(both, hash(&world));
}

#[test]
fn a_source_is_told_whether_it_may_yield_a_record_twice() {
    for (conflict, may) in [
        ("insert", false),
        ("upsert", true),
        ("skip", true),
        ("replace-all", false),
    ] {
        let world = World::new();
        let target = format!("on_conflict = \"{conflict}\"\nkey = [\"id\"]\n");
        world.plan(&job("twice", &numbered(1), &target)).unwrap();
        assert_eq!(last_opened(&world).repeatable, may, "{conflict}");
    }
}

#[test]
fn slices_by_values_are_read_one_by_one_and_all_other_records_last() {
    let world = World::new();
    let source = "partitions = { by = \"name\", values = [\"n5\", \"n1\", \"n9\"] }";
    let toml = reading("slices", 7, source);
    let view = world.plan(&toml).unwrap().view();
    assert_eq!(
        view.partitions,
        [
            "name = n5",
            "name = n1",
            "name = n9",
            "name of any other value"
        ]
    );
    assert_eq!(counted(&world.run(&toml).unwrap()), (7, 0, 7));
    let numbers = reading(
        "numbers",
        7,
        "partitions = { by = \"id\", values = [3, 4] }",
    );
    assert_eq!(world.plan(&numbers).unwrap().partitions.len(), 3);
    let (column, values) = last_opened(&world).partition_by.unwrap();
    assert_eq!(
        (column.as_str(), values),
        ("id", vec!["3".to_owned(), "4".into()])
    );
}

/// A store that grows, and an incremental job that copies what changed.
struct Growing {
    world: World,
    name: &'static str,
}

impl Growing {
    fn new(name: &'static str) -> Self {
        let growing = Growing {
            world: World::new(),
            name,
        };
        growing.change(&[(1, 10), (2, 20), (3, 20)]);
        growing
    }

    /// Writes records `id` as changed `at`.
    fn change(&self, records: &[(i64, i64)]) {
        let records: Vec<_> = records
            .iter()
            .map(|(id, at)| serde_json::json!({ "id": id, "at": at }))
            .collect();
        let target = "key = [\"id\"]\non_conflict = \"upsert\"\n";
        let store = format!("{} source", self.name);
        let toml = job(
            &store,
            &serde_json::Value::from(records).to_string(),
            target,
        );
        let toml = toml.replacen(&store, "fill", 1);
        counted(&World::new().run(&toml).unwrap());
    }

    fn job(&self, source: &str) -> String {
        let name = self.name;
        format!(
            "name = \"{name}\"\n[source]\nbackend = \"memory\"\nname = \"{name} source\"\n{source}\n[target]\nbackend = \"memory\"\nname = \"{name} target\"\nkey = [\"id\"]\non_conflict = \"upsert\"\n[run]\nbatch = {{ rows = 1 }}\n"
        )
    }

    fn by_at(&self) -> String {
        self.job("incremental = { column = \"at\" }")
    }

    fn run(&self) -> Ended {
        self.world.run(&self.by_at()).unwrap()
    }

    fn read(&self) -> u64 {
        counted(&self.run()).0
    }

    fn cursor(&self) -> Option<String> {
        let kept = self.world.history().cursor(self.name).unwrap();
        kept.and_then(|window| window.until)
    }

    fn note(&self, toml: &str) -> String {
        self.world
            .plan(toml)
            .unwrap()
            .view()
            .source_notes
            .pop()
            .unwrap()
    }
}

#[test]
fn an_incremental_job_reads_all_at_first_and_then_from_where_it_came() {
    let growing = Growing::new("since");
    assert_eq!(
        growing.note(&growing.by_at()),
        "incremental by `at`: reads all records (no cursor is kept yet)"
    );
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (3, Some("20"))
    );
    assert_eq!(
        growing.note(&growing.by_at()),
        "incremental by `at`: reads from 20 on (the cursor of the last run)"
    );
    // Those at the cursor come again: another one may have joined them.
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (2, Some("20"))
    );
    growing.change(&[(1, 30), (4, 20), (5, 15)]);
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (4, Some("30"))
    );
    assert_eq!(
        rows("since target").len(),
        4,
        "nobody changes a record into the past"
    );
    let lookback = growing.job("incremental = { column = \"at\", lookback = 15 }");
    assert_eq!(
        growing.note(&lookback),
        "incremental by `at`: reads from 30 less 15 on (the cursor of the last run)"
    );
    assert_eq!(counted(&growing.world.run(&lookback).unwrap()).0, 5);
    let kept = growing.world.history().find(None).unwrap().cursor.unwrap();
    assert_eq!(
        (kept.from.as_deref(), kept.until.as_deref()),
        (Some("30"), Some("30"))
    );
}

#[test]
fn a_cursor_moves_only_when_its_run_is_done_and_a_resumed_run_reads_what_it_began_with() {
    let mut growing = Growing::new("frozen");
    growing.read();
    growing.change(&[(4, 40), (5, 50), (6, 60)]);
    growing.world.faults.commits.store(3, Ordering::SeqCst);
    let first = growing.run();
    assert!(first.error.is_some() && first.report.counts.read == 2);
    assert_eq!(growing.cursor().as_deref(), Some("20"));

    growing.change(&[(7, 70)]);
    assert_eq!(
        growing.note(&growing.by_at()),
        "incremental by `at`: reads from 20 on (where the interrupted run began)"
    );
    let second = growing.run();
    assert!(second.report.resumed);
    assert_eq!(
        (counted(&second).0, growing.cursor().as_deref()),
        (5, Some("60"))
    );
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (2, Some("70"))
    );

    // Given up for a new one: that begins at the cursor of the last that was finished.
    growing.change(&[(8, 80)]);
    growing.world.faults.commits.store(2, Ordering::SeqCst);
    assert!(growing.run().error.is_some());
    growing.change(&[(9, 90)]);
    growing.world.fresh = true;
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (3, Some("90"))
    );
}

#[test]
fn a_run_that_is_to_read_everything_does_so_and_the_cursor_goes_on_from_there() {
    let mut growing = Growing::new("everything");
    growing.read();
    growing.world.full = true;
    assert_eq!(
        growing.note(&growing.by_at()),
        "incremental by `at`: reads all records (the cursor is not asked)"
    );
    assert_eq!(
        (growing.read(), growing.cursor().as_deref()),
        (3, Some("20"))
    );
    growing.world.full = false;
    assert_eq!(growing.read(), 2);
}

#[test]
fn a_lost_history_reads_everything_again() {
    let growing = Growing::new("lost");
    growing.read();
    std::fs::remove_dir_all(growing.world.folder.path().join(".dkhost")).unwrap();
    assert_eq!((growing.read(), rows("lost target").len()), (3, 3));
}

#[test]
fn a_cursor_means_nothing_to_another_source() {
    let growing = Growing::new("another");
    growing.read();
    let other = growing.job("filter = \"id > 0\"\nincremental = { column = \"at\" }");
    let note =
        "incremental by `at`: reads all records (the cursor of the last run is of another source)";
    assert_eq!(
        growing.world.plan(&other).unwrap().view().source_notes[1],
        note
    );
    assert_eq!(
        growing.note(&growing.job("incremental = { column = \"id\" }")),
        note.replace("at", "id").replace("idher", "ather")
    );
    // What does not decide which records there are does not count.
    let sliced = growing.job("columns = [\"at\", \"id\"]\npartitions = 2\nincremental = { column = \"at\", lookback = 1 }");
    assert_eq!(
        growing
            .world
            .plan(&sliced)
            .unwrap()
            .cursor
            .unwrap()
            .from
            .as_deref(),
        Some("20")
    );
}

#[test]
fn a_trial_leaves_the_cursor_where_it_is() {
    let growing = Growing::new("trial");
    let trial = growing.job("limit = 1\nincremental = { column = \"at\" }");
    assert_eq!(
        growing.note(&trial),
        "incremental by `at`: reads all records (no cursor is kept yet); under `limit` the cursor stays where it is"
    );
    assert_eq!(counted(&growing.world.run(&trial).unwrap()).0, 1);
    assert_eq!(growing.cursor(), None);
}

#[test]
fn a_source_with_nothing_to_read_keeps_the_cursor() {
    let growing = Growing::new("nothing");
    growing.read();
    let kept = |from: &str| {
        growing
            .world
            .plan(&growing.by_at())
            .unwrap()
            .cursor
            .map(|window: Window| window.until.as_deref() == Some(from))
    };
    assert_eq!(kept("20"), Some(true));
}
