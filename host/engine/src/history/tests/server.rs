//! What only a server does: it goes away and comes back, it refuses, and it keeps an address with a
//! password in it.

use std::path::Path;
use std::time::{Duration, Instant};

use dkhost_core::Class;
use dkhost_servers::{Database, Server, Settings, Stop};

use super::super::postgres::SCHEMA;
use super::*;

fn at(url: &str) -> StateUrl {
    StateUrl::parse(url, Path::new("")).unwrap()
}

fn fails(url: &str) -> Error {
    match History::open(&at(url)) {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error,
    }
}

/// Ends every other session of the database, as a restart or a network would.
fn cut(database: &Database) {
    database.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

#[test]
fn a_lost_connection_is_made_again_and_nothing_is_done_twice() {
    let database = dkhost_servers::postgres();
    let history = History::open(&at(&database.url)).unwrap();
    cut(&database);
    begin(&history, "a", 1);
    cut(&database);
    history.keep_letters(1, &[letter("a", 0, None)]).unwrap();
    cut(&database);
    let end = RunEnd {
        busy_ms: 7,
        ..ended(Status::Stopped, &[])
    };
    history.end("a", 1, &end).unwrap();
    cut(&database);
    let run = history.run("a").unwrap();
    assert_eq!((run.busy_ms, run.status), (7, Status::Stopped));
    assert_eq!(history.count_letters("a").unwrap(), (1, 1));
}

#[test]
fn a_server_that_restarts_is_waited_for() {
    let mut server = Server::start(&Settings::default()).unwrap();
    let history = History::open(&at(&server.url())).unwrap();
    begin(&history, "a", 1);
    let lock = JobLock::take(&history, "job").unwrap();
    server.stop(Stop::Immediate).unwrap();
    let waiting = std::thread::spawn({
        let history = history.clone();
        // As a run does, which has a patience of its own on top.
        move || {
            let mut tries = 0..5;
            loop {
                match history.keep_letters(1, &[letter("a", 0, None)]) {
                    Err(error) if error.class().is_retryable() && tries.next().is_some() => {}
                    kept => return kept,
                }
            }
        }
    });
    std::thread::sleep(Duration::from_millis(500));
    server.start_again().unwrap();
    waiting.join().unwrap().unwrap();
    assert_eq!(history.count_letters("a").unwrap(), (1, 1));

    // The lock went with the old server; it is taken again before the next commit.
    std::thread::sleep(Duration::from_secs(1));
    lock.ensure_held().unwrap();
    let other = History::open(history.place()).unwrap();
    assert_eq!(
        JobLock::take(&other, "job").unwrap_err().code(),
        "run::locked"
    );
}

#[test]
fn a_server_that_stays_away_is_an_error_that_may_pass() {
    let mut server = Server::start(&Settings::default()).unwrap();
    let url = server.url();
    let history = History::open(&at(&url)).unwrap();
    server.stop(Stop::Fast).unwrap();
    let began = Instant::now();
    let error = history.runs(None, 1).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("state::unreachable", Class::Transient)
    );
    assert!(began.elapsed() > Duration::from_secs(5));
    // Nobody waits for a server that was never there.
    assert_eq!(fails(&url).code(), "state::unreachable");
}

#[test]
fn a_lock_that_another_process_took_meanwhile_is_noticed() {
    let database = dkhost_servers::postgres();
    let (here, there) = (at(&database.url), at(&database.url));
    let (here, there) = (
        History::open(&here).unwrap(),
        History::open(&there).unwrap(),
    );
    let lock = JobLock::take(&here, "job").unwrap();
    // The holder's session dies, as with its process.
    cut(&database);
    let taken = JobLock::take(&there, "job").unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let error = lock.ensure_held().unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("run::lock_lost", Class::Locked)
    );
    assert!(error.to_string().contains("process"), "{error}");
    drop(lock);
    // What the loser lets go of is not the winner's.
    taken.ensure_held().unwrap();
    assert_eq!(
        JobLock::take(&here, "job").unwrap_err().code(),
        "run::locked"
    );
}

