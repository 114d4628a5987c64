//! A plugin that does everything wrong, through the real engine: each misdeed ends as the error
//! that is named for it, with the batch kept, and the next call works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::{
    Batch, Changed, Class, Field, Locator, LogicalType, Payload, Position, Result, Schema,
    SourceRows, Stage, Step,
};
use dkhost_plugin::build::{BuildOptions, build};
use dkhost_plugin::{CompileIn, Component, Limits, LoadOptions, LogSink, StageSpec};
use serde_json::json;

struct Guest {
    _scratch: tempfile::TempDir,
    path: std::path::PathBuf,
    cache: std::path::PathBuf,
}

fn guest() -> &'static Guest {
    static GUEST: OnceLock<Guest> = OnceLock::new();
    GUEST.get_or_init(|| {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/hostile");
        let path = scratch.path().join("hostile.wasm");
        let options = BuildOptions {
            output: Some(path.clone()),
            ..BuildOptions::default()
        };
        build(&folder, &options).unwrap_or_else(|error| panic!("{}", error.chain()));
        let cache = scratch.path().join("cache");
        Guest {
            _scratch: scratch,
            path,
            cache,
        }
    })
}

fn options() -> LoadOptions {
    let mut options = LoadOptions::new(&guest().cache, CompileIn::InProcess);
    options.limits = Limits {
        call_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    options
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("id", LogicalType::Int64),
        Field::new("name", LogicalType::Utf8),
    ])
}

#[derive(Debug)]
struct Rows(usize);

impl SourceRows for Rows {
    fn len(&self) -> usize {
        self.0
    }
    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", json!(row))])
    }
    fn payload(&self, _: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "json",
        }
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

