//! A step that remembers the records before: what it refuses is the same however often a run was
//! interrupted, and wherever.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dkhost_core::memory::Memory;
use dkhost_core::*;
use dkhost_engine::Plan;
use dkhost_engine::history::LetterFilter;
use dkhost_engine::plan::Purpose;
use support::*;

/// Three records to a batch, dead letters, and a schema with a unique field.
fn unique(world: &World, table: &str, partitions: usize, batch: usize) -> String {
    let folder = world.folder.path().join("schemas/user");
    std::fs::create_dir_all(&folder).unwrap();
    let version = "[fields.id]\ntype = \"int64\"\n[fields.mail]\ntype = \"utf8\"\nunique = true\n";
    std::fs::write(folder.join("1.0.0.toml"), version).unwrap();
    // Repeated within a batch, in the next, and in other partitions: 7 addresses for 20 records.
    let records: Vec<_> = (0..20)
        .map(|id| serde_json::json!({ "id": id, "mail": format!("m{}", id * id % 13) }))
        .collect();
    let records = serde_json::Value::from(records).to_string();
    let rest = format!(
        "[run]\nbatch = {{ rows = {batch} }}\nparallel = 3\non_error = \"dead-letter\"\n[[steps]]\nvalidate = \"user@1.0.0\"\n"
    );
    job(table, &records, &rest).replace(
        "records =",
        &format!("partitions = {partitions}\nrecords ="),
    )
}

/// Why records were refused: batch, row, message.
fn refused(world: &World) -> Vec<String> {
    let filter = LetterFilter {
        limit: 100,
        ..LetterFilter::default()
    };
    let letters = world.history().letters(filter).unwrap();
    let mut letters: Vec<String> = letters
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                String::from_utf8_lossy(&one.letter.payload),
                one.letter.message
            )
        })
        .collect();
    letters.sort();
    letters
}

#[test]
fn of_equal_values_the_first_of_the_run_is_written_and_the_others_are_refused() {
    for partitions in [1, 3] {
        let world = World::new();
        let table = format!("first-{partitions}");
        let ended = world.run(&unique(&world, &table, partitions, 3)).unwrap();
        assert!(ended.error.is_none(), "{:?}", ended.error);
        let counts = ended.report.counts;
        assert_eq!(
            (counts.read, counts.written, counts.dead_lettered),
            (20, 7, 13)
        );
        let ids: Vec<String> = rows(&table)
            .iter()
            .map(|row| row[..row.find(',').unwrap()].to_owned())
            .collect();
        assert_eq!(
            ids,
            (0..7)
                .map(|id| format!("{{\"id\":{id}"))
                .collect::<Vec<_>>()
        );
        let letters = refused(&world);
        assert!(
            letters
                .iter()
                .any(|letter| letter.ends_with("`mail` is \"m0\", which an earlier record has")),
            "{letters:?}"
        );
    }
}

#[test]
fn a_crash_at_any_commit_changes_nothing_of_what_is_refused() {
    for partitions in [1, 3] {
        let undisturbed = World::new();
        let table = format!("calm-{partitions}");
        undisturbed
            .run(&unique(&undisturbed, &table, partitions, 3))
            .unwrap();
        let (wanted, letters) = (rows(&table), refused(&undisturbed));
        assert_eq!((wanted.len(), letters.len()), (7, 13));
        for fault in 1.. {
            let world = World::new();
            let table = format!("crash-{partitions}-{fault}");
            world.faults.commits.store(fault, Ordering::SeqCst);
            let toml = unique(&world, &table, partitions, 3);
            let first = world.run(&toml).unwrap();
            if let Some(error) = &first.error {
                assert_eq!(error.code(), "test::fault");
                // The bounds of batches are no part of the plan.
                let toml = unique(&world, &table, partitions, 2 + fault as usize % 3);
                let second = world.run(&toml).unwrap();
                assert!(second.error.is_none(), "{fault}: {:?}", second.error);
                assert!(second.report.resumed);
                assert_eq!(second.report.counts.read, 20);
            }
            assert_eq!(rows(&table), wanted, "{partitions} {fault}");
            assert_eq!(refused(&world), letters, "{partitions} {fault}");
            if first.error.is_none() {
                assert!(fault > 7, "the loop ends only when a run was not touched");
                break;
            }
        }
    }
}

#[test]
fn a_run_that_is_interrupted_twice_remembers_all_of_it() {
    let world = World::new();
    let toml = unique(&world, "twice-interrupted", 3, 2);
    for fault in [3, 4] {
        world.faults.commits.store(fault, Ordering::SeqCst);
        let ended = world.run(&toml).unwrap();
        assert_eq!(ended.error.unwrap().code(), "test::fault");
    }
    let ended = world.run(&toml).unwrap();
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(
        (rows("twice-interrupted").len(), refused(&world).len()),
        (7, 13)
    );
}

#[test]
fn a_second_run_begins_without_memories() {
    let world = World::new();
    let toml = unique(&world, "begins", 1, 3);
    world.run(&toml).unwrap();
    let again = toml.replacen("name = \"begins\"", "name = \"again\"", 1);
    let again = again.replace(
        "backend = \"memory\"\nname = \"begins\"",
        "backend = \"memory\"\nname = \"again\"",
    );
    let ended = world.run(&again).unwrap();
    assert_eq!((ended.report.counts.written, rows("again").len()), (7, 7));
}

