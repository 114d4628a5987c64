//! Sessions on a real server that is stopped, paused, slow, full or behind a pooler.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use dkhost_core::Class;
use dkhost_proxy::{Act, Proxy, Rule, Way};
use dkhost_servers::{Pooler, Settings, Stop};
use serde_json::json;

use super::*;
use crate::fault::refusal;
use crate::server::tests::{open, take};

/// More than the connection holds on its way: the server waits for us to read.
const MUCH: &str =
    "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 200000)) TO STDOUT (FORMAT binary)";

#[track_caller]
fn check(error: &Error, class: Class, code: &str) {
    assert_eq!(
        (error.class(), error.code()),
        (class, code),
        "{}",
        error.chain()
    );
}

/// Reads to the end; how many bytes came.
fn read_all(session: &mut Session, copy: &mut CopyOut) -> Result<usize> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while session.next_chunk("read t", copy, &mut chunk, 256 << 10)? {
        bytes += chunk.len();
        chunk.clear();
    }
    Ok(bytes + chunk.len())
}

/// The binary form of rows of one bigint.
fn numbers(numbers: std::ops::Range<i64>) -> Bytes {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for number in numbers {
        out.extend_from_slice(&[0, 1, 0, 0, 0, 8]);
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&[0xff, 0xff]);
    out.into()
}

#[test]
fn what_goes_in_by_copy_comes_out_by_copy() {
    let database = dkhost_servers::postgres();
    let mut session = open(json!({ "url": database.url })).unwrap();
    session.run("make t", "CREATE TABLE t (a bigint)").unwrap();
    session.run("begin", "BEGIN").unwrap();
    let data = numbers(0..100_000);
    let sql = "COPY t FROM STDIN (FORMAT binary)";
    assert_eq!(
        session.copy_in("fill t", sql, data.clone()).unwrap(),
        100_000
    );
    let sql = "COPY (SELECT a FROM t ORDER BY a) TO STDOUT (FORMAT binary)";
    let mut copy = session.copy_out("read t", sql).unwrap();
    assert_eq!(read_all(&mut session, &mut copy).unwrap(), data.len());
    session.run("commit", "COMMIT").unwrap();
    assert_eq!(database.sql("SELECT sum(a) FROM t"), "4999950000");
}

#[test]
fn a_refusal_in_mid_copy_says_why_and_leaves_the_session_usable() {
    let database = dkhost_servers::postgres();
    database.sql("CREATE TABLE t (a bigint CHECK (a < 50000))");
    let mut session = open(json!({ "url": database.url })).unwrap();
    session.run("begin", "BEGIN; SAVEPOINT s").unwrap();
    let sql = "COPY t FROM STDIN (FORMAT binary)";
    let error = session
        .copy_in("fill t", sql, numbers(0..100_000))
        .unwrap_err();
    check(&error, Class::Data, "postgres::constraint");
    let said = refusal(&error).unwrap();
    assert_eq!(said.constraint.as_deref(), Some("t_a_check"));
    assert!(
        error.chain().contains("Failing row contains (50000)"),
        "{}",
        error.chain()
    );
    session.run("go back", "ROLLBACK TO s").unwrap();
    assert_eq!(session.copy_in("fill t", sql, numbers(0..9)).unwrap(), 9);
    session.run("commit", "COMMIT").unwrap();
}

#[test]
fn a_server_stopped_in_mid_copy_may_be_there_again_in_a_moment() {
    let mut own = dkhost_servers::Server::start(&Settings::default()).unwrap();
    let mut session = open(json!({ "url": own.url() })).unwrap();
    session.run("begin", "BEGIN").unwrap();
    let mut copy = session.copy_out("read t", MUCH).unwrap();
    let mut chunk = Vec::new();
    assert!(
        session
            .next_chunk("read t", &mut copy, &mut chunk, 1)
            .unwrap()
    );
    own.stop(Stop::Immediate).unwrap();
    let error = read_all(&mut session, &mut copy).unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{}", error.chain());
    let error = open(json!({ "url": own.url() })).err().unwrap();
    check(&error, Class::Transient, "postgres::unreachable");
    own.start_again().unwrap();
    open(json!({ "url": own.url() })).unwrap();
}