#[test]
fn a_lock_keeps_no_snapshot_and_outlives_the_servers_patience() {
    let database = dkhost_servers::postgres();
    database.sql(&format!(
        "ALTER DATABASE {} SET idle_in_transaction_session_timeout = '300ms'",
        database.name
    ));
    let history = History::open(&at(&database.url)).unwrap();
    let lock = JobLock::take(&history, "job").unwrap();
    std::thread::sleep(Duration::from_millis(1_200));
    let sessions = "SELECT state, backend_xid IS NULL, backend_xmin IS NULL FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(database.sql(sessions), "idle in transaction|t|t");
    lock.ensure_held().unwrap();
}

#[test]
fn the_history_shares_a_database_with_anything_else() {
    let database = dkhost_servers::postgres();
    database.sql("CREATE TABLE public.run (id int); CREATE SCHEMA dkhost; CREATE TABLE dkhost.checkpoint (id int)");
    let history = History::open(&at(&database.url)).unwrap();
    begin(&history, "a", 1);
    assert_eq!(database.sql("SELECT count(*) FROM public.run"), "0");
    assert_eq!(database.sql(&format!("SELECT id FROM {SCHEMA}.run")), "a");
}

#[test]
fn a_schema_with_other_tables_in_it_is_left_alone() {
    let database = dkhost_servers::postgres();
    database.sql("CREATE SCHEMA dkhost_history; CREATE TABLE dkhost_history.mine (id int)");
    let error = fails(&database.url);
    assert_eq!(
        (error.code(), error.class()),
        ("state::foreign", Class::State)
    );
    assert!(error.help_text().is_some());
}

#[test]
fn a_history_of_a_newer_version_is_left_alone() {
    let database = dkhost_servers::postgres();
    drop(History::open(&at(&database.url)).unwrap());
    database.sql("INSERT INTO dkhost_history.migration VALUES (4711, 'later', '')");
    assert_eq!(fails(&database.url).code(), "state::newer");
}

#[test]
fn a_table_that_is_gone_is_a_corrupt_history() {
    let database = dkhost_servers::postgres();
    let history = History::open(&at(&database.url)).unwrap();
    database.sql("DROP TABLE dkhost_history.checkpoint");
    begin(&history, "a", 1);
    let error = history.run("a").unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("state::corrupt", Class::State)
    );
}

#[test]
fn two_processes_may_make_the_tables_at_once() {
    let database = dkhost_servers::postgres();
    let openers: Vec<_> = (0..4)
        .map(|_| {
            let place = at(&database.url);
            std::thread::spawn(move || History::open(&place).map(drop))
        })
        .collect();
    for opener in openers {
        opener.join().unwrap().unwrap();
    }
}

#[test]
fn a_user_who_may_not_make_a_schema_is_told_what_an_administrator_can_do() {
    let database = dkhost_servers::postgres();
    let user = format!("user_of_{}", database.name);
    database.sql(&format!("CREATE ROLE {user} LOGIN PASSWORD 'secret'"));
    let url = as_user(&database.url, &format!("{user}:secret"));
    let error = fails(&url);
    assert_eq!(
        (error.code(), error.class()),
        ("state::denied", Class::Config)
    );
    assert!(
        error
            .help_text()
            .unwrap()
            .contains("CREATE SCHEMA dkhost_history")
    );
    assert!(!format!("{error:?} {}", error.chain()).contains("secret"));

    database.sql(&format!(
        "CREATE SCHEMA dkhost_history AUTHORIZATION {user}"
    ));
    let history = History::open(&at(&url)).unwrap();
    begin(&history, "a", 1);
    drop(history);
    database.sql(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}

#[test]
fn a_server_that_takes_no_writes_still_shows_its_runs() {
    let database = dkhost_servers::postgres();
    let history = History::open(&at(&database.url)).unwrap();
    begin(&history, "a", 1);
    database.sql(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name
    ));
    let history = History::open_existing(&at(&database.url)).unwrap().unwrap();
    assert_eq!(history.runs(None, 9).unwrap().len(), 1);
    let error = history.end("a", 1, &ended(Status::Done, &[])).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("state::unwritable", Class::Infrastructure)
    );
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let database = dkhost_servers::postgres();
    let url = format!("{}_not", database.url);
    let error = fails(&url);
    assert_eq!(
        (error.code(), error.class()),
        ("state::no_database", Class::Config)
    );
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    let access = "host all all 127.0.0.1/32 scram-sha-256";
    let server = Server::start(&Settings::default().access(access)).unwrap();
    let error = fails(&as_user(&server.url(), "postgres:pass%40word"));
    assert_eq!(
        (error.code(), error.class()),
        ("state::denied", Class::Config)
    );
    let told = format!("{error:?} {} {:?}", error.chain(), error.help_text());
    assert!(
        !told.contains("pass@word") && !told.contains("pass%40word"),
        "{told}"
    );
}