#[test]
fn records_of_several_versions_are_unique_among_each_other_however_often_they_are_read() {
    let migrated = |world: &World, table: &str, partitions: usize| {
        let toml = unique(world, table, partitions, 3);
        let folder = world.folder.path().join("schemas/user");
        let older = "[fields.id]\ntype = \"int64\"\n[fields.address]\ntype = \"utf8\"\n";
        std::fs::write(folder.join("0.9.0.toml"), older).unwrap();
        let up = "reversible = false\n[[up]]\nrename = { address = \"mail\" }\n[[up]]\nconstrain = [\"mail\"]\n";
        std::fs::write(folder.join("0.9.0--1.0.0.toml"), up).unwrap();
        let records: Vec<_> = (0..20u64)
            .map(|id| {
                let (field, version) = [("mail", "1.0.0"), ("address", "0.9.0")][id as usize % 3 / 2];
                serde_json::json!({ "id": id, field: format!("m{}", id * id % 13), "_schema_version": version })
            })
            .collect();
        let records = serde_json::Value::from(records).to_string();
        let rest = toml[toml.find("[run]").unwrap()..].replace(
            "validate = \"user@1.0.0\"",
            "migrate = { schema = \"user\", to = \"1.0.0\" }",
        );
        let source = format!("partitions = {partitions}\nrecords =");
        job(table, &records, &rest).replace("records =", &source)
    };
    for partitions in [1, 3] {
        let world = World::new();
        let table = format!("mixed-{partitions}");
        let toml = migrated(&world, &table, partitions);
        let ended = world.run(&toml).unwrap();
        assert!(ended.error.is_none(), "{:?}", ended.error);
        let (wanted, letters) = (rows(&table), refused(&world));
        assert_eq!((wanted.len(), letters.len()), (7, 13), "{letters:?}");
        for fault in [1, 3, 6] {
            let world = World::new();
            let table = format!("mixed-{partitions}-{fault}");
            let toml = migrated(&world, &table, partitions);
            world.faults.commits.store(fault, Ordering::SeqCst);
            assert!(world.run(&toml).unwrap().error.is_some());
            assert!(world.run(&toml).unwrap().error.is_none());
            assert_eq!(
                (rows(&table), refused(&world)),
                (wanted.clone(), letters.clone())
            );
        }
    }
}

#[test]
fn a_retry_does_not_guess_what_was_written_before() {
    let world = World::new();
    let toml = unique(&world, "retried", 1, 3);
    world.run(&toml).unwrap();
    let (job, history) = (world.job(&toml).unwrap(), world.history());
    let options = world.options("retry");
    let retried =
        dkhost_engine::dead_letters::retry(job, &world.registry(), &history, None, &options);
    let error = retried.map(|_| ()).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (
            "retry::remembers",
            "stage `1:validate` compares records with those before them, which a retry does not read"
        )
    );
    assert_eq!(rows("retried").len(), 7);
}

/// The memory backend, whose partitions have lost their first records when `is_less` says so.
struct Shrinking(Arc<AtomicBool>);

struct ShrinkingSource(Box<dyn Source>, Arc<AtomicBool>);

impl Backend for Shrinking {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn summary(&self) -> &'static str {
        "memory that shrinks"
    }
    fn source_options(&self) -> &'static [OptionSpec] {
        Memory.source_options()
    }
    fn target_options(&self) -> &'static [OptionSpec] {
        Memory.target_options()
    }
    fn target_capabilities(&self, options: &Options) -> Result<Capabilities> {
        Memory.target_capabilities(options)
    }
    fn open_source(&self, options: Options, open: &OpenSource) -> Result<Box<dyn Source>> {
        let source = Memory.open_source(options, open)?;
        Ok(Box::new(ShrinkingSource(source, self.0.clone())))
    }
    fn open_target(&self, options: Options, open: &OpenTarget) -> Result<Box<dyn Sink>> {
        Memory.open_target(options, open)
    }
}

impl Source for ShrinkingSource {
    fn schema(&self) -> &Schema {
        self.0.schema()
    }
    fn partitions(&self) -> Result<Vec<Partition>> {
        self.0.partitions()
    }
    fn fingerprint(&self, partitions: &[Partition]) -> Result<serde_json::Value> {
        self.0.fingerprint(partitions)
    }
    fn notes(&self) -> Vec<String> {
        self.0.notes()
    }
    fn read(&self, partition: &Partition, from: &Position) -> Result<Box<dyn BatchReader>> {
        let mut partition = partition.clone();
        if self.1.load(Ordering::SeqCst) && from.is_start() {
            let to = partition.slice["to"].as_u64().unwrap();
            partition.slice["from"] = (to - 1).into();
        }
        self.0.read(&partition, from)
    }
    fn decode(&self, letters: &[DeadLetter]) -> Result<Batch> {
        self.0.decode(letters)
    }
}

#[test]
fn a_source_that_has_fewer_records_than_were_read_is_refused() {
    let world = World::new();
    let is_less = Arc::new(AtomicBool::new(false));
    let mut registry = world.registry();
    world.faults.commits.store(3, Ordering::SeqCst);
    let toml = unique(&world, "shrinks", 1, 3);
    assert!(world.run(&toml).unwrap().error.is_some());
    registry.backends = vec![Arc::new(Shrinking(is_less.clone()))];
    let run = || {
        let plan = Plan::make(world.job(&toml).unwrap(), &registry, Purpose::Run).unwrap();
        dkhost_engine::run::run(&plan, &world.history(), &world.options("run")).unwrap()
    };
    is_less.store(true, Ordering::SeqCst);
    let error = run().error.unwrap();
    assert_eq!(
        (error.code(), error.class(), error.to_string().as_str()),
        (
            "run::source_changed",
            Class::State,
            "`records 0 to 20` has 1 records now, and 6 were read of it when the run was interrupted"
        )
    );
    is_less.store(false, Ordering::SeqCst);
    assert!(run().error.is_none());
    assert_eq!(rows("shrinks").len(), 7);
}
