//! A batch, the way a plugin is loaded here, and what must come of a misdeed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::{
    Batch, Changed, Error, Field, Locator, LogicalType, Payload, Position, Result, Schema,
    SourceRows, Stage, Step,
};
use dkhost_plugin::{CompileIn, Component, Direction, Limits, LoadOptions, StageSpec};
use serde_json::json;

use crate::guests::{GUESTS, guest};

/// How long a call may take of a guest that will take all the time there is.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// Default limits, with time enough for a busy machine.
pub fn options() -> LoadOptions {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let mut options = LoadOptions::new(cache.path(), CompileIn::InProcess);
    options.limits = Limits {
        call_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    options
}

/// What the guests are given: they read the second column.
pub fn schema() -> Schema {
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
    fn payload(&self, row: usize) -> Payload {
        Payload {
            bytes: format!("{{\"id\":{row}}}").into_bytes(),
            media: "json",
        }
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

/// A batch of these names, `id` counting from 0.
pub fn batch_of(names: &[&str]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..names.len() as i64)),
        Arc::new(StringArray::from(names.to_vec())),
    ];
    Batch {
        records: RecordBatch::try_new(schema().to_arrow(), columns).unwrap(),
        origin: None,
        source: Arc::new(Rows(names.len())),
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

/// A batch with a long name, and one with a `!` in it for guests that wait for one.
pub fn batch() -> Batch {
    batch_of(&[&"one".repeat(300), "two", "three!", "four", "five"])
}

/// The step that a component makes: its plugin, or the way up of its first migration.
pub fn bind(bytes: &[u8], options: &LoadOptions) -> Result<Box<dyn Step>> {
    let component = Component::from_bytes("attack.wasm", bytes, options)?;
    match component.migrations().is_empty() {
        true => component.bind(&spec(&schema())),
        false => component.bind_migration(0, Direction::Up, &spec(&schema())),
    }
}

/// The way down of a component's first migration.
pub fn bind_down(bytes: &[u8]) -> Result<Box<dyn Step>> {
    let component = Component::from_bytes("attack.wasm", bytes, &options())?;
    component.bind_migration(0, Direction::Down, &spec(&schema()))
}

fn spec(input: &Schema) -> StageSpec<'_> {
    StageSpec {
        name: "1:attack".into(),
        plugin: None,
        config: json!({}),
        input,
    }
}

/// The same with little time.
pub fn hurried() -> LoadOptions {
    let mut options = options();
    options.limits.call_timeout = PATIENCE;
    options
}

/// A guest at work in partition 0.
pub fn open(name: &str) -> Result<Box<dyn Stage>> {
    let options = match expected(name) {
        "plugin::out_of_time" | "plugin::bad_schema" => hurried(),
        _ => options(),
    };
    bind(&guest(name), &options)?.open(0)
}

/// The code a guest must end with.
fn expected(name: &str) -> &'static str {
    let found = GUESTS.iter().find(|(known, ..)| *known == name);
    found.map(|(.., code)| *code).unwrap()
}

/// One test for each guest: the error of its code says this.
macro_rules! each {
    ($($name:ident: $says:literal,)*) => {
        $(#[test] pub fn $name() { $crate::support::check(stringify!($name), $says) })*
    };
}

/// A guest ends as the error of its code, in words that fit on a screen, and not only once.
pub fn check(name: &str, says: &str) {
    let code = expected(name);
    let mut stage = match open(name) {
        Ok(stage) => stage,
        Err(error) => return said(name, &error, code, says),
    };
    let kept = batch();
    let error = (0..3).find_map(|_| stage.apply(&kept).err());
    let error = error.unwrap_or_else(|| panic!("`{name}` got away with it"));
    said(name, &error, code, says);
    assert_eq!(kept.records, batch().records, "`{name}` changed the batch");
    // The instance is gone and the stage is not: asked again it does the same again.
    let again = (0..3).find_map(|_| stage.apply(&kept).err());
    assert_eq!(again.map(|error| error.code()), Some(code), "`{name}`");
}

pub fn said(name: &str, error: &Error, code: &str, says: &str) {
    let chain = error.chain();
    assert_eq!(error.code(), code, "`{name}`: {chain}");
    assert!(chain.contains(says), "`{name}`: {chain}");
    assert!(error.help_text().is_some(), "`{name}` has no help");
    assert!(chain.len() < 1500, "`{name}` says {} bytes", chain.len());
    assert!(!chain.contains(char::is_control), "`{name}`: {chain:?}");
}

/// What a guest that is held in check makes of a batch.
pub fn holds(name: &str) -> Changed {
    assert_eq!(expected(name), "", "`{name}` ends as an error");
    open(name).unwrap().apply(&batch()).unwrap()
}
