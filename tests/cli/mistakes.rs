//! Mistakes people make in job files and on the command line: each points at its place and names
//! the next thing to type.

use expect_test::{Expect, expect};
use serde_json::json;

use crate::world::{SMALL, World, check};

const RECORDS: &str =
    "{\"id\":1,\"email\":\"a@b.c\",\"price\":1.5}\n{\"id\":2,\"email\":null,\"price\":2}\n";

/// Plans a job that is wrong: exit code and what stderr says.
fn wrong(code: i32, job: &str, expected: Expect) {
    let world = World::with_job(job);
    world.write("in.jsonl", RECORDS);
    let answer = world.expect(code, &["plan", "job.toml"]);
    assert_eq!(answer.out, "");
    check(&answer.err, expected);
    assert!(
        !world.path("out.db").exists() && !world.path(".dkhost").exists(),
        "a plan wrote something"
    );
}

fn with(addition: &str) -> String {
    format!("{SMALL}\n{addition}\n")
}

#[test]
fn a_misspelt_key() {
    wrong(
        2,
        &SMALL.replace(
            "backend = \"sqlite\"",
            "backend = \"sqlite\"\non_conflit = \"skip\"",
        ),
        expect![[r#"
            error[job::unknown_key]: [target] has no key `on_conflit`
               ╭─[job.toml:9:1]
             9 │ on_conflit = "skip"
               · ─────┬────
               ·      ╰── did you mean `on_conflict`?
              help: known keys: path, table, layout, backend, on_conflict, key, create
        "#]],
    );
}

#[test]
fn a_key_twice() {
    wrong(
        2,
        &SMALL.replace(
            "path    = \"out.db\"",
            "path    = \"out.db\"\npath = \"other.db\"",
        ),
        expect![[r#"
            error[job::duplicate_key]: the job file is not valid TOML: duplicate key
                ╭─[job.toml:10:1]
             10 │ path = "other.db"
                · ──┬─
                ·   ╰── here
              help: each key stands once in its section
        "#]],
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    wrong(
        2,
        &with("[run]\nparallel = \"two\""),
        expect![[r#"
            error[job::wrong_value]: `parallel` must be a whole number from 1 to 256
                ╭─[job.toml:13:12]
             13 │ parallel = "two"
                ·            ──┬──
                ·              ╰── this is text
              help: `dkhost backends` and `dkhost job schema` say what every key takes
        "#]],
    );
}

#[test]
fn a_word_nobody_knows() {
    wrong(
        2,
        &with("[run]\nverify = \"chekcsum\""),
        expect![[r#"
        error[job::wrong_value]: `verify` cannot be `chekcsum`
            ╭─[job.toml:13:10]
         13 │ verify = "chekcsum"
            ·          ─────┬────
            ·               ╰── did you mean `checksum`?
          help: one of: none, count, checksum, full
    "#]],
    );
}

#[test]
fn text_without_quotes() {
    wrong(
        2,
        &SMALL.replace("\"in.jsonl\"", "in.jsonl"),
        expect![[r#"
        error[job::syntax]: the job file is not valid TOML: invalid float, expected `inf`
           ╭─[job.toml:5:11]
         5 │ path    = in.jsonl
           ·           ────┬───
           ·               ╰── here
          help: text needs quotes, lists need [ ], tables need { } or a [section] line
    "#]],
    );
}

#[test]
fn a_step_with_two_verbs() {
    wrong(
        2,
        &with("[[steps]]\nfilter = \"id > 1\"\ndrop = [\"email\"]"),
        expect![[r#"
            error[job::two_verbs]: a step has exactly one verb
                ╭─[job.toml:14:1]
             14 │ drop = ["email"]
                · ──┬─
                ·   ╰── `drop` is the second one
              help: write it under a [[steps]] line of its own
        "#]],
    );
}

#[test]
fn a_column_that_is_not_there() {
    wrong(
        2,
        &with("[[steps]]\nset = { email = \"lower(trim(emial))\" }"),
        expect![[r#"
            error[plan::unknown_field]: stage `1:set` reads field `emial`, which is not there
                ╭─[job.toml:13:29]
             13 │ set = { email = "lower(trim(emial))" }
                ·                             ──┬──
                ·                               ╰── not there; did you mean `email`?
              help: the fields at this step: id, email, price
        "#]],
    );
}

#[test]
fn an_expression_that_does_not_parse() {
    wrong(
        2,
        &with("[[steps]]\nfilter = \"price >\""),
        expect![[r#"
        error[expr::syntax]: stage `1:filter` cannot be read: expected an expression, found the end
            ╭─[job.toml:13:10]
         13 │ filter = "price >"
            ·          ────┬────
            ·              ╰── here
          help: an expression is SQL: texts in single quotes, names with spaces or SQL words in double quotes
    "#]],
    );
}

#[test]
fn a_key_of_a_later_version() {
    wrong(
        2,
        &with("[run]\ntwo_phase = true"),
        expect![[r#"
        error[job::later]: `two_phase` is not in this version of dkhost
            ╭─[job.toml:13:13]
         13 │ two_phase = true
            ·             ──┬─
            ·               ╰── not available yet
          help: validating every record before the first write comes in a later version; `dkhost validate JOB` does the first phase alone
    "#]],
    );
}

#[test]
fn a_variable_that_is_not_set() {
    wrong(
        2,
        &SMALL.replace("out.db", "${DKHOST_TEST_UNSET}/out.db"),
        expect![[r#"
            error[job::unset_variable]: the environment variable `DKHOST_TEST_UNSET` is not set
               ╭─[job.toml:9:11]
             9 │ path    = "${DKHOST_TEST_UNSET}/out.db"
               ·           ──────────────┬──────────────
               ·                         ╰── needed here
              help: set it first: DKHOST_TEST_UNSET=… dkhost run …; write `$${` for a literal `${`
        "#]],
    );
}

#[test]
fn a_source_that_is_not_there() {
    wrong(
        2,
        &SMALL.replace("in.jsonl", "im.jsonl"),
        expect![[r#"
        error[file::not_found]: there is no file `im.jsonl`
           ╭─[job.toml:5:11]
         5 │ path    = "im.jsonl"
           ·           ─────┬────
           ·                ╰── did you mean `in.jsonl`?
          help: relative paths start at the folder of the job file
    "#]],
    );
}

#[test]
fn a_plugin_nobody_gave() {
    wrong(
        2,
        &with("[[steps]]\nplugin = \"clean\""),
        expect![[r#"
        error[plan::unknown_plugin]: a step names the plugin `clean`, which was not given
            ╭─[job.toml:13:10]
         13 │ plugin = "clean"
            ·          ───┬───
            ·             ╰── no component has this name
          help: add `--plugin clean=PATH.wasm`, or write [plugins.clean] path = "PATH.wasm"
    "#]],
    );
}

#[test]
fn a_plugin_file_that_is_not_there() {
    let world = World::with_job(SMALL);
    world.write("in.jsonl", RECORDS);
    check(
        &world
            .expect(2, &["run", "job.toml", "--plugin", "gone.wasm"])
            .err,
        expect![[r#"
            error[io::not_found]: cannot read `gone.wasm`
              cause: No such file or directory (os error 2)
              help: check the path; `dkhost plugin build DIR` writes DIR/NAME.wasm
        "#]],
    );
}

#[test]
fn a_file_that_is_no_plugin() {
    let world = World::with_job(SMALL);
    world.write("in.jsonl", RECORDS);
    world.write("fake.wasm", "\0asm but not really");
    check(
        &world
            .expect(6, &["run", "job.toml", "--plugin", "fake.wasm"])
            .err,
        expect![[r#"
            error[plugin::not_wasm]: `fake.wasm` is not WebAssembly
              help: give the path of a component, as `dkhost plugin build DIR` writes it
        "#]],
    );
}

#[test]
fn a_job_file_that_is_not_there() {
    check(
        &World::new().expect(2, &["run", "jbo.toml"]).err,
        expect![[r#"
        error[io::not_found]: cannot read the job file `jbo.toml`
          cause: No such file or directory (os error 2)
          help: check the path; paths are relative to the job file
    "#]],
    );
}

#[test]
fn data_in_place_of_a_job() {
    let world = World::new();
    world.write("in.jsonl", RECORDS);
    check(
        &world.expect(2, &["run", "in.jsonl"]).err,
        expect![[r#"
        error[job::syntax]: the job file is not valid TOML: invalid key-value pair, expected key
          help: text needs quotes, lists need [ ], tables need { } or a [section] line
    "#]],
    );
}

#[test]
fn an_override_that_cannot_be() {
    let world = World::with_job(SMALL);
    world.write("in.jsonl", RECORDS);
    check(
        &world
            .expect(2, &["plan", "job.toml", "--set", "run.paralel=4"])
            .err,
        expect![[r#"
            error[job::unknown_key]: [run] has no key `paralel`; did you mean `parallel`?
              help: known keys: batch, memory, parallel, on_error, schema_drift, allow_lossy, retry, verify, nulls, progress_interval
        "#]],
    );
    check(
        &world
            .expect(2, &["plan", "job.toml", "--set", "run.parallel"])
            .err,
        expect![[r#"
            error[job::set]: `--set run.parallel` has no `=`
              help: write --set run.parallel=4
        "#]],
    );
}

#[test]
fn a_target_that_exists_is_refused_before_anything_is_written() {
    let job = SMALL.replace(
        "backend = \"sqlite\"\npath    = \"out.db\"\ntable   = \"t\"",
        "backend = \"file\"\npath    = \"out.csv\"",
    );
    let world = World::with_job(&job);
    world.write("in.jsonl", RECORDS);
    world.write("out.csv", "precious\n");
    check(
        &world.expect(2, &["run", "job.toml"]).err,
        expect![[r#"
        error[target::exists]: the target `out.csv` exists
           ╭─[job.toml:9:11]
         9 │ path    = "out.csv"
           ·           ────┬────
           ·               ╰── exists
          help: choose another path, or say `on_conflict = "replace-all"` to swap it for the new one at the end
    "#]],
    );
    assert_eq!(world.read("out.csv"), "precious\n");
}

#[test]
fn a_program_gets_the_place_as_numbers() {
    let world = World::with_job(&with("[[steps]]\nset = { email = \"lower(emial)\" }"));
    world.write("in.jsonl", RECORDS);
    let answer = world.expect(2, &["plan", "job.toml", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&answer.err).unwrap();
    assert_eq!(answer.out, "");
    assert_eq!(
        json!([
            error["event"],
            error["code"],
            error["exit_code"],
            error["file"],
            error["line"]
        ]),
        json!(["error", "plan::unknown_field", 2, "job.toml", 13])
    );
    let error = world.expect(2, &["run", "job.toml", "--json"]).last();
    assert_eq!(error["code"], "plan::unknown_field");
}

#[test]
fn the_state_is_no_database() {
    let world = World::with_job(SMALL);
    world.write("in.jsonl", RECORDS);
    world.write(
        ".dkhost/state.db",
        "not a database, much longer than the header of one would be, to be sure it is read",
    );
    let answer = world.expect(8, &["run", "job.toml"]);
    check(
        &answer.err,
        expect![[r#"
        error[state::corrupt]: `./.dkhost/state.db` is not a usable history
          cause: while executing migrations: error returned from database: (code: 26) file is not a database
          help: nothing was changed. Move it aside (mv ./.dkhost/state.db ./.dkhost/state.db.broken) and run again: targets keep their own checkpoints, an unfinished run goes on from there
    "#]],
    );
    assert!(!world.path("out.db").exists());
}
