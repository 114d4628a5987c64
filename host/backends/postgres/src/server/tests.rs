//! Connecting to a real server, and what is said when that cannot be.

use std::time::Instant;

use dkhost_core::{Class, Options};
use dkhost_servers::{Authority, Certificate, Settings};
use serde_json::{Value, json};

use super::*;
use crate::session::Session;

/// A server as a job names it.
pub(crate) fn take(options: Value) -> Result<Server> {
    let mut options = Options::from_json("[source]", &options).unwrap();
    options.check(&[OPTIONS]).unwrap();
    Server::take(&mut options, Path::new("/nowhere"))
}

/// An open session.
pub(crate) fn open(options: Value) -> Result<Session> {
    Session::open(&take(options)?)
}

/// The error of connecting, which must not repeat the password `hunter2`.
fn refused(options: Value) -> Error {
    let error = match open(options) {
        Ok(_) => panic!("this connects"),
        Err(error) => error,
    };
    let all = format!("{error} {error:?} {}", error.chain());
    assert!(!all.contains("hunter2"), "{all}");
    error
}

#[track_caller]
fn check(error: &Error, class: Class, code: &str, says: &str) {
    let all = format!(
        "{} / {}",
        error.chain(),
        error.help_text().unwrap_or_default()
    );
    assert_eq!((error.class(), error.code()), (class, code), "{all}");
    assert!(all.contains(says), "{all}");
}

#[test]
fn a_wrong_host_or_port_says_where_nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let url = format!("postgres://ada:hunter2@127.0.0.1:{port}/crm");
    let error = refused(json!({ "url": url }));
    check(
        &error,
        Class::Transient,
        "postgres::unreachable",
        &format!("crm on 127.0.0.1:{port}"),
    );
    let error = refused(json!({ "url": "postgres://ada:hunter2@nowhere.invalid/crm" }));
    assert_eq!(error.code(), "postgres::unknown_host", "{}", error.chain());
    let error = refused(json!({ "url": "host=/nowhere dbname=crm user=ada" }));
    check(
        &error,
        Class::Transient,
        "postgres::unreachable",
        "/nowhere",
    );
}

#[test]
fn the_next_host_is_tried_when_one_does_not_answer() {
    let database = dkhost_servers::postgres();
    let (_, rest) = database.url.split_once('@').unwrap();
    // Nobody listens on port 1.
    let url = format!("postgres://postgres@127.0.0.1:1,{rest}");
    let mut session = open(json!({ "url": url })).unwrap();
    let rows = session
        .rows("ask", "SELECT current_database()::text", &[])
        .unwrap();
    assert_eq!(rows[0].get::<_, String>(0), database.name);
}

#[test]
fn an_unknown_database_names_the_nearest() {
    let database = dkhost_servers::postgres();
    let error = refused(json!({ "url": format!("{}x", database.url) }));
    check(
        &error,
        Class::Config,
        "postgres::no_database",
        &format!("did you mean `{}`?", database.name),
    );
}

#[test]
fn a_wrong_password_is_not_repeated_and_the_right_one_may_stand_beside_the_url() {
    let access = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256";
    let own = dkhost_servers::Server::start(&Settings::default().access(access)).unwrap();
    own.sql("CREATE ROLE ada LOGIN PASSWORD 'p@/ß word'")
        .unwrap();
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/postgres", own.port());
    let error = refused(json!({ "url": url("ada:hunter2") }));
    check(
        &error,
        Class::Config,
        "postgres::denied",
        "password authentication failed",
    );
    let error = refused(json!({ "url": url("ada") }));
    check(
        &error,
        Class::Config,
        "postgres::denied",
        "asks for a password",
    );
    open(json!({ "url": url("ada"), "password": "p@/ß word" })).unwrap();
    open(json!({ "url": url("ada:p%40%2F%C3%9F%20word") })).unwrap();
    // Through the socket everybody is let in.
    let folder = own.folder().display();
    open(json!({ "url": format!("host={folder} port={} user=ada dbname=postgres", own.port()) }))
        .unwrap();
}

