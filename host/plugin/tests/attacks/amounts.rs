//! Plugins that take more than they may: memory, tables, output, lines, counters, and the compiler.

use std::sync::{Arc, Mutex};

use dkhost_plugin::{LogSink, MESSAGE_MAX};

use crate::guests::guest;
use crate::support::{batch, bind, check, open, options};

each! {
    memory_bomb: "asked for more than 64 MiB of memory in batch 1 of partition 0",
    memory_bomb_touched: "asked for more than 64 MiB of memory in batch 1",
    memory_bomb_at_start: "asked for more than 64 MiB of memory when asked for its plugins",
    many_memories: "has more memories, tables or instances than a plugin may",
    too_many_tables: "has more memories, tables or instances than a plugin may",
    table_bomb: "asked for more than 64 MiB of memory in batch 1",
    many_tables: "asked for more than 64 MiB of memory when asked for its plugins",

    one_buffer_many_times: "returned more than 128 MiB at once in batch 1",
    expansion_bomb: "column `name`: its rows would take more than 128 MiB",
    null_bomb: "column `name`: its rows would take more than 128 MiB",
    too_many_rows: "returned 5000000 rows, and one call may return 4194304",
    describes_a_million: "returned more than 128 MiB at once when asked for its plugins",
}

#[test]
pub fn huge_row() {
    // Its memory alone is too much; with more of it, what it returns is.
    let mut options = options();
    options.limits.memory_bytes = 256 << 20;
    let mut stage = bind(&guest("huge_row"), &options).unwrap().open(0).unwrap();
    let error = stage.apply(&batch()).unwrap_err();
    assert_eq!(error.code(), "plugin::bad_output");
    assert!(error.chain().contains("more than 128 MiB at once"));
    check("huge_row", "asked for more than 64 MiB of memory");
}

/// Compiling is limited in a child, so the test that it ends is in `tests/child.rs`; here only that
/// nothing but the compiler minds this component.
#[test]
pub fn slow_to_compile() {
    let bytes = guest("slow_to_compile");
    assert!(bytes.len() < 100 << 10, "{} bytes", bytes.len());
    dkhost_plugin::Contract::read("slow_to_compile.wasm", &bytes).unwrap();
}

/// The lines that come through when a guest is given `batches` batches.
fn lines(name: &str, batches: usize) -> usize {
    let lines = Arc::new(Mutex::new(0));
    let counted = lines.clone();
    let mut options = options();
    options.log = LogSink::new(move |_| *counted.lock().unwrap() += 1);
    let mut stage = bind(&guest(name), &options).unwrap().open(0).unwrap();
    (0..batches).for_each(|_| drop(stage.apply(&batch()).unwrap()));
    *lines.lock().unwrap()
}

#[test]
pub fn log_flood() {
    let lines = lines("log_flood", 1);
    assert!((100..300).contains(&lines), "{lines} of 5000 lines");
}

#[test]
pub fn leaks_and_logs() {
    // Its instance is replaced every few batches; its right to log is not.
    let lines = lines("leaks_and_logs", 30);
    assert!((100..1000).contains(&lines), "{lines} of 6000 lines");
}

#[test]
pub fn counter_flood() {
    let mut stage = open("counter_flood").unwrap();
    stage.apply(&batch()).unwrap();
    let counters = stage.counters();
    assert_eq!(counters.len(), 64);
    assert!(
        counters.contains(&("attack".into(), u64::MAX)),
        "{counters:?}"
    );
}

#[test]
pub fn counter_names() {
    let mut stage = open("counter_names").unwrap();
    (0..2).for_each(|_| drop(stage.apply(&batch()).unwrap()));
    // The second batch ran twice, to compare, and was counted once.
    assert_eq!(stage.counters(), [("attack".into(), 2)]);
}

#[test]
pub fn log_huge() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let lines = taken.clone();
    let mut options = options();
    options.log = LogSink::new(move |line| lines.lock().unwrap().push(line));
    let mut stage = bind(&guest("log_huge"), &options).unwrap().open(0).unwrap();
    stage.apply(&batch()).unwrap_err();
    let lines = taken.lock().unwrap();
    assert!(lines[0].message.len() <= MESSAGE_MAX);
    assert!(lines[0].fields.len() <= 16, "{}", lines[0].fields.len());
    check("log_huge", "crashed in batch 1");
}
