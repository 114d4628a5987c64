//! What tests rely on: a database of their own, a server that obeys, and nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::time::Duration;

use dkhost_servers::{Pooler, Server, Settings, Stop};
use support::runs;

#[test]
fn each_database_is_fresh_and_goes_with_its_test() {
    let (first, second) = (dkhost_servers::postgres(), dkhost_servers::postgres());
    assert_ne!(first.name, second.name);
    first.sql("CREATE TABLE t AS SELECT 1 AS a, 'ä' AS b");
    assert_eq!(first.sql("SELECT * FROM t"), "1|ä");
    assert_eq!(
        second.sql("SELECT count(*) FROM pg_tables WHERE tablename = 't'"),
        "0"
    );
    let gone = first.name.clone();
    drop(first);
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{gone}'");
    assert_eq!(second.sql(&count), "0");
}

#[test]
fn a_server_stopped_like_a_power_cut_comes_back_with_what_was_committed() {
    let mut server = Server::start(&Settings::default().set("max_connections", "17")).unwrap();
    let (port, database) = (server.port(), server.database().unwrap());
    assert_eq!(database.sql("SHOW max_connections"), "17");
    database.sql("CREATE TABLE t AS SELECT 1 AS a");
    server.stop(Stop::Immediate).unwrap();
    assert!(server.sql("SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(database.sql("SELECT * FROM t"), "1");
    server.stop(Stop::Fast).unwrap();
    server.start_again().unwrap();
    assert_eq!(database.sql("SELECT * FROM t"), "1");
}

#[test]
fn a_pooler_gives_many_clients_few_sessions() {
    let server = Server::start(&Settings::default()).unwrap();
    let (pooler, database) = (
        Pooler::start(&server, 1).unwrap(),
        server.database().unwrap(),
    );
    let url = pooler.url(&database.name);
    let ask = |sql: &str| dkhost_servers::query(&url, sql).unwrap();
    // Two clients, one session: what the first leaves in it the second finds.
    ask("SET application_name = 'left behind'");
    assert_eq!(
        ask("SELECT pg_backend_pid()"),
        ask("SELECT pg_backend_pid()")
    );
    assert_eq!(ask("SELECT current_database()"), database.name);
}

#[test]
fn a_disk_of_its_own_fills_up() {
    let server = Server::start(&Settings::default().disk_mib(80)).unwrap();
    let database = server.database().unwrap();
    database.sql("CREATE TABLE t (a text)");
    let much = "INSERT INTO t SELECT repeat(md5(i::text), 30) FROM generate_series(1, 200000) i";
    let why = dkhost_servers::query(&database.url, much).unwrap_err();
    assert!(why.contains("No space left on device"), "{why}");
    assert_eq!(database.sql("SELECT count(*) FROM t"), "0");
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let mut server = Server::start(&Settings::default()).unwrap();
    let url = server.url();
    server.pause();
    let (sender, answers) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(dkhost_servers::Database::create(&url)));
    assert!(answers.recv_timeout(Duration::from_millis(500)).is_err());
    server.resume();
    assert!(
        answers
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .is_ok()
    );
}

#[test]
fn nothing_stays_of_a_server_that_is_dropped() {
    let mut server = Server::start(&Settings::default()).unwrap();
    let (pid, folder) = (server.pid().unwrap(), server.folder().to_owned());
    // One that hangs goes too.
    server.pause();
    drop(server);
    assert!(!runs(pid) && !folder.exists());
}

#[test]
fn nothing_stays_when_the_process_is_killed() {
    support::goes_with_its_process("nothing_stays_when_the_process_is_killed", || {
        let server = Server::start(&Settings::default()).unwrap();
        let (pid, folder) = (server.pid().unwrap(), server.folder().display().to_string());
        (server, pid, folder)
    });
}
