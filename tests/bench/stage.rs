//! `stage COMPONENT CSV ROWS-PER-BATCH TURNS`: a plugin over the benchmark's rows, through the
//! engine and the border as a run calls it. Prints nanoseconds of CPU per record.
//!
//! What `bench-native` does with the same source compiled for the machine: the ratio of both is the
//! price of the sandbox. Included are the copies both ways, the verification of what comes back and
//! the second look at one batch in 64; not included are reading, writing and the queues between.

#![allow(clippy::print_stdout, clippy::panic, clippy::expect_used)]

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use dkhost_core::{
    Batch, Field, Locator, LogicalType, Payload, Position, Result, Schema, SourceRows,
};
use dkhost_plugin::{CompileIn, Component, LoadOptions, StageSpec};

fn main() {
    // `cargo bench` adds an option of its own harness.
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let [_, component, csv, rows, turns] = arguments.as_slice() else {
        // `cargo test --benches` starts this without arguments: there is nothing to measure then.
        println!("stage COMPONENT CSV ROWS-PER-BATCH TURNS");
        return;
    };
    let rows: usize = rows.parse().expect("rows per batch is a number");
    let turns: u32 = turns.parse().expect("turns is a number");
    let text = std::fs::read_to_string(csv).expect("the CSV can be read");
    match best(Path::new(component), &text, rows, turns) {
        Ok(best) => println!("{best:.1}"),
        Err(error) => panic!("{}", error.chain()),
    }
}

/// Each turn by itself: the best is what the stage costs, the others what disturbed it.
fn best(component: &Path, text: &str, rows: usize, turns: u32) -> Result<f64> {
    let (schema, batches) = batches(text, rows);
    let total: usize = batches.iter().map(|batch| batch.records.num_rows()).sum();
    let cache = tempfile::tempdir().expect("there is a folder for the cache");
    let options = LoadOptions::new(cache.path(), CompileIn::InProcess);
    let step = Component::load(component, &options)?.bind(&StageSpec {
        name: "1:plugin".into(),
        plugin: None,
        config: serde_json::Value::Null,
        input: &schema,
    })?;
    let mut stage = step.open(0)?;
    let mut best = f64::INFINITY;
    for _ in 0..turns {
        let started = on_cpu();
        for batch in &batches {
            black_box(stage.apply(batch)?);
        }
        best = best.min((on_cpu() - started).as_nanos() as f64 / total as f64);
    }
    Ok(best)
}

/// How long this thread has run on a processor, where the kernel tells; else the clock on the wall.
fn on_cpu() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    told.and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// The columns of a CSV without quotes, as text, some rows at a time.
fn batches(text: &str, rows: usize) -> (Schema, Vec<Batch>) {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let names = header.split(',');
    let schema = Schema::new(
        names
            .map(|name| Field::new(name, LogicalType::Utf8))
            .collect(),
    );
    let lines: Vec<&str> = lines.collect();
    let batches = lines.chunks(rows).map(|lines| batch(&schema, lines));
    let batches = batches.collect();
    (schema, batches)
}

fn batch(schema: &Schema, lines: &[&str]) -> Batch {
    let column = |place: usize| {
        let cells = lines.iter().map(|line| line.split(',').nth(place));
        Arc::new(cells.collect::<StringArray>()) as ArrayRef
    };
    let columns = (0..schema.fields.len()).map(column).collect();
    let records = RecordBatch::try_new(schema.to_arrow(), columns);
    Batch {
        records: records.expect("every line has every column"),
        origin: None,
        source: Arc::new(Lines(lines.len())),
        rejects: Vec::new(),
        until: Position::start(),
        source_bytes: 0,
    }
}

/// Records nobody will ask for.
#[derive(Debug)]
struct Lines(usize);

impl SourceRows for Lines {
    fn len(&self) -> usize {
        self.0
    }
    fn locator(&self, row: usize) -> Locator {
        Locator::of([("row", serde_json::json!(row))])
    }
    fn payload(&self, _: usize) -> Payload {
        Payload {
            bytes: Vec::new(),
            media: "csv",
        }
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}