fn batch() -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3])),
        Arc::new(StringArray::from(vec![Some("one"), None, Some("three")])),
    ];
    Batch {
        records: RecordBatch::try_new(schema().to_arrow(), columns).unwrap(),
        origin: None,
        source: Arc::new(Rows(3)),
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

fn bind_with(options: &LoadOptions, plugin: &str, misdeed: &str) -> Result<Box<dyn Step>> {
    let component = Component::load(&guest().path, options)?;
    component.bind(&StageSpec {
        name: "1:hostile".into(),
        plugin: Some(plugin.into()),
        config: json!({ "do": misdeed }),
        input: &schema(),
    })
}

fn open(misdeed: &str) -> Result<Box<dyn Stage>> {
    bind_with(&options(), "hostile", misdeed)?.open(0)
}

fn apply(misdeed: &str) -> Result<Changed> {
    open(misdeed)?.apply(&batch())
}

/// The code and the message of what comes of a misdeed.
fn check(misdeed: &str, code: &str, says: &str) {
    let error = apply(misdeed).expect_err(misdeed);
    assert_eq!(error.code(), code, "{misdeed}: {}", error.chain());
    assert!(error.chain().contains(says), "{misdeed}: {}", error.chain());
    assert!(error.help_text().is_some(), "{misdeed} has no help");
}

#[test]
fn a_plugin_that_behaves_gives_the_rows_back() {
    let changed = apply("nothing").unwrap();
    assert_eq!(changed.records, batch().records);
    assert!(changed.origin.is_none() && changed.rejects.is_empty());
}

#[test]
fn a_crash_is_named_with_the_plugins_last_words() {
    check(
        "trap",
        "plugin::trap",
        "`hostile 0.1.0` crashed in batch 1 of partition 0",
    );
    check(
        "trap",
        "plugin::trap",
        "it said: the 3 rows did not please me",
    );
    check("recurse", "plugin::trap", "crashed in batch 1");
    check(
        "open-trap",
        "plugin::trap",
        "when it was opened for step `1:hostile`",
    );
}

#[test]
fn an_endless_loop_is_stopped_in_time() {
    let start = Instant::now();
    check(
        "loop",
        "plugin::out_of_time",
        "stopped after 300 ms in batch 1",
    );
    check("open-loop", "plugin::out_of_time", "when it was opened");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_memory_bomb_is_stopped_at_the_limit() {
    check(
        "bomb",
        "plugin::out_of_memory",
        "more than 64 MiB of memory in batch 1",
    );
}

#[test]
fn every_lie_about_columns_and_rows_is_caught() {
    for (misdeed, says) in [
        ("few-columns", "1 columns instead of the 2"),
        (
            "offsets-back",
            "column `name`: its offsets go back at row 1",
        ),
        (
            "offsets-beyond",
            "column `name`: its offsets end at 1000000",
        ),
        ("offsets-short", "column `name`: its offsets have 4 bytes"),
        ("not-utf8", "column `name`: row 0 is not UTF-8"),
        ("nulls", "column `name`: was promised to have no nulls"),
        ("origin-unsorted", "not ascending at row 1"),
        ("origin-beyond", "names row 3 of 3"),
        ("selection-short", "the selection has 0 bytes"),
        ("reject-beyond", "a reject of row 3 of 3"),
        ("reject-column", "blames column 99"),
        ("carried-beyond", "carries column 99"),
        ("carried-other", "carries a column of type int64 as utf8"),
        (
            "carried-broken-promise",
            "column `id`: was promised to carry column 0",
        ),
        ("pointer", "no value of the contract"),
    ] {
        check(misdeed, "plugin::bad_output", says);
    }
}

#[test]
fn too_much_output_is_refused_before_it_is_copied() {
    let mut options = options();
    options.limits.memory_bytes = 256 << 20;
    options.limits.output_bytes = 16 << 20;
    let error = bind_with(&options, "hostile", "big")
        .unwrap()
        .open(0)
        .unwrap()
        .apply(&batch())
        .unwrap_err();
    assert_eq!(error.code(), "plugin::bad_output");
    assert!(
        error.chain().contains("more than 16 MiB at once"),
        "{}",
        error.chain()
    );
}

#[test]
fn every_promise_that_cannot_be_is_caught_in_the_plan() {
    for (misdeed, says) in [
        ("promise-name-twice", "two columns with the name `id`"),
        ("promise-unknown-type", "unknown type `string`"),
        ("promise-read-beyond", "to read column 99"),
        ("promise-carry-beyond", "to carry column 99"),
        (
            "promise-carry-other-type",
            "to carry column `id` of type int64 as utf8",
        ),
    ] {
        let error = bind_with(&options(), "hostile", misdeed)
            .err()
            .expect(misdeed);
        assert_eq!(error.code(), "plugin::bad_output", "{misdeed}");
        assert!(error.chain().contains(says), "{misdeed}: {}", error.chain());
    }
    let step = bind_with(&options(), "hostile", "promise-changes").unwrap();
    let error = step.open(0).err().unwrap();
    assert!(
        error
            .chain()
            .contains("one schema to the plan and another to the run"),
        "{}",
        error.chain()
    );
}

#[test]
fn failures_keep_their_kind() {
    let error = apply("retry").unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("plugin::retry", Class::Transient)
    );
    assert!(error.chain().contains("the moon is in the wrong house"));
    check("fail", "plugin::failed", "I give up");
    check(
        "open-refuse",
        "plugin::schema",
        "there is no column `email`",
    );
    check(
        "lookup",
        "plugin::config",
        "the job grants no lookup `countries`",
    );
}

#[test]
fn a_stage_works_again_after_a_crash() {
    let mut stage = open("trap").unwrap();
    assert_eq!(stage.apply(&batch()).unwrap_err().code(), "plugin::trap");
    assert_eq!(
        stage.apply(&batch()).unwrap_err().code(),
        "plugin::trap",
        "not poisoned, but asked again"
    );
}

#[test]
fn hidden_state_is_found_at_the_second_batch_unless_it_is_allowed() {
    let mut stage = open("state").unwrap();
    stage.apply(&batch()).unwrap();
    let error = stage.apply(&batch()).unwrap_err();
    assert_eq!(error.code(), "plugin::nondeterministic");
    assert!(
        error.chain().contains("column `name` differs"),
        "{}",
        error.chain()
    );

    let mut allowed = options();
    allowed.allow_nondeterministic = true;
    let step = bind_with(&allowed, "hostile", "state").unwrap();
    assert!(step.note().weakens.is_some());
    let mut stage = step.open(0).unwrap();
    (0..3).for_each(|_| drop(stage.apply(&batch()).unwrap()));
}

#[test]
fn an_instance_that_leaks_is_replaced_before_it_fails() {
    let mut stage = open("leak").unwrap();
    // 8 MiB a batch in 64 MiB: without a fresh instance the eighth batch fails.
    (0..30).for_each(|_| drop(stage.apply(&batch()).unwrap()));
}

#[test]
fn a_flood_of_lines_is_cut_and_counters_are_bounded() {
    let lines = Arc::new(Mutex::new(0));
    let mut options = options();
    let counted = lines.clone();
    options.log = LogSink::new(move |_| *counted.lock().unwrap() += 1);
    bind_with(&options, "hostile", "flood")
        .unwrap()
        .open(0)
        .unwrap()
        .apply(&batch())
        .unwrap();
    let lines = *lines.lock().unwrap();
    assert!((100..300).contains(&lines), "{lines} lines");

    let mut stage = open("count").unwrap();
    stage.apply(&batch()).unwrap();
    stage.apply(&batch()).unwrap();
    let counters = stage.counters();
    assert_eq!(counters.len(), 64);
    // The second batch ran twice for the check, and was counted once.
    assert!(counters.contains(&("rows".into(), 6)), "{counters:?}");
}

#[test]
fn a_filter_keeps_what_its_bitmap_says() {
    let step = bind_with(&options(), "hostile-filter", "nothing").unwrap();
    assert_eq!(step.reads(), ["name"]);
    let changed = step.open(0).unwrap().apply(&batch()).unwrap();
    assert_eq!(changed.origin, Some(vec![0, 2]));
    assert_eq!(changed.records.num_rows(), 2);
    let step = bind_with(&options(), "hostile-filter", "selection-short").unwrap();
    let error = step.open(0).unwrap().apply(&batch()).unwrap_err();
    assert!(
        error.chain().contains("the verdict has 0 bytes"),
        "{}",
        error.chain()
    );
}

#[test]
fn what_a_job_asks_of_a_component_is_checked_before_it_runs() {
    let bind = |plugin| bind_with(&options(), plugin, "nothing").err().unwrap();
    assert_eq!(bind("hostil").help_text(), Some("did you mean `hostile`?"));
    let error = bind("greedy");
    assert_eq!(error.code(), "plugin::not_granted");
    assert_eq!(
        error.help_text(),
        Some(
            "if you trust it with that, write `grants = [\"lookup:countries\"]` for it in the job"
        )
    );
    assert_eq!(bind("later").code(), "plugin::contract");
    let spec = StageSpec {
        name: "1".into(),
        plugin: None,
        config: json!(null),
        input: &schema(),
    };
    let bytes = std::fs::read(&guest().path).unwrap();
    let renamed = Component::from_bytes("other.wasm", &bytes, &options()).unwrap();
    let error = renamed.bind(&spec).err().unwrap();
    assert_eq!(error.code(), "plugin::ambiguous");
    assert!(
        error
            .help_text()
            .unwrap()
            .contains("`plugin = \"other/NAME\"`")
    );
    // Without a name it is the plugin called like its file.
    let component = Component::load(&guest().path, &options()).unwrap();
    let step = component.bind(&spec).unwrap();
    assert_eq!(step.note().plugin.as_deref(), Some("hostile 0.1.0"));
    let spec = StageSpec {
        plugin: Some("hostile".into()),
        config: json!({"do": 1}),
        ..spec
    };
    let error = component.bind(&spec).err().unwrap();
    assert_eq!(error.code(), "plugin::config");
    assert!(error.chain().contains("`/do`"), "{}", error.chain());
}

#[test]
fn inspecting_shows_what_a_component_is() {
    let component = Component::load(&guest().path, &options()).unwrap();
    let shown = component.inspect();
    assert_eq!(shown.worlds, ["transformer", "record-filter"]);
    assert_eq!(shown.requests, ["lookup:countries"]);
    assert!(shown.digest.starts_with("sha256:") && shown.digest.len() == 71);
    assert!(
        shown
            .contract
            .imports
            .contains(&"dkhost:plugin/log@0.1.0".to_owned()),
        "{:?}",
        shown.contract
    );
    assert_eq!(shown.plugins.len(), 4);
}

#[test]
fn a_component_over_the_size_cap_is_not_read() {
    let mut options = options();
    options.limits.component_bytes = 1000;
    assert_eq!(
        Component::load(&guest().path, &options)
            .err()
            .unwrap()
            .code(),
        "plugin::too_big"
    );
}