/// A server that shows this certificate, and speaks to nobody in clear.
fn encrypted(
    certificate: &Certificate,
    authority: &Authority,
    access: &str,
) -> dkhost_servers::Server {
    let settings = Settings::default()
        .set("ssl", "on")
        .set("ssl_cert_file", "{folder}/server.crt")
        .set("ssl_key_file", "{folder}/server.key")
        .set("ssl_ca_file", "{folder}/ca.crt")
        .file("server.crt", &certificate.certificate)
        .file("server.key", &certificate.key)
        .file("ca.crt", &authority.pem())
        .access(access);
    dkhost_servers::Server::start(&settings).unwrap()
}

const ENCRYPTED_ONLY: &str = "hostssl all all 127.0.0.1/32 trust";

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Whether the session is encrypted, as the server sees it.
fn is_encrypted(session: &mut Session) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    session.rows("ask", sql, &[]).unwrap()[0].get(0)
}

#[test]
fn a_certificate_for_the_name_of_an_authority_we_trust_is_believed() {
    let authority = Authority::new();
    let own = encrypted(
        &authority.server(&["localhost"]),
        &authority,
        ENCRYPTED_ONLY,
    );
    let files = folder(&[
        ("ca.pem", &authority.pem()),
        ("other.pem", &Authority::new().pem()),
    ]);
    let file = |name: &str| files.path().join(name).display().to_string();
    let url = |host: &str| format!("postgres://postgres@{host}:{}/postgres", own.port());
    let full = |host: &str, root: &str| json!({ "url": url(host), "sslmode": "verify-full", "sslrootcert": file(root) });

    assert!(is_encrypted(
        &mut open(full("localhost", "ca.pem")).unwrap()
    ));
    let in_url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        url("localhost"),
        file("ca.pem")
    );
    assert!(is_encrypted(&mut open(json!({ "url": in_url })).unwrap()));

    let error = refused(full("127.0.0.1", "ca.pem"));
    check(
        &error,
        Class::Config,
        "postgres::certificate",
        "for another name",
    );
    let any_name =
        json!({ "url": url("127.0.0.1"), "sslmode": "verify-ca", "sslrootcert": file("ca.pem") });
    assert!(is_encrypted(&mut open(any_name).unwrap()));

    let error = refused(full("localhost", "other.pem"));
    check(
        &error,
        Class::Config,
        "postgres::certificate",
        "nobody we trust has signed",
    );
    let error = refused(
        json!({ "url": url("127.0.0.1"), "sslmode": "verify-ca", "sslrootcert": file("other.pem") }),
    );
    check(
        &error,
        Class::Config,
        "postgres::certificate",
        "nobody we trust has signed",
    );
    assert!(is_encrypted(
        &mut open(json!({ "url": url("127.0.0.1"), "sslmode": "require" })).unwrap()
    ));

    // On this machine nothing is encrypted unless the job says so, and this server insists.
    let error = refused(json!({ "url": url("127.0.0.1") }));
    check(&error, Class::Config, "postgres::denied", "sslmode");
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let own = encrypted(
        &authority.expired_server(&["localhost"]),
        &authority,
        ENCRYPTED_ONLY,
    );
    let files = folder(&[("ca.pem", &authority.pem())]);
    let root = files.path().join("ca.pem").display().to_string();
    let url = format!("postgres://postgres@localhost:{}/postgres", own.port());
    for mode in ["verify-full", "verify-ca"] {
        let error = refused(json!({ "url": url, "sslmode": mode, "sslrootcert": root }));
        check(&error, Class::Config, "postgres::certificate", "expired");
    }
}

#[test]
fn a_server_that_asks_who_we_are_is_shown_our_certificate() {
    let authority = Authority::new();
    let access = "hostssl all all 127.0.0.1/32 cert";
    let own = encrypted(&authority.server(&["localhost"]), &authority, access);
    let ours = authority.client("postgres");
    let files = folder(&[
        ("ca.pem", &authority.pem()),
        ("own.pem", &ours.certificate),
        ("own.key", &ours.key),
    ]);
    let file = |name: &str| files.path().join(name).display().to_string();
    let url = format!("postgres://postgres@localhost:{}/postgres", own.port());
    let with = json!({ "url": url, "sslmode": "verify-full", "sslrootcert": file("ca.pem"),
        "sslcert": file("own.pem"), "sslkey": file("own.key") });
    assert!(is_encrypted(&mut open(with).unwrap()));
    let error =
        refused(json!({ "url": url, "sslmode": "verify-full", "sslrootcert": file("ca.pem") }));
    assert_eq!(error.class(), Class::Config, "{}", error.chain());
    let error = refused(json!({ "url": url, "sslcert": file("own.pem") }));
    check(&error, Class::Config, "postgres::certificates", "sslkey");
}

