//! What lies between a process and its history on a server: a line that breaks anywhere, a pooler
//! that hands transactions round, a certificate.

use std::path::Path;

use dkhost_core::Class;
use dkhost_proxy::{Act, Proxy, Rule, Way};
use dkhost_servers::{Authority, Pooler, Server, Settings};

use super::*;

fn open(url: &str) -> History {
    History::open(&at(url)).unwrap()
}

fn at(url: &str) -> StateUrl {
    StateUrl::parse(url, Path::new("")).unwrap()
}

/// The address with another port in it.
fn through(url: &str, port: u16) -> String {
    let (before, rest) = url.rsplit_once(':').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    format!("{before}:{port}/{database}")
}

fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap()
}

/// A run from its begin to its end, everything about it written once; `before` is told of each word.
fn whole_run(history: &History, id: &str, mut before: impl FnMut(&str)) {
    before("begin");
    begin(history, id, 1);
    before("take over");
    history
        .take_over(id, 2, "plan", None, "taken up again")
        .unwrap();
    before("keep");
    history.keep_letters(2, &[letter(id, 0, None)]).unwrap();
    before("copy");
    let checkpoint = Checkpoint::start("job", id, 2, "plan", 0);
    history.copy_checkpoints(&[checkpoint]).unwrap();
    before("end");
    let end = RunEnd {
        busy_ms: 7,
        ..ended(Status::Done, &[])
    };
    history.end(id, 2, &end).unwrap();
    let run = history.run(id).unwrap();
    let written = (run.epoch, run.status, run.busy_ms, run.remarks.len());
    assert_eq!(written, (2, Status::Done, 7, 1), "{id}");
    assert_eq!(run.checkpoints.len(), 1, "{id}");
    assert_eq!(history.count_letters(id).unwrap(), (1, 1), "{id}");
}

#[test]
fn a_line_that_breaks_at_any_byte_changes_nothing_of_what_is_written() {
    let database = dkhost_servers::postgres();
    let proxy = Proxy::start(server_of(&database.url)).unwrap();
    let history = open(&through(&database.url, proxy.port()));
    for way in [Way::ToServer, Way::ToClient] {
        for bytes in (20..5_000).step_by(397) {
            proxy.cut_all();
            proxy.set(Rule::after(way, bytes));
            whole_run(&history, &format!("{way:?}-{bytes}"), |_| {});
            proxy.clear();
        }
    }
    let struck = proxy.struck();
    assert!(struck > 20, "the line broke {struck} times only");
}

#[test]
fn a_commit_that_is_not_answered_is_asked_after_and_not_repeated() {
    let database = dkhost_servers::postgres();
    let proxy = Proxy::start(server_of(&database.url)).unwrap();
    let history = open(&through(&database.url, proxy.port()));
    for act in [Act::DropReplies, Act::Cut, Act::Close] {
        let before = proxy.struck();
        whole_run(&history, &format!("{act:?}"), |_| {
            // The word itself, and not the COMMITTED of a begin.
            proxy.set(Rule::when(Way::ToServer, b"COMMIT\0").then(act));
        });
        assert!(proxy.struck() >= before + 5, "{act:?}");
    }
}

#[test]
fn a_history_behind_a_pooler_keeps_its_word_and_its_lock() {
    let server = Server::start(&Settings::default()).unwrap();
    let pooler = Pooler::start(&server, 4).unwrap();
    let url = pooler.url("postgres");
    let (here, there) = (open(&url), open(&url));
    whole_run(&here, "a", |_| {});
    let lock = JobLock::take(&here, "job").unwrap();
    // Others use the sessions in the meantime.
    for id in ["b", "c", "d"] {
        whole_run(&there, id, |_| {});
    }
    let error = JobLock::take(&there, "job").unwrap_err();
    assert_eq!(error.code(), "run::locked");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    lock.ensure_held().unwrap();
    drop(lock);
    let lock = JobLock::take(&there, "job").unwrap();
    // A process that dies says nothing: its line is closed, and the lock is free.
    let proxy = Proxy::start(server_of(&url)).unwrap();
    drop(lock);
    let far = open(&through(&url, proxy.port()));
    let lost = JobLock::take(&far, "job").unwrap();
    proxy.refuse(true);
    proxy.cut_all();
    let began = std::time::Instant::now();
    while let Err(error) = JobLock::take(&here, "job").map(drop) {
        assert_eq!(error.code(), "run::locked");
        assert!(
            began.elapsed().as_secs() < 30,
            "the lock of a dead process stays"
        );
    }
    proxy.refuse(false);
    drop(lost);
    // Nothing of ours stays with the pooler's sessions.
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(server.sql(left).unwrap(), "0");
}

#[test]
fn a_server_is_known_by_its_certificate() {
    let authority = Authority::new();
    let certificate = authority.server(&["localhost"]);
    let settings = Settings::default()
        .set("ssl", "on")
        .set("ssl_cert_file", "{folder}/server.crt")
        .set("ssl_key_file", "{folder}/server.key")
        .file("server.crt", &certificate.certificate)
        .file("server.key", &certificate.key)
        .access("hostssl all all 127.0.0.1/32 trust");
    let server = Server::start(&settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.path().join("other.pem"), Authority::new().pem()).unwrap();
    let place = |host: &str, query: &str| {
        let url = server.url().replacen("127.0.0.1", host, 1);
        StateUrl::parse(&format!("{url}{query}"), folder.path()).unwrap()
    };
    let full = place("localhost", "?sslmode=verify-full&sslrootcert=ca.pem");
    whole_run(&History::open(&full).unwrap(), "a", |_| {});
    for (host, query) in [
        ("localhost", "?sslmode=verify-full&sslrootcert=other.pem"),
        ("localhost", "?sslmode=verify-full"),
        ("127.0.0.1", "?sslmode=verify-full&sslrootcert=ca.pem"),
        ("localhost", "?sslmode=verify-full&sslrootcert=absent.pem"),
    ] {
        let error = History::open(&place(host, query)).map(drop).unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("state::tls", Class::Config),
            "{query}"
        );
    }
    // In clear the server does not listen.
    let error = History::open(&place("localhost", ""))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), "state::denied");
}
