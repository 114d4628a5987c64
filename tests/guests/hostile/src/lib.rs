//! A plugin that does everything wrong, one thing at a time: `{"do": "trap"}`.
//!
//! It speaks the contract without the SDK, because the SDK would not let it. Its input is a
//! carried column, a text column it reads, and whatever follows. `tests/hostile.rs` in the plugin
//! host names what must come of each misdeed.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, missing_docs, clippy::panic, clippy::unwrap_used)]

wit_bindgen::generate!({
    path: "../../../wit/v0.1",
    inline: "
        package dkhost:hostile;
        world hostile {
            import dkhost:plugin/log@0.1.0;
            import dkhost:plugin/counters@0.1.0;
            import dkhost:plugin/lookup@0.1.0;
            export dkhost:plugin/plugin@0.1.0;
            export dkhost:plugin/transform@0.1.0;
            export dkhost:plugin/filter@0.1.0;
        }
    ",
    generate_all,
});

use std::cell::{Cell, RefCell};

use dkhost::plugin::columnar::{Batch, Column, Output, OutputColumn, Rows};
use dkhost::plugin::log::Level;
use dkhost::plugin::types::{Descriptor, Failure, Reject, Schema, Stage};
use exports::dkhost::plugin::{filter, plugin, transform};

thread_local! {
    static DOES: RefCell<String> = const { RefCell::new(String::new()) };
    static WIDTH: Cell<u32> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Hostile;

impl plugin::Guest for Hostile {
    fn describe() -> Vec<Descriptor> {
        let describe = |name: &str, kind: &str, requests: &[&str]| Descriptor {
            name: name.into(),
            kind: kind.into(),
            version: "0.1.0".into(),
            summary: "does everything wrong".into(),
            config_schema: r#"{"type": "object", "properties": {"do": {"type": "string"}}}"#.into(),
            requests: requests
                .iter()
                .map(|request| (*request).to_owned())
                .collect(),
            extra: Vec::new(),
        };
        vec![
            describe("hostile", "transform", &[]),
            describe("hostile-filter", "filter", &[]),
            describe("greedy", "transform", &["lookup:countries"]),
            describe("later", "dream", &[]),
        ]
    }
}

fn begin(stage: &Stage) {
    let does = stage
        .config
        .split('"')
        .nth(3)
        .unwrap_or("nothing")
        .to_owned();
    DOES.set(does);
    WIDTH.set(stage.input.fields.len() as u32);
}

fn misdeed() -> String {
    CALLS.set(CALLS.get() + 1);
    DOES.with_borrow(Clone::clone)
}

fn failure(kind: &str, message: &str) -> Failure {
    Failure {
        kind: kind.into(),
        message: message.into(),
        at: None,
    }
}

impl transform::Guest for Hostile {
    fn open(stage: Stage) -> Result<transform::Opened, Failure> {
        begin(&stage);
        let mut fields = stage.input.fields;
        let mut reads = vec![1];
        let mut carries: Vec<(u32, u32)> = (0..fields.len() as u32)
            .filter(|i| *i != 1)
            .map(|i| (i, i))
            .collect();
        match misdeed().as_str() {
            "open-trap" => panic!("opened in anger"),
            "open-loop" => spin(),
            "open-refuse" => return Err(failure("schema", "there is no column `email`")),
            "lookup" => {
                let failed = dkhost::plugin::lookup::Table::open("countries").err();
                return Err(failed.unwrap_or_else(|| failure("internal", "the lookup was opened")));
            }
            "promise-name-twice" => fields[1].name = fields[0].name.clone(),
            "promise-unknown-type" => fields[1].type_ = "string".into(),
            "promise-read-beyond" => reads = vec![99],
            "promise-carry-beyond" => carries.push((99, 1)),
            "promise-carry-other-type" => carries.push((0, 1)),
            "promise-changes" if stage.extra.iter().any(|(name, _)| name == "partition") => {
                fields[1].name = "other".into();
            }
            "nulls" => fields[1].nullable = false,
            _ => {}
        }
        Ok(transform::Opened {
            output: Schema { fields },
            reads,
            carries,
            extra: Vec::new(),
        })
    }

    fn apply(input: Batch) -> Result<Output, Failure> {
        let does = misdeed();
        let rows = input.rows;
        let mut column = input.columns.into_iter().next().unwrap();
        let mut output = Output {
            rows: Rows::All,
            columns: Vec::new(),
            rejects: Vec::new(),
        };
        let mut second = None;
        match does.as_str() {
            "trap" => {
                dkhost::plugin::log::log(
                    Level::Error,
                    &format!("the {rows} rows did not please me"),
                    &[],
                );
                panic!();
            }
            "loop" => spin(),
            "bomb" => bomb(),
            "recurse" => deep(rows.into()),
            "retry" => return Err(failure("retry", "the moon is in the wrong house")),
            "fail" => return Err(failure("internal", "I give up")),
            "offsets-back" => column.offsets[4..8].copy_from_slice(&i32::MAX.to_le_bytes()),
            "offsets-beyond" => {
                let last = column.offsets.len() - 4;
                column.offsets[last..].copy_from_slice(&1_000_000i32.to_le_bytes());
            }
            "offsets-short" => column.offsets.truncate(4),
            "not-utf8" => column.data[0] = 0xff,
            "nulls" => column.validity = vec![0; rows.div_ceil(8) as usize],
            "state" => column = text(rows, &CALLS.get().to_string()),
            "pointer" => {
                // A list that lies about where it is.
                column.data = unsafe {
                    Vec::from_raw_parts(0x7fff_0000 as *mut u8, 0x1000_0000, 0x1000_0000)
                };
            }
            "big" => column.data = vec![b'x'; 40 << 20],
            "origin-unsorted" => output.rows = origin(&[1, 0]),
            "origin-beyond" => output.rows = origin(&[0, rows]),
            "selection-short" => output.rows = Rows::Selection(Vec::new()),
            "reject-beyond" => output.rejects.push(reject(rows, None)),
            "reject-column" => output.rejects.push(reject(0, Some(99))),
            "carried-beyond" => second = Some(OutputColumn::Carried(99)),
            "carried-other" => second = Some(OutputColumn::Carried(0)),
            "flood" => {
                (0..5000).for_each(|_| dkhost::plugin::log::log(Level::Info, "me again", &[]))
            }
            "count" => {
                dkhost::plugin::counters::add("rows", rows.into());
                (0..1000).for_each(|i| dkhost::plugin::counters::add(&format!("c{i}"), 1));
                dkhost::plugin::counters::add("\u{1b}[31m", 1);
            }
            "leak" => std::mem::forget(vec![1u8; 8 << 20]),
            _ => {}
        }
        for i in 0..WIDTH.get() {
            output.columns.push(if i == 1 {
                second.take().unwrap_or_else(|| {
                    OutputColumn::Computed(std::mem::replace(&mut column, empty()))
                })
            } else {
                OutputColumn::Carried(i)
            });
        }
        match does.as_str() {
            "few-columns" => drop(output.columns.pop()),
            "carried-broken-promise" => output.columns[0] = OutputColumn::Carried(1),
            _ => {}
        }
        Ok(output)
    }
}

impl filter::Guest for Hostile {
    fn open(stage: Stage) -> Result<filter::Opened, Failure> {
        begin(&stage);
        Ok(filter::Opened {
            reads: vec![1],
            extra: Vec::new(),
        })
    }

    fn apply(input: Batch) -> Result<filter::Verdict, Failure> {
        let keep = match misdeed().as_str() {
            "selection-short" => Vec::new(),
            _ => vec![0b0101_0101; input.rows.div_ceil(8) as usize],
        };
        Ok(filter::Verdict {
            keep,
            rejects: Vec::new(),
        })
    }
}

fn empty() -> Column {
    Column {
        data: Vec::new(),
        offsets: Vec::new(),
        validity: Vec::new(),
    }
}

fn text(rows: u32, value: &str) -> Column {
    let offsets = (0..=rows as usize)
        .flat_map(|row| ((row * value.len()) as i32).to_le_bytes())
        .collect();
    Column {
        data: value.repeat(rows as usize).into_bytes(),
        offsets,
        validity: Vec::new(),
    }
}

fn origin(rows: &[u32]) -> Rows {
    Rows::Origin(rows.iter().flat_map(|row| row.to_le_bytes()).collect())
}

fn reject(row: u32, column: Option<u32>) -> Reject {
    Reject {
        row,
        column,
        code: "bad".into(),
        message: String::new(),
    }
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn bomb() {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

#[allow(unconditional_recursion)]
fn deep(n: u64) {
    let frame = std::hint::black_box([n; 64]);
    deep(frame[0] + 1);
    std::hint::black_box(frame);
}

export!(Hostile);