#[test]
fn a_session_that_the_server_ends_is_known_to_be_over() {
    let database = dkhost_servers::postgres();
    let mut session = open(json!({ "url": database.url })).unwrap();
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = session.run("go on", end).unwrap_err();
    check(&error, Class::Transient, "postgres::restarting");
    assert!(session.is_closed());
    // A refusal alone ends nothing.
    let mut session = open(json!({ "url": database.url })).unwrap();
    check(
        &session.run("ask", "SELECT nothing").unwrap_err(),
        Class::Config,
        "postgres::no_column",
    );
    assert!(!session.is_closed());
    session.run("ask", "SELECT 1").unwrap();
}

#[test]
fn a_server_that_has_gone_silent_is_not_waited_for() {
    let mut own = dkhost_servers::Server::start(&Settings::default()).unwrap();
    let options = json!({ "url": own.url(), "silence_timeout_ms": 300, "connect_timeout_ms": 300 });
    let mut session = open(options).unwrap();
    session.run("ask", "SELECT 1").unwrap();
    own.pause();
    let began = Instant::now();
    let error = session.run("ask", "SELECT 1").unwrap_err();
    check(&error, Class::Transient, "postgres::silent");
    assert!(session.is_closed());
    drop(session);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_server_that_thinks_for_long_is_waited_for() {
    let database = dkhost_servers::postgres();
    let options = json!({ "url": database.url, "silence_timeout_ms": 100 });
    let mut session = open(options).unwrap();
    session.run("think", "SELECT pg_sleep(1)").unwrap();
}

#[test]
fn statements_and_locks_have_their_time() {
    let database = dkhost_servers::postgres();
    database.sql("CREATE TABLE t (a int)");
    let server =
        take(json!({ "url": database.url, "statement_timeout_ms": 200, "lock_timeout_ms": 100 }))
            .unwrap();
    let (mut first, mut second) = (
        Session::open(&server).unwrap(),
        Session::open(&server).unwrap(),
    );
    let begin = format!("BEGIN; {}", server.settings());
    first.run("begin", &begin).unwrap();
    first.run("lock t", "LOCK TABLE t").unwrap();
    second.run("begin", &begin).unwrap();
    let error = second.run("read t", "SELECT * FROM t").unwrap_err();
    check(&error, Class::Transient, "postgres::locked");
    second.run("go back", "ROLLBACK").unwrap();
    second.run("begin", &begin).unwrap();
    let error = second.run("sleep", "SELECT pg_sleep(60)").unwrap_err();
    check(&error, Class::Transient, "postgres::canceled");
}

#[test]
fn settings_hold_for_the_transaction_and_no_longer() {
    let database = dkhost_servers::postgres();
    database.sql(&format!(
        "ALTER DATABASE {} SET DateStyle = 'German'",
        database.name
    ));
    let server = take(json!({ "url": database.url })).unwrap();
    let mut session = Session::open(&server).unwrap();
    let ask = "SELECT DATE '2020-01-31'::text";
    session
        .run("begin", &format!("BEGIN; {}", server.settings()))
        .unwrap();
    let inside: String = session.rows("ask", ask, &[]).unwrap()[0].get(0);
    session.run("commit", "COMMIT").unwrap();
    let outside: String = session.rows("ask", ask, &[]).unwrap()[0].get(0);
    assert_eq!(
        (inside.as_str(), outside.as_str()),
        ("2020-01-31", "31.01.2020")
    );
}

#[test]
fn a_dropped_session_ends_the_servers_work() {
    let database = dkhost_servers::postgres();
    let (sender, ended) = mpsc::channel();
    let mut session = open(json!({ "url": database.url })).unwrap();
    session.run("begin", "BEGIN").unwrap();
    // The first rows come at once, the last one never.
    let sql = "COPY (SELECT repeat('x', 100000), pg_sleep(CASE WHEN i < 9 THEN 0 ELSE 600 END) \
               FROM generate_series(1, 9) i) TO STDOUT";
    let mut copy = session.copy_out("read", sql).unwrap();
    let mut chunk = Vec::new();
    session
        .next_chunk("read", &mut copy, &mut chunk, 1)
        .unwrap();
    std::thread::spawn(move || {
        drop((session, copy));
        sender.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(30)).unwrap();
    let began = Instant::now();
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while database.sql(at_work) != "0" {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_connection_cut_at_any_place_may_be_mended() {
    let database = dkhost_servers::postgres();
    let url = |proxy: &Proxy| {
        let (_, rest) = database.url.rsplit_once(':').unwrap();
        let (_, name) = rest.split_once('/').unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", proxy.port())
    };
    let (host, _) = database
        .url
        .split_once('@')
        .unwrap()
        .1
        .split_once('/')
        .unwrap();
    let proxy = Proxy::start(host).unwrap();
    for act in [Act::Cut, Act::Close] {
        for bytes in [0, 1, 9, 50, 400, 5_000, 1_000_000] {
            proxy.set(Rule::after(Way::ToClient, bytes).then(act));
            let outcome = open(json!({ "url": url(&proxy) })).and_then(|mut session| {
                session.run("begin", "BEGIN")?;
                let mut copy = session.copy_out("read t", MUCH)?;
                read_all(&mut session, &mut copy)
            });
            let error = outcome.unwrap_err();
            assert_eq!(
                error.class(),
                Class::Transient,
                "{act:?} {bytes}: {}",
                error.chain()
            );
        }
    }
    proxy.set(Rule::when(Way::ToServer, b"COMMIT").then(Act::DropReplies));
    let mut session = open(json!({ "url": url(&proxy) })).unwrap();
    session
        .run("begin", "BEGIN; CREATE TABLE t (a int)")
        .unwrap();
    let error = session.run("commit", "COMMIT").unwrap_err();
    check(&error, Class::Transient, "postgres::connection_lost");
    assert!(session.is_closed());
    assert_eq!(database.sql("SELECT count(*) FROM t"), "0");
}

#[test]
fn transactions_and_copies_pass_through_a_pooler_and_leave_nothing_behind() {
    let own = dkhost_servers::Server::start(&Settings::default()).unwrap();
    // All clients share one session, and each finds what another left there.
    let (pooler, database) = (Pooler::start(&own, 1).unwrap(), own.database().unwrap());
    database.sql("CREATE TABLE t (a bigint)");
    let mut sessions: Vec<Session> = (0..4)
        .map(|_| open(json!({ "url": pooler.url(&database.name) })).unwrap())
        .collect();
    let left = "SELECT count(*) FROM pg_prepared_statements";
    for _ in 0..3 {
        for session in &mut sessions {
            session.run("begin", "BEGIN").unwrap();
            let sql = "COPY t FROM STDIN (FORMAT binary)";
            session.copy_in("fill t", sql, numbers(0..1000)).unwrap();
            session.run("commit", "COMMIT").unwrap();
            session.run("begin", "BEGIN").unwrap();
            let mut copy = session
                .copy_out("read t", "COPY t TO STDOUT (FORMAT binary)")
                .unwrap();
            read_all(session, &mut copy).unwrap();
            session.run("commit", "COMMIT").unwrap();
            // The driver counts its names from zero in every process: the next would meet this one.
            let left = dkhost_servers::query(&pooler.url(&database.name), left);
            assert_eq!(left.as_deref(), Ok("0"));
        }
    }
    assert_eq!(database.sql("SELECT count(*) FROM t"), "12000");
}

#[test]
fn a_full_disk_is_for_people_and_a_deadlock_for_another_try() {
    let settings = Settings::default()
        .set("deadlock_timeout", "50ms")
        .disk_mib(80);
    let own = dkhost_servers::Server::start(&settings).unwrap();
    let database = own.database().unwrap();
    database.sql("CREATE TABLE t (a text); CREATE TABLE a (a int); CREATE TABLE b (a int)");
    let mut session = open(json!({ "url": database.url })).unwrap();
    let much = "INSERT INTO t SELECT repeat(md5(i::text), 30) FROM generate_series(1, 200000) i";
    let error = session.run("fill t", much).unwrap_err();
    check(&error, Class::Infrastructure, "postgres::disk_full");

    let url = database.url.clone();
    session.run("lock a", "BEGIN; LOCK TABLE a").unwrap();
    let (sender, locked) = mpsc::channel();
    let other = std::thread::spawn(move || {
        let mut other = open(json!({ "url": url })).unwrap();
        other.run("lock b", "BEGIN; LOCK TABLE b").unwrap();
        sender.send(()).unwrap();
        other.run("lock a", "LOCK TABLE a")
    });
    locked.recv().unwrap();
    let ours = session.run("lock b", "LOCK TABLE b");
    // Whoever the server picks; the other one goes on when this one lets go.
    drop(session);
    let error = ours.and(other.join().unwrap()).unwrap_err();
    check(&error, Class::Transient, "postgres::conflict");
}