#[test]
fn a_server_that_cannot_encrypt_is_told_from_one_that_may_not() {
    let database = dkhost_servers::postgres();
    let error = refused(json!({ "url": database.url, "sslmode": "require" }));
    check(
        &error,
        Class::Config,
        "postgres::no_tls",
        "does not support TLS",
    );
    for word in ["prefer", "allow", "verify_full"] {
        let error = refused(json!({ "url": format!("{}?sslmode={word}", database.url) }));
        check(
            &error,
            Class::Config,
            "postgres::bad_sslmode",
            "verify-full",
        );
    }
}

#[test]
fn away_from_this_machine_a_certificate_is_asked_for_unless_the_job_says_otherwise() {
    let mode = |url: &str| {
        take(json!({ "url": url })).unwrap().hosts[0]
            .config
            .get_ssl_mode()
    };
    for local in ["localhost", "127.0.0.2", "[::1]", "%2Frun%2Fpg"] {
        assert_eq!(
            mode(&format!("postgres://ada@{local}/x")),
            SslMode::Disable,
            "{local}"
        );
    }
    for away in ["db.example.com", "10.0.0.1", "[fe80::1]"] {
        assert_eq!(
            mode(&format!("postgres://ada@{away}/x")),
            SslMode::Require,
            "{away}"
        );
    }
    assert_eq!(
        mode("postgres://ada@db.example.com/x?sslmode=disable"),
        SslMode::Disable
    );
}

#[test]
fn too_many_connections_may_be_fewer_in_a_moment() {
    let settings = Settings::default()
        .set("max_connections", "4")
        .set("superuser_reserved_connections", "3");
    let own = dkhost_servers::Server::start(&settings).unwrap();
    own.sql("CREATE ROLE ada LOGIN").unwrap();
    let url = format!("postgres://ada@127.0.0.1:{}/postgres", own.port());
    // The connection that made the role may not be over yet.
    let first = soon(|| open(json!({ "url": url })));
    let error = refused(json!({ "url": url }));
    check(
        &error,
        Class::Transient,
        "postgres::too_many_connections",
        "partitions",
    );
    drop(first);
    // The server has heard the good-bye of the first, or hears it now.
    soon(|| open(json!({ "url": url })));
}

/// What comes in the end, because others go.
fn soon<T>(attempt: impl Fn() -> Result<T>) -> T {
    let began = Instant::now();
    loop {
        match attempt() {
            Ok(got) => return got,
            Err(error) => assert!(began.elapsed().as_secs() < 30, "{}", error.chain()),
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let mut own = dkhost_servers::Server::start(&Settings::default()).unwrap();
    own.pause();
    let error = refused(json!({ "url": own.url(), "connect_timeout_ms": 300 }));
    check(
        &error,
        Class::Transient,
        "postgres::unreachable",
        "no answer within 300 ms",
    );
    own.resume();
    open(json!({ "url": own.url() })).unwrap();
}

#[test]
fn times_are_numbers_of_milliseconds() {
    for bad in [json!(-1), json!(3_000_000_000_i64)] {
        let error = take(json!({ "url": "postgres://ada@h/x", "lock_timeout_ms": bad }))
            .err()
            .unwrap();
        assert_eq!(error.code(), "job::wrong_value");
    }
    for (bad, help) in [
        ("1s", Some("statement_timeout_ms = 1000")),
        ("2 min", Some("statement_timeout_ms = 120000")),
        ("250", Some("statement_timeout_ms = 250")),
        ("soon", None),
    ] {
        let error = take(json!({ "url": "postgres://ada@h/x", "statement_timeout_ms": bad }))
            .err()
            .unwrap();
        assert_eq!(error.code(), "job::wrong_value");
        let said = error.to_string();
        assert!(said.contains("a number of milliseconds"), "{said}");
        assert_eq!(error.help_text(), help);
    }
}
