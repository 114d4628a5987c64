//! Plugins that crash, that never come back, and that keep state from one batch to the next.

use std::time::{Duration, Instant};

use dkhost_core::Stage;

use crate::guests::{guest, varied};
use crate::support::{PATIENCE, batch, batch_of, bind, check, hurried, open, options};

each! {
    trap_in_apply: "`attack 1.0.0` crashed in batch 1 of partition 0: wasm trap: wasm `unreachable` instruction executed; it said: me again",
    trap_in_open: "crashed when it was opened for step `1:attack`",
    trap_in_partition: "crashed when it was opened for partition 0",
    trap_in_describe: "`attack.wasm` crashed when asked for its plugins",
    trap_in_start: "crashed when asked for its plugins",
    trap_in_post_return: "crashed in batch 1 of partition 0",
    trap_in_drop: "crashed in batch 1 of partition 0",
    deep_recursion: "call stack exhausted",

    loop_in_apply: "was stopped after 500 ms in batch 1 of partition 0",
    loop_in_open: "was stopped after 500 ms when it was opened for step `1:attack`",
    loop_in_describe: "`attack.wasm` was stopped after 500 ms when asked for its plugins",
    loop_in_start: "was stopped after 500 ms when asked for its plugins",
    loop_in_realloc: "was stopped after 500 ms when it was opened",
    loop_in_post_return: "was stopped after 500 ms in batch 1",
    loop_of_calls: "was stopped after 500 ms in batch 1",
    late_answer: "was stopped after 500 ms in batch 1",
    log_flood_forever: "was stopped after 500 ms in batch 1",

    hidden_state: "gave two answers for the same rows in batch 2 of partition 0: column `name` differs",
    hidden_state_in_the_rows: "other rows go on",
    hidden_state_in_the_rejects: "other rows go on",
    another_schema_in_the_run: "promises one schema to the plan and another to the run",
}

#[test]
pub fn dies_on_bang() {
    check("dies_on_bang", "crashed in batch 1");
    let mut stage = open("dies_on_bang").unwrap();
    let good = batch_of(&["a", "b"]);
    for round in 0..3 {
        assert_eq!(
            stage.apply(&good).unwrap().records,
            good.records,
            "round {round}"
        );
        assert_eq!(
            stage.apply(&batch()).unwrap_err().code(),
            "plugin::trap",
            "round {round}: the next instance works, and only this batch is refused"
        );
    }
}

#[test]
fn a_call_is_stopped_soon_after_its_time_and_not_before() {
    let mut stage = open("loop_in_apply").unwrap();
    let began = Instant::now();
    stage.apply(&batch()).unwrap_err();
    let took = began.elapsed();
    assert!(took >= PATIENCE, "{took:?}");
    // Far below what it would take without a limit, far above what a busy machine adds.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn partitions_beside_one_that_never_comes_back_go_on() {
    // The first partition that is opened is fine; a batch with a `!` hangs.
    let hangs = varied(
        "dies_on_bang",
        "(unreachable)",
        "(loop $forever (br $forever))",
    );
    let step = bind(&hangs, &hurried()).unwrap();
    let patient = bind(&hangs, &options()).unwrap();
    let good = batch_of(&["a", "b", "c"]);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            let mut stage = step.open(0).unwrap();
            stage.apply(&batch()).unwrap_err().code()
        });
        let mut stage = patient.open(1).unwrap();
        for _ in 0..50 {
            assert_eq!(stage.apply(&good).unwrap().records, good.records);
        }
        assert_eq!(hanging.join().unwrap(), "plugin::out_of_time");
    });
}

#[test]
fn hidden_state_is_tolerated_where_the_job_allows_it() {
    let mut allowed = options();
    allowed.allow_nondeterministic = true;
    let step = bind(&guest("hidden_state"), &allowed).unwrap();
    assert!(step.note().weakens.is_some());
    let mut stage: Box<dyn Stage> = step.open(0).unwrap();
    (0..3).for_each(|_| drop(stage.apply(&batch()).unwrap()));
}
