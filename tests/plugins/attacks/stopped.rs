//! A job whose plugin attacks stops with the error that is named for it, keeps what it has, and goes
//! on with a good plugin until every record is there.

use crate::common::World;
use crate::guests;
use crate::world::{all, attacked, harmless, held, measured};

/// What a run with two partitions may take: the program itself, two instances of 64 MiB and what
/// two calls may return.
const MEMORY_MAX: u64 = 512 << 20;

/// Stops as it must, and a good plugin takes the run to its end.
fn check(name: &str) {
    goes_on(name, &stops(name));
}

/// Stops with the error that is named for it, in words a person can read, within its memory.
fn stops(name: &str) -> World {
    let (_, _, code) = guests::GUESTS.iter().find(|(n, ..)| *n == name).unwrap();
    let world = attacked(name);
    let (answer, peak) = measured(&world, &["run", "job.toml"]);
    harmless(name, &answer);
    assert_eq!(answer.code, 6, "`{name}`: {}{}", answer.out, answer.err);
    let named = format!("error[{code}]");
    assert!(answer.err.contains(&named), "`{name}`: {}", answer.err);
    assert!(peak < MEMORY_MAX, "`{name}` took {} MiB", peak >> 20);
    world
}

/// With a good plugin the same command ends well, and every record is there once.
fn goes_on(name: &str, world: &World) {
    world.write("attack.wasm", guests::good());
    let patient = world.read("job.toml").replace("= 400", "= 60000");
    world.write("job.toml", patient);
    let answer = world.expect(0, &["run", "job.toml", "--accept-plan-change", "--json"]);
    let counts = &answer.last()["counts"];
    assert_eq!(counts["read"], all().len(), "`{name}`: {counts}");
    assert_eq!(held(world), all(), "`{name}`");
}

fn check_all(names: &[&str]) {
    names.iter().for_each(|name| check(name));
}

#[test]
fn plugins_that_crash() {
    check_all(&[
        "trap_in_apply",
        "trap_in_open",
        "trap_in_partition",
        "trap_in_describe",
        "trap_in_start",
        "trap_in_post_return",
        "trap_in_drop",
        "deep_recursion",
        "dies_on_bang",
    ]);
}

#[test]
fn plugins_that_never_come_back() {
    check_all(&[
        "loop_in_apply",
        "loop_in_open",
        "loop_in_start",
        "loop_in_realloc",
        "loop_in_post_return",
        "log_flood_forever",
        "late_answer",
        "schema_that_doubles",
    ]);
}

#[test]
fn plugins_that_take_more_than_they_may() {
    check_all(&[
        "memory_bomb",
        "memory_bomb_touched",
        "memory_bomb_at_start",
        "many_tables",
        "huge_row",
        "expansion_bomb",
        "describes_a_million",
    ]);
    // These promise columns of their own, for which the target is made.
    for name in ["one_buffer_many_times", "null_bomb"] {
        stops(name);
    }
}

#[test]
fn plugins_whose_words_are_the_attack() {
    check_all(&[
        "log_escapes",
        "log_huge",
        "failure_of_ten_megabytes",
        "failure_that_forges_lines",
        "name_with_controls",
        "version_of_ten_megabytes",
        "request_of_ten_megabytes",
        "column_name_with_controls",
        "zone_that_is_none",
        "bad_utf8_in_a_word",
    ]);
}

#[test]
fn plugins_that_lie_about_what_they_return() {
    check_all(&[
        "bad_utf8",
        "bad_result_pointer",
        "misaligned_result",
        "wrong_column_order",
        "offsets_backwards",
        "origin_unsorted",
        "origin_out_of_range",
        "reject_out_of_range",
        "verdict_short",
        "another_schema_in_the_run",
        "forged_handle",
    ]);
}

#[test]
fn plugins_that_promise_what_cannot_be() {
    check_all(&[
        "promise_of_one_name_twice",
        "promise_to_read_beyond",
        "promise_to_carry_as_another_type",
        "promise_of_thousands_of_columns",
    ]);
}

#[test]
fn a_plugin_that_asks_again_for_ever_is_given_up() {
    let name = "asks_again_for_ever";
    let world = attacked(name);
    let answer = world.run(&["run", "job.toml"]);
    harmless(name, &answer);
    // What may work later ends as trouble of the environment, which can be resumed.
    assert_eq!(answer.code, 5, "{}", answer.err);
    assert!(
        answer.err.contains("error[plugin::retry]"),
        "{}",
        answer.err
    );
    goes_on(name, &world);
}

#[test]
fn components_that_do_not_fit_the_contract() {
    check_all(&[
        "unknown_import",
        "wasi_clock",
        "too_new",
        "core_module",
        "empty_component",
    ]);
}

#[test]
fn a_component_that_takes_minutes_to_compile_is_given_up_and_nothing_of_it_stays() {
    let world = attacked("slow_to_compile");
    let cache = world.path("cache");
    // The child takes over the limit of its parent, which needs far less itself.
    let mut command = std::process::Command::new("sh");
    let limited = format!("ulimit -t 5 && exec {} run job.toml", crate::common::DKHOST);
    command
        .args(["-c", &limited])
        .current_dir(world.path(""))
        .env_clear()
        .env("XDG_CACHE_HOME", &cache)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let answer = crate::common::answer(command.output().unwrap());
    harmless("slow_to_compile", &answer);
    assert_eq!(answer.code, 6, "{}", answer.err);
    assert!(
        answer.err.contains("error[plugin::compile_limit]"),
        "{}",
        answer.err
    );
    let left: Vec<_> = std::fs::read_dir(cache.join("dkhost"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    goes_on("slow_to_compile", &world);
}

#[test]
fn the_other_partition_is_committed_up_to_a_batch_and_its_batches_are_not_read_again() {
    let world = attacked("dies_on_bang");
    let answer = world.expect(6, &["run", "job.toml", "--json"]);
    let report = answer.last();
    assert_eq!(report["error"]["code"], "plugin::trap");
    let written = held(&world);
    let whole = |rows: usize| rows.is_multiple_of(20);
    let first = written.iter().filter(|(id, _)| *id < 40).count();
    // The batch before the deadly one is there, the deadly one is not, and no batch is in pieces.
    assert!(whole(first), "{first} rows of the first partition");
    let second: Vec<i64> = written
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| *id >= 40)
        .collect();
    assert_eq!(second, (40..60).collect::<Vec<_>>());
    assert_eq!(report["counts"]["written"], written.len());
    goes_on("dies_on_bang", &world);
}