#[test]
fn a_history_of_another_user_is_not_called_damaged() {
    let database = dkhost_servers::postgres();
    let user = format!("user_{}", database.name);
    database.sql(&format!("CREATE ROLE {user} LOGIN"));
    let own = History::open(&at(&database.url)).unwrap();
    begin(&own, "a", 1);
    let theirs = as_user(&database.url, &user);
    let denied = |error: Error| {
        assert_eq!(
            (error.code(), error.class()),
            ("state::denied", Class::Config),
            "{error:?}"
        );
        let help = error.help_text().unwrap_or_default().to_owned();
        assert!(
            help.contains("GRANT USAGE ON SCHEMA dkhost_history"),
            "{help}"
        );
    };
    denied(fails(&theirs));
    let grant = format!("GRANT USAGE ON SCHEMA dkhost_history TO {user}");
    database.sql(&grant);
    denied(fails(&theirs));
    database.sql(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dkhost_history TO {user}"
    ));
    let shared = History::open(&at(&theirs)).unwrap();
    assert_eq!(shared.runs(None, 10).unwrap().len(), 1);
    begin(&shared, "b", 1);
    assert_eq!(own.runs(None, 10).unwrap().len(), 2);
    database.sql(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}

#[test]
fn an_address_that_cannot_be_read_is_not_repeated() {
    for (url, code) in [
        ("postgres://a:secret@h:port/db", "job::wrong_value"),
        (
            "postgres://a:secret@h/db?sslmod=require",
            "job::wrong_value",
        ),
        (
            "postgres://a:secret@h/db?sslmode=prefer",
            "job::wrong_value",
        ),
        (
            "postgres://a:secret@h/db?sslmod=require",
            "job::wrong_value",
        ),
        ("postgres://a:secret@${HOST}/db", "job::unset_variable"),
        ("mysql://a:secret@h/db", "job::wrong_value"),
    ] {
        let error = StateUrl::parse(url, Path::new("")).unwrap_err();
        let told = format!("{error:?} {} {:?}", error.chain(), error.help_text());
        assert_eq!(error.code(), code, "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    let place = at("postgres://ada:secret@db.example.com/crm");
    let shown = format!("{place} {place:?}");
    assert!(
        shown.contains("postgres://ada@db.example.com:5432/crm"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn text_that_a_server_cannot_hold_is_kept_readable() {
    let database = dkhost_servers::postgres();
    let history = History::open(&at(&database.url)).unwrap();
    begin(&history, "a", 1);
    let mut refused = letter("a", 0, None);
    refused.message = "the value `a\0b`".into();
    refused.payload = b"a\0b".to_vec();
    history.keep_letters(1, &[refused]).unwrap();
    let kept = history.letters_numbered(&[1]).unwrap().remove(0).letter;
    assert_eq!(kept.message, "the value `a\u{2400}b`");
    assert_eq!(kept.payload, b"a\0b");
}

/// The address with another user in it.
fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{user}@{rest}")
}
