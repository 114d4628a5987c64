//! Records that a plugin refuses or dies on are kept aside, and whatever it says about rows, a letter
//! points at its own record and the counts agree.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::World;
use crate::world::{RECORDS, all, attacked, harmless, held, names};

/// A run that keeps bad records aside; its report, the ids in the target and those in the letters.
fn kept_aside(name: &str, code: i32) -> (Value, Vec<i64>, BTreeSet<i64>) {
    let world = attacked(name);
    let report = world
        .expect(
            code,
            &[
                "run",
                "job.toml",
                "--json",
                "--set",
                "run.on_error=dead-letter",
            ],
        )
        .last();
    let written: Vec<i64> = held(&world).iter().map(|(id, _)| *id).collect();
    let letters = letters(name, &world);
    let counts = &report["counts"];
    let count = |what: &str| counts[what].as_u64().unwrap_or(0) as usize;
    assert_eq!(count("read"), 2 * RECORDS, "{counts}");
    assert_eq!(count("dead_lettered"), letters.len(), "{counts}");
    let distinct: BTreeSet<i64> = written.iter().copied().collect();
    assert_eq!(count("written"), distinct.len(), "{counts}");
    assert!(distinct.is_disjoint(&letters), "a record has two fates");
    let filtered = 2 * RECORDS - distinct.len() - letters.len();
    assert_eq!(count("filtered"), filtered, "{counts}");
    (report, written, letters)
}

/// The ids in the letters: each holds the very record its locator points at.
fn letters(name: &str, world: &World) -> BTreeSet<i64> {
    let text = world.expect(0, &["errors", "list", "job.toml"]);
    harmless(name, &text);
    let listed = world
        .expect(0, &["errors", "list", "job.toml", "--json"])
        .objects();
    let mut ids = BTreeSet::new();
    for letter in &listed {
        let id = letter["payload"]["id"].as_i64().unwrap();
        assert_eq!(letter["payload"], json!({ "id": id, "name": names()[&id] }));
        let line = letter["locator"]["line"].as_i64().unwrap();
        let file = letter["locator"]["file"].as_str().unwrap();
        let part = id / RECORDS as i64;
        assert!(file.ends_with(&format!("part-{part}.jsonl")), "{letter}");
        assert_eq!(line, id % RECORDS as i64 + 1, "{letter}");
        assert_eq!(letter["stage"], "attack");
        assert!(ids.insert(id), "record {id} has two letters");
    }
    ids
}

#[test]
fn only_the_record_that_kills_the_plugin_is_kept_aside() {
    let (_, written, letters) = kept_aside("dies_on_bang", 3);
    assert_eq!(letters, BTreeSet::from([67]));
    assert_eq!(written.len(), 2 * RECORDS - 1);
}

#[test]
fn a_plugin_that_lies_only_in_company_loses_nothing() {
    let (_, written, letters) = kept_aside("lies_in_company", 0);
    assert!(letters.is_empty());
    assert_eq!(written, all().iter().map(|(id, _)| *id).collect::<Vec<_>>());
}

#[test]
fn a_plugin_that_blames_a_neighbour_is_believed_about_the_row_and_the_letter_is_that_records() {
    let (_, written, letters) = kept_aside("blames_a_neighbour", 3);
    assert_eq!(letters, BTreeSet::from([68]));
    assert_eq!(written.len(), 2 * RECORDS - 1);
}

#[test]
fn rows_that_are_left_out_and_repeated_are_accounted_for_by_record() {
    let (report, written, letters) = kept_aside("drops_and_repeats", 0);
    assert!(letters.is_empty());
    // Of every 12 rows 3 are left out, and 3 stand there twice or three times.
    assert_eq!(report["rows_written"], written.len(), "{report}");
    assert_eq!(written.iter().filter(|id| **id == 8).count(), 3);
    assert!(!written.contains(&3));
}

#[test]
fn a_refusal_in_ten_megabytes_of_words_or_under_an_escape_sequence_is_a_letter_like_any_other() {
    for name in ["reject_of_ten_megabytes", "reject_code_with_escapes"] {
        let (_, _, letters) = kept_aside(name, 3);
        assert_eq!(letters, BTreeSet::from([0, 20, 40, 60]), "`{name}`");
    }
}

#[test]
fn a_plugin_that_dies_on_everything_stops_the_run_and_nothing_is_lost() {
    let world = attacked("trap_in_apply");
    let aside = ["run", "job.toml", "--set", "run.on_error=dead-letter"];
    let answer = world.expect(6, &aside);
    assert!(answer.err.contains("error[plugin::trap]"), "{}", answer.err);
    harmless("trap_in_apply", &answer);
    world.write("attack.wasm", crate::guests::good());
    world.expect(0, &["run", "job.toml", "--accept-plan-change"]);
    assert_eq!(held(&world), all());
}

#[test]
fn hidden_state_stops_the_run_also_where_bad_records_are_kept_aside() {
    for name in [
        "hidden_state",
        "hidden_state_in_the_rows",
        "hidden_state_in_the_rejects",
    ] {
        let world = attacked(name);
        // Few enough records that all of them could be kept aside.
        let aside = [
            "run",
            "job.toml",
            "--set",
            "run.on_error=dead-letter",
            "--set",
            "run.batch={ rows = 10 }",
        ];
        let answer = world.expect(6, &aside);
        assert!(
            answer.err.contains("error[plugin::nondeterministic]"),
            "`{name}`: {}",
            answer.err
        );
    }
}

#[test]
fn a_column_called_by_an_escape_sequence_is_shown_as_text_and_kept_as_it_is() {
    let name = "column_called_by_escapes";
    let world = attacked(name);
    for (code, command) in [
        (0, &["plan", "job.toml"][..]),
        (0, &["plan", "job.toml", "--json"]),
        (0, &["preview", "job.toml"]),
        (0, &["preview", "job.toml", "--json"]),
        (0, &["validate", "job.toml"]),
        (0, &["plugin", "inspect", "attack.wasm"]),
        (0, &["run", "job.toml"]),
        (0, &["history", "job.toml"]),
    ] {
        harmless(name, &world.expect(code, command));
    }
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let called = "SELECT name FROM pragma_table_info('t') WHERE cid = 1";
    let called: String = database.query_row(called, [], |row| row.get(0)).unwrap();
    assert_eq!(called, "\x1b[2J\nmovies done\u{202e}\"; DROP TABLE t; --");
}

#[test]
fn floods_of_lines_and_counters_are_cut_and_the_work_is_done() {
    for name in [
        "log_flood",
        "counter_flood",
        "counter_names",
        "leaks_and_logs",
    ] {
        let world = attacked(name);
        let answer = world.expect(0, &["run", "job.toml"]);
        harmless(name, &answer);
        assert!(answer.err.lines().count() < 1000, "`{name}`");
        assert_eq!(held(&world), all(), "`{name}`");
    }
}
