//! `bench-native CSV ROWS-PER-BATCH TURNS`: the plugin `clean` over the benchmark's rows, compiled
//! for the machine and called as a function. Prints nanoseconds of CPU per record.
//!
//! The columns lie in memory before the clock starts, as they do when the host calls the component:
//! what is measured is the plugin and the SDK around it, without the border.

#![allow(clippy::print_stdout, clippy::panic, clippy::expect_used)]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use clean_native::__dkhost_native::TRANSFORMERS;
use dkhost_sdk::export;
use dkhost_sdk::wit::{columnar, types};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, csv, rows, turns] = arguments.as_slice() else {
        panic!("bench-native CSV ROWS-PER-BATCH TURNS");
    };
    let rows: usize = rows.parse().expect("rows per batch is a number");
    let turns: u32 = turns.parse().expect("turns is a number");
    let text = std::fs::read_to_string(csv).expect("the CSV can be read");
    let (names, batches) = batches(&text, rows);
    let total: usize = batches.iter().map(|batch| batch.rows as usize).sum();
    let opened = export::open_transform(&stage(&names), TRANSFORMERS).expect("clean opens");
    let reads: Vec<columnar::Batch> = batches
        .into_iter()
        .map(|batch| only(&opened.reads, batch))
        .collect();
    // Each turn by itself: the best is what the code costs, the others what disturbed it.
    let best = (0..turns)
        .map(|_| {
            let started = on_cpu();
            for batch in &reads {
                let output = export::apply_transform(batch).expect("clean takes every batch");
                black_box(&output);
            }
            (on_cpu() - started).as_nanos() as f64 / total as f64
        })
        .fold(f64::INFINITY, f64::min);
    println!("{best:.1}");
}

/// How long this thread has run on a processor, where the kernel tells; else the clock on the wall.
fn on_cpu() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    told.and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// The columns of a CSV without quotes, as text, some rows at a time.
fn batches(text: &str, rows: usize) -> (Vec<String>, Vec<columnar::Batch>) {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let names: Vec<String> = header.split(',').map(str::to_owned).collect();
    let lines: Vec<&str> = lines.collect();
    let width = names.len();
    let batches = lines.chunks(rows).map(|lines| batch(width, lines));
    (names, batches.collect())
}

fn batch(width: usize, lines: &[&str]) -> columnar::Batch {
    let empty = || columnar::Column {
        data: Vec::new(),
        offsets: 0i32.to_le_bytes().to_vec(),
        validity: Vec::new(),
    };
    let mut columns: Vec<columnar::Column> = (0..width).map(|_| empty()).collect();
    for line in lines {
        for (column, cell) in columns.iter_mut().zip(line.split(',')) {
            column.data.extend_from_slice(cell.as_bytes());
            let end = (column.data.len() as i32).to_le_bytes();
            column.offsets.extend_from_slice(&end);
        }
    }
    columnar::Batch {
        rows: lines.len() as u32,
        columns,
    }
}

/// The columns the plugin reads, in its order.
fn only(reads: &[u32], mut batch: columnar::Batch) -> columnar::Batch {
    let columns = reads.iter().map(|read| {
        let column = &mut batch.columns[*read as usize];
        columnar::Column {
            data: std::mem::take(&mut column.data),
            offsets: std::mem::take(&mut column.offsets),
            validity: std::mem::take(&mut column.validity),
        }
    });
    columnar::Batch {
        rows: batch.rows,
        columns: columns.collect(),
    }
}

fn stage(names: &[String]) -> types::Stage {
    let fields = names.iter().map(|name| types::Field {
        name: name.clone(),
        type_: "utf8".to_owned(),
        nullable: true,
        hints: Vec::new(),
    });
    types::Stage {
        plugin: "clean".to_owned(),
        config: "{}".to_owned(),
        input: types::Schema {
            fields: fields.collect(),
        },
        extra: Vec::new(),
    }
}
