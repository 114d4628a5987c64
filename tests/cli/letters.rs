//! Refused records: listed, shown, exported, and brought in after the job was mended.

use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use serde_json::{Value, json};

use crate::world::{SMALL, World, check};

const PEOPLE: &str = concat!(
    "{\"id\":1,\"name\":\"Ada\",\"age\":\"36\"}\n",
    "{\"id\":2,\"name\":\"Alan\",\"age\":\"forty-one\"}\n",
    "{\"id\":3,\"name\":\"Grace\",\"age\":\"85\"}\n",
    "{\"id\":4,\"name\":\"Edsger\",\"age\":\"\"}\n",
    "{\"id\":5,\"name\":\"Bar\n",
);
const CAST: &str =
    "[[steps]]\nname = \"ages\"\napply = { age = { type_cast = { to = \"int64\" } } }\n";
const MENDED: &str = "[[steps]]\nname = \"ages\"\napply = { age = { type_cast = { to = \"int64\", default = -1 } } }\n";

fn world() -> World {
    let world = World::with_job(&format!(
        "{SMALL}\n{CAST}\n[run]\non_error = \"dead-letter\"\n"
    ));
    world.write("in.jsonl", PEOPLE);
    world
}

fn rows(world: &World) -> Vec<(i64, String, Option<i64>)> {
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let mut query = database
        .prepare("SELECT id, name, age FROM t ORDER BY id")
        .unwrap();
    query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_run_with_refused_records_ends_with_three_and_says_where_they_are() {
    let world = world();
    let answer = world.expect(3, &["run", "job.toml"]);
    check(
        &answer.out,
        expect![[r#"
            small done in TIME, with dead letters  run RUN

              written       2
              dead letters  3  refused and kept
              read          5  every record is accounted for

              speed     SPEED/s on average, TIME CPU
              memory    MEMORY at the peak
              verified  2 rows held, as expected
              delivery  effectively-once

              dkhost errors list job.toml   which records were refused, and why
              dkhost errors retry job.toml  takes them through the job again
        "#]],
    );
    assert_eq!(
        rows(&world),
        [(1, "Ada".into(), Some(36)), (3, "Grace".into(), Some(85))]
    );
    check(
        &world.expect(0, &["errors", "list", "job.toml"]).out,
        expect![[r#"
            small  run RUN: 3 refused records, 3 open

              #  where                              stage   column  why
              1  file in.jsonl, line 5, offset 143  source          the text ends where the end of a string…
              2  file in.jsonl, line 2, offset 33   ages    age     "forty-one" cannot be cast to int64
              3  file in.jsonl, line 4, offset 109  ages    age     "" cannot be cast to int64

              dkhost errors show 1 job.toml  one record with all that is known
              dkhost errors retry job.toml   takes them through the job again, once it is mended
        "#]],
    );
    check(
        &world.expect(0, &["errors", "show", "2", "job.toml"]).out,
        expect![[r#"
            refused record 2 step::cast
              why       "forty-one" cannot be cast to int64
              by        ages (step)
              column    age
              where     file in.jsonl, line 2, offset 33
              job       small
              run       RUN
              batch     0 of partition 0, record 1
              resolved  no
              sha256    75901491d57e2b50fbaff58ad6f3ed8b599cb1495a8db50044b031b41348b642

            the record as it was read (json, 40 B)
              {
                "id": 2,
                "name": "Alan",
                "age": "forty-one"
              }
        "#]],
    );
}

#[test]
fn programs_get_every_fact_of_a_refused_record() {
    let world = world();
    world.expect(3, &["run", "job.toml", "--quiet"]);
    let letters = world.expect(0, &["errors", "list", "--json"]).objects();
    assert_eq!(letters.len(), 3);
    let alan = letters
        .iter()
        .find(|letter| letter["payload"]["id"] == 2)
        .unwrap();
    assert_eq!(
        alan["payload"],
        json!({ "id": 2, "name": "Alan", "age": "forty-one" })
    );
    assert_eq!(
        (&alan["stage"], &alan["kind"], &alan["column"]),
        (&json!("ages"), &json!("step"), &json!("age"))
    );
    assert_eq!(alan["locator"]["line"], 2);
    let broken = letters
        .iter()
        .find(|letter| letter["kind"] == "read")
        .unwrap();
    assert!(
        broken["payload"].as_str().unwrap().starts_with("{\"id\":5"),
        "{broken}"
    );
    let number = alan["number"].to_string();
    assert_eq!(
        world
            .expect(0, &["errors", "show", &number, "--json"])
            .last(),
        *alan
    );
}

#[test]
fn an_export_is_its_owners_alone_and_never_overwrites() {
    let world = world();
    world.expect(3, &["run", "job.toml", "--quiet"]);
    world.expect(0, &["errors", "export", "refused.jsonl"]);
    let lines: Vec<Value> = world
        .read("refused.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, world.expect(0, &["errors", "export", "-"]).objects());
    assert_eq!(lines.len(), 3);
    for private in ["refused.jsonl", ".dkhost/state.db"] {
        let mode = std::fs::metadata(world.path(private))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    check(
        &world.expect(2, &["errors", "export", "refused.jsonl"]).err,
        expect![[r#"
            error[errors::exists]: `refused.jsonl` exists and is left as it is
              help: give another name
        "#]],
    );
}

#[test]
fn a_mended_job_brings_the_refused_records_in() {
    let world = world();
    world.expect(3, &["run", "job.toml", "--quiet"]);
    let mended = world.read("job.toml").replace(CAST, MENDED);
    world.write("job.toml", mended);
    let answer = world.expect(3, &["errors", "retry", "job.toml", "--json"]);
    let report = answer.last();
    assert_eq!(
        (
            &report["kind"],
            &report["counts"]["read"],
            &report["counts"]["written"]
        ),
        (&json!("retry"), &json!(3), &json!(2))
    );
    assert_eq!(
        rows(&world),
        [
            (1, "Ada".into(), Some(36)),
            (2, "Alan".into(), Some(-1)),
            (3, "Grace".into(), Some(85)),
            (4, "Edsger".into(), Some(-1))
        ]
    );
    // What was refused again is a letter of the retry that names the one it repeats.
    let open = world
        .expect(0, &["errors", "list", "job.toml", "--json"])
        .objects();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["run"], report["run"]);
    assert_eq!(
        (&open[0]["attempts"], &open[0]["repeats"]),
        (&json!(2), &json!(1))
    );
    let history = world.expect(0, &["history", "--json"]).objects();
    let kinds: Vec<&Value> = history.iter().map(|run| &run["kind"]).collect();
    assert_eq!(kinds, ["retry", "run"]);
    // Trying once more takes that one alone, and adds nothing.
    let again = world
        .expect(3, &["errors", "retry", "job.toml", "--json"])
        .last();
    assert_eq!(again["counts"]["read"], 1);
    assert_eq!(rows(&world).len(), 4);
}

#[test]
fn a_retry_takes_the_refused_records_of_every_run_of_the_job() {
    let world = world();
    world.expect(3, &["run", "job.toml", "--quiet"]);
    // A later run over other records refuses none of them, and does not hide the first one's.
    world.write("in.jsonl", "{\"id\":6,\"name\":\"Tim\",\"age\":\"70\"}\n");
    world.expect(0, &["run", "job.toml", "--quiet"]);
    let mended = world.read("job.toml").replace(CAST, MENDED);
    world.write("job.toml", mended);
    let answer = world.expect(3, &["errors", "retry", "job.toml", "--json"]);
    assert_eq!(answer.last()["counts"]["read"], 3);
    assert_eq!(rows(&world).len(), 5);
    // The run alone, when it is named.
    let latest = world.expect(0, &["history", "--json"]).objects();
    let second = latest[1]["run"].as_str().unwrap();
    let answer = world.expect(0, &["errors", "retry", second]);
    assert!(
        answer.out.contains("has no open refused records"),
        "{}",
        answer.out
    );
}

#[test]
fn a_retry_without_letters_says_so() {
    let world = world();
    world.write("in.jsonl", "{\"id\":1,\"name\":\"Ada\",\"age\":\"36\"}\n");
    world.expect(0, &["run", "job.toml", "--quiet"]);
    check(
        &world.expect(0, &["errors", "retry", "job.toml"]).out,
        expect![[r#"
            job small has no open refused records
        "#]],
    );
    check(
        &world.expect(0, &["errors", "list"]).out,
        expect![[r#"
        small  run RUN: 0 refused records, 0 open
    "#]],
    );
}

#[test]
fn a_run_that_stops_at_a_record_says_which_and_how_far_it_came() {
    let world = world();
    let answer = world.expect(4, &["run", "job.toml", "--set", "run.on_error=stop"]);
    assert_eq!(answer.out, "");
    check(
        &answer.err,
        expect![[r#"
            small: file to table t in out.db
            delivery: effectively-once (rows and checkpoint in one transaction of the database)
            small stopped in TIME  run RUN

              written  0
              read     0  every record is accounted for

              speed     SPEED/s on average, TIME CPU
              memory    MEMORY at the peak
              delivery  effectively-once, once it is finished

            error[run::refused_record]: source refused a record (file in.jsonl, line 5, offset 143): the text ends where the end of a string is due, at byte 19
              help: batches before this one are safe. Keep such records aside with run.on_error = "dead-letter" (or "skip" them) and run again: it goes on where it stopped
        "#]],
    );
    assert_eq!(
        world.expect(0, &["history", "--json"]).last()["status"],
        "stopped"
    );
}

#[test]
fn a_limit_on_refused_records_stops_the_run() {
    let world = world();
    let answer = world.expect(
        4,
        &[
            "run",
            "job.toml",
            "--json",
            "--set",
            "run.on_error={ dead_letter = { max = 1 } }",
        ],
    );
    let report = answer.last();
    assert_eq!(
        (&report["status"], &report["error"]["code"]),
        (&json!("stopped"), &json!("run::too_many_refused"))
    );
    assert_eq!(report["exit_code"], 4);
}

#[test]
fn numbers_and_histories_that_are_not_there() {
    let world = world();
    check(
        &world.expect(2, &["errors", "list"]).err,
        expect![[r#"
        error[history::empty]: there is no history at `.dkhost/state.db`
          help: give the job file (`dkhost history job.toml`) or --state sqlite:PATH; the first `dkhost run` makes it
    "#]],
    );
    world.expect(3, &["run", "job.toml", "--quiet"]);
    check(
        &world.expect(2, &["errors", "show", "99"]).err,
        expect![[r#"
        error[errors::unknown]: there is no refused record number 99
          help: `dkhost errors list` shows the numbers
    "#]],
    );
    check(
        &world.expect(2, &["history", "ffff"]).err,
        expect![[r#"
        error[history::unknown_run]: the history knows no run or job `ffff`
          help: `dkhost history` lists them
    "#]],
    );
}

#[test]
fn a_retry_of_a_finished_file_names_the_way_out() {
    let world = world();
    let job = world.read("job.toml").replace(
        "backend = \"sqlite\"\npath    = \"out.db\"\ntable   = \"t\"",
        "backend = \"file\"\npath = \"out.jsonl\"",
    );
    world.write("job.toml", job.replace(CAST, MENDED));
    world.write("cast.toml", job);
    world.expect(3, &["run", "cast.toml", "--quiet"]);
    check(
        &world.expect(2, &["errors", "retry", "job.toml"]).err,
        expect![[r#"
            error[target::exists]: the target `out.jsonl` exists
               ╭─[job.toml:9:8]
             9 │ path = "out.jsonl"
               ·        ─────┬─────
               ·             ╰── exists
              help: a finished file takes no more records; write them to another: dkhost errors retry job.toml --set target.path=retried.jsonl
        "#]],
    );
    let elsewhere = [
        "errors",
        "retry",
        "job.toml",
        "--set",
        "target.path=retried.jsonl",
    ];
    world.expect(3, &elsewhere);
    assert_eq!(
        world.read("retried.jsonl"),
        "{\"id\":2,\"name\":\"Alan\",\"age\":-1}\n{\"id\":4,\"name\":\"Edsger\",\"age\":-1}\n"
    );
}
