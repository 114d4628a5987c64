//! `dkhost schema apply` on a table, killed at random moments and at every step of the swap: the table
//! is the old one or the new one, the same command again ends it, and the history says done once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::applied::{APPLY, all, check, seeded};
use super::faults::Chance;
use super::in_place::{RECORDS, World};

const MOMENTS: u64 = 12;

fn start(world: &World, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dkhost"));
    command
        .args(words)
        .current_dir(world.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_remove("DKHOST_FAIL");
    command
}

/// Status and counts of every application.
fn applications(world: &World) -> Vec<Value> {
    let mut command = start(world, &["schema", "history", "--json"]);
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text.lines().map(|line| {
        let one: Value = serde_json::from_str(line).unwrap();
        json!([one["status"], one["counts"]])
    });
    records.collect()
}

/// Kills an application a while after its start, and gives the same command again.
fn play(fresh: &dyn Fn() -> World, took: Duration, seed: u64) {
    let world = fresh();
    let before = world.records();
    let part = Chance(seed).below(1_000) as f64 / 1_000.0;
    let after = took.mul_f64(part);
    let mut child = start(&world, &APPLY).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let at = format!("DKHOST_SEED={seed}, killed after {after:?}");
    let meanwhile = world.records();
    assert!(
        meanwhile == before || meanwhile == all(false),
        "{at}: {meanwhile:?}"
    );
    let ended = world.run(&APPLY, "");
    assert_eq!(ended.code, 0, "{at}: {} {}", ended.last, ended.err);
    assert_eq!(world.records(), all(false), "{at}");
    let counts = json!({ "changed": RECORDS, "unchanged": 0, "rejected": 0 });
    assert_eq!(applications(&world), [json!(["done", counts])], "{at}");
    (world.sound)(&world);
}

fn survives(fresh: &dyn Fn() -> World) {
    let world = fresh();
    let started = Instant::now();
    assert!(start(&world, &APPLY).status().unwrap().success());
    let took = started.elapsed();
    assert_eq!(world.records(), all(false));
    (world.sound)(&world);
    match std::env::var("DKHOST_SEED") {
        Ok(seed) => play(fresh, took, seed.parse().expect("DKHOST_SEED is a number")),
        Err(_) => {
            let seeds = super::seeds().unwrap_or(MOMENTS);
            (1..=seeds).for_each(|seed| play(fresh, took, seed));
        }
    }
}

/// Versions whose field `n` is checked by the table itself from 2.0.0 on.
fn table(world: World) -> World {
    let world = seeded(world, "replace-all");
    let path = world.path("schemas/user/2.0.0.toml");
    let two = std::fs::read_to_string(&path).unwrap();
    let checked = two.replace(
        "[fields.title]",
        "range = { min = 0, max = 1000 }\n[fields.title]",
    );
    assert_ne!(two, checked);
    std::fs::write(path, checked).unwrap();
    world
}

fn on_postgres() -> World {
    let mut world = table(World::on("postgres", "table = \"book\"\n"));
    asked(&world, "CREATE INDEX book_t ON book (t)");
    world.sound = sound;
    world
}

fn asked(world: &World, sql: &str) -> String {
    let url = world
        .store
        .lines()
        .find_map(|line| line.strip_prefix("url = \""));
    let answer = dkhost_servers::query(url.unwrap().trim_end_matches('"'), sql);
    answer.unwrap().trim().to_owned()
}

/// Sees that the check was validated, that the index is there, and that no rows are staged.
fn sound(world: &World) {
    let checks = "SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'book'::regclass AND contype = 'c'";
    assert_eq!(asked(world, checks), "user_n_range|t");
    let index = "SELECT pg_get_indexdef('book_t'::regclass)";
    assert_eq!(
        asked(world, index),
        "CREATE INDEX book_t ON public.book USING btree (title)"
    );
    assert_eq!(
        asked(world, "SELECT schema, version FROM dkhost.schema_version"),
        "user|2.0.0"
    );
    // Whoever is killed while tidying up leaves its checkpoint to the next run of the job.
    let staged = "SELECT relname FROM pg_class WHERE relnamespace = 'dkhost'::regnamespace AND relkind = 'r' \
        AND relname NOT IN ('schema_version', 'checkpoint', 'owner')";
    assert_eq!(asked(world, staged), "");
}

#[test]
fn a_table_of_sqlite_survives_any_moment() {
    let store = "backend = \"sqlite\"\npath = \"store.db\"\ntable = \"book\"\n";
    survives(&|| table(World::at(store)));
}

#[test]
fn a_table_of_postgres_survives_any_moment() {
    survives(&on_postgres);
}

#[test]
fn a_version_is_applied_to_a_table_of_postgres() {
    let points = [
        "postgres.claim.prepared:1",
        "postgres.claim.committed:1",
        "postgres.write.staged:2",
        "postgres.commit.prepared:3",
        "postgres.commit.committed:3",
        "run.batch.committed:2",
        "run.end.verified:1",
        "postgres.swap.emptied:1",
        "postgres.swap.filled:1",
        "postgres.publish.prepared:1",
        "postgres.publish.committed:1",
        "run.end.published:1",
    ];
    check(&on_postgres, true, &points);
}
