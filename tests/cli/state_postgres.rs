//! A history on a server: the same commands as over a file, shared by hosts, with an address whose
//! password nobody gets to see.

use std::io::Write;
use std::time::{Duration, Instant};

use dkhost_servers::{Database, Server, Settings, Stop};
use rustix::process::Signal;
use serde_json::json;

use crate::world::{Answer, SMALL, World, masked};

const RECORDS: i64 = 40_000;

/// A job that refuses one of three records, with its history at `url`.
fn refusing(url: &str) -> World {
    let world = World::with_job(&format!(
        "{SMALL}\n[[steps]]\nname = \"ages\"\napply = {{ age = {{ type_cast = {{ to = \"int64\" }} }} }}\n\
         [run]\non_error = \"dead-letter\"\n[state]\nurl = \"{url}\"\n"
    ));
    world.write(
        "in.jsonl",
        "{\"id\":1,\"age\":\"36\"}\n{\"id\":2,\"age\":\"forty-one\"}\n{\"id\":3,\"age\":\"85\"}\n",
    );
    world
}

/// A job that takes seconds: many small batches, each committed durably.
fn slow(url: &str) -> World {
    let world = World::with_job(&format!(
        "{SMALL}\n[run]\nbatch = {{ rows = 10 }}\n[state]\nurl = \"{url}\"\n"
    ));
    let mut lines = Vec::new();
    for id in 0..RECORDS {
        writeln!(lines, "{{\"id\":{id}}}").unwrap();
    }
    world.write("in.jsonl", lines);
    world
}

fn rows(world: &World) -> i64 {
    let database = rusqlite::Connection::open(world.path("out.db")).unwrap();
    let mut query = database
        .prepare("SELECT count(DISTINCT id) * (count(DISTINCT id) = count(*)) FROM t")
        .unwrap();
    query.query_row([], |row| row.get(0)).unwrap()
}

fn no_file_of_a_history(world: &World) {
    assert!(!world.path(".dkhost").exists());
}

fn code_of(answer: &Answer) -> String {
    let object: serde_json::Value = serde_json::from_str(answer.err.trim()).unwrap_or_default();
    object["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn runs_and_refused_records_are_kept_shown_and_retried() {
    let database = dkhost_servers::postgres();
    // A server that trusts everybody takes any password.
    let url = database.url.replacen('@', ":sesame@", 1);
    let world = refusing(&url);
    let report = world.expect(3, &["run", "job.toml", "--json"]).last();
    no_file_of_a_history(&world);

    let with_state = |words: &[&str]| {
        let answer = world.expect(0, &[words, &["--state", &url]].concat());
        assert!(!format!("{}{}", answer.out, answer.err).contains("sesame"));
        answer
    };
    let run = with_state(&["history", "--json"]).last();
    assert_eq!(run["run"], report["run"]);
    assert_eq!(run["status"], "done");
    assert_eq!(run["counts"]["dead_lettered"], 1);
    assert_eq!(
        world
            .expect(0, &["history", "job.toml", "--json"])
            .objects()
            .len(),
        1
    );

    let letters = with_state(&["errors", "list", "--json"]).objects();
    assert_eq!(letters.len(), 1);
    let number = letters[0]["number"].to_string();
    let shown = with_state(&["errors", "show", &number]).out;
    assert!(shown.contains("forty-one"), "{shown}");
    with_state(&["errors", "export", "refused.jsonl"]);
    assert_eq!(world.read("refused.jsonl").lines().count(), 1);

    let mended = world
        .read("job.toml")
        .replace("to = \"int64\"", "to = \"int64\", default = -1");
    world.write("job.toml", mended);
    world.expect(0, &["errors", "retry", "job.toml"]);
    assert_eq!(rows(&world), 3);
    let open = with_state(&["errors", "list", "small", "--json"]).objects();
    assert!(open.is_empty(), "{open:?}");
    no_file_of_a_history(&world);
    for words in [["plan", "job.toml"], ["doctor", "job.toml"]] {
        let answer = world.expect(0, &words);
        assert!(!format!("{}{}", answer.out, answer.err).contains("sesame"));
    }
}

#[test]
fn looking_at_a_server_without_a_history_makes_none() {
    let database = dkhost_servers::postgres();
    let world = World::new();
    let answer = world.expect(2, &["history", "--state", &database.url]);
    assert!(
        answer.err.contains("there is no history at `postgres://"),
        "{}",
        answer.err
    );
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dkhost_history'";
    assert_eq!(database.sql(schemas), "0");
}

#[test]
fn two_hosts_do_not_run_one_job_at_once_and_a_killed_one_lets_go() {
    let database = dkhost_servers::postgres();
    let (here, there) = (slow(&database.url), slow(&database.url));
    let running = here.start(&["run", "job.toml", "--json"]);
    let refused = there.run(&["run", "job.toml"]);
    assert_eq!(refused.code, 7, "{}", refused.err);
    let holder = format!("process {} on ", running.child.id());
    assert!(refused.err.contains(&holder), "{}", refused.err);
    assert!(!there.path("out.db").exists());

    running.signal(Signal::KILL);
    running.end();
    let report = here
        .expect(
            0,
            &["run", "job.toml", "--json", "--set", "run.batch.rows=5000"],
        )
        .last();
    assert_eq!(report["resumed"], json!(true));
    assert_eq!(rows(&here), RECORDS);
}

#[test]
fn a_server_that_restarts_in_mid_run_does_not_end_it() {
    let mut server = Server::start(&Settings::default()).unwrap();
    let url = server.url();
    let world = slow(&url);
    let mut running = world.start(&["run", "job.toml", "--json"]);
    server.stop(Stop::Immediate).unwrap();
    server.start_again().unwrap();
    let ended = running.child.try_wait().unwrap();
    assert!(
        ended.is_none(),
        "the run was over before the server was back"
    );
    let answer = running.end();
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    assert_eq!(rows(&world), RECORDS);
    let run = world
        .expect(0, &["history", "--state", &url, "--json"])
        .last();
    assert_eq!(
        (&run["status"], &run["counts"]["read"]),
        (&json!("done"), &json!(RECORDS))
    );
}

#[test]
fn a_run_whose_lock_another_took_stops_before_its_next_commit() {
    let database = dkhost_servers::postgres();
    let world = slow(&database.url);
    let running = world.start(&["run", "job.toml", "--json"]);
    let mut thief = Thief::of(&database);
    // Whoever holds the lock now is neither of dkhost's processes; the session that held it is cut.
    thief.steal(&database);
    let answer = running.end();
    assert_eq!(answer.code, 7, "{}\n{}", answer.out, answer.err);
    assert_eq!(answer.last()["error"]["code"], "run::lock_lost");
    drop(thief);
    world.expect(0, &["run", "job.toml", "--set", "run.batch.rows=5000"]);
    assert_eq!(rows(&world), RECORDS);
}

#[test]
fn the_password_of_a_history_is_never_shown() {
    let world = refusing("postgres://ada:sesame@127.0.0.1:1/crm");
    for (code, words) in [
        (5, vec!["plan", "job.toml"]),
        (5, vec!["plan", "job.toml", "--json"]),
        (5, vec!["run", "job.toml"]),
        (5, vec!["run", "job.toml", "--json"]),
        (5, vec!["doctor", "job.toml"]),
        (5, vec!["doctor", "job.toml", "--json"]),
        (5, vec!["history", "job.toml"]),
        (5, vec!["errors", "list", "job.toml", "--json"]),
        (
            2,
            vec![
                "history",
                "--state",
                "postgres://ada:sesame@h/crm?sslmode=maybe",
            ],
        ),
        (
            2,
            vec!["history", "--state", "postgres://ada:sesame@h:port/crm"],
        ),
        (
            2,
            vec![
                "run",
                "job.toml",
                "--set",
                "state.url=\"postgres://ada:sesame@h:port/crm\"",
            ],
        ),
    ] {
        let answer = world.expect(code, &words);
        let said = format!("{}{}", answer.out, answer.err);
        assert!(!said.contains("sesame"), "{words:?}\n{said}");
    }
    let answer = world.expect(5, &["history", "job.toml", "--json"]);
    assert_eq!(code_of(&answer), "state::unreachable");
    let seen = masked(&answer.err);
    assert!(seen.contains("postgres://ada@127.0.0.1:1/crm"), "{seen}");
}

/// A session that takes every lock of the jobs of a database.
struct Thief(std::process::Child);

impl Thief {
    fn of(database: &Database) -> Thief {
        let psql = dkhost_servers::programs::postgres("psql").unwrap();
        let child = std::process::Command::new(psql)
            .args(["-X", "-q", "-A", "-t", "-d", &database.url])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Thief(child)
    }

    /// Waits for the lock of whoever has it, and then ends that one's session.
    fn steal(&mut self, database: &Database) {
        let held = "SELECT string_agg(format('SELECT pg_advisory_lock(%s)', (classid::bigint << 32) | objid::bigint), ';') FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let steal = database.sql(held);
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{steal};").unwrap();
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let began = Instant::now();
        while database.sql(waiting) == "0" {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "nobody waits for {steal}"
            );
        }
        database.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
