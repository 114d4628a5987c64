//! Nodes that are dead, silent or something else, and what they are told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use dkhost_core::{Class, Options};
use dkhost_servers::Authority;
use serde_json::{Value as Json, json};

use super::*;

/// A node that answers every request with the same words; where it is, and what it was told.
fn node(said: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let asked = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    // A sign of life has no body.
                    let head = said.find("\r\n\r\n").map_or(said.len(), |end| end + 4);
                    let end = if asked.starts_with("HEAD") {
                        head
                    } else {
                        said.len()
                    };
                    let _ = tell.send(asked);
                    let _ = stream.write_all(&said.as_bytes()[..end]);
                }
            });
        }
    });
    (url, told)
}

/// A port where nothing is.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A node that hangs up whatever it is asked, as one does that expects https.
fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().read(&mut [0; 4096]);
        }
    });
    url
}

const ELASTICSEARCH: &str = "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-length: 43\r\n\r\n\
    {\"nodes\":{\"a\":{\"version\":\"8.19.21\"}},\"n\":1}";

fn client(mut options: Json) -> Client {
    if options["connect_timeout_ms"].is_null() {
        options["connect_timeout_ms"] = 2_000.into();
    }
    let mut options = Options::from_json("[source]", &options).unwrap();
    Client::take(&mut options, Path::new("")).unwrap()
}

fn failure(options: Json) -> Error {
    client(options).send(&Request::get("ask", "x")).unwrap_err()
}

#[test]
fn a_dead_node_is_passed_over() {
    let (there, _told) = node(ELASTICSEARCH);
    let client = client(json!({"url": [nowhere(), there, nowhere()]}));
    for _ in 0..4 {
        assert_eq!(client.send(&Request::get("ask", "x")).unwrap().status, 200);
    }
    assert_eq!(
        client.product().unwrap().to_string(),
        "Elasticsearch 8.19.21"
    );
}

#[test]
fn a_silent_node_is_not_waited_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:secret@{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let error = failure(json!({"url": url, "connect_timeout_ms": 200}));
    assert_eq!(
        (error.code(), error.class()),
        ("elasticsearch::unreachable", Class::Transient)
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(!format!("{} {error:?}", error.chain()).contains("secret"));
}

#[test]
fn what_is_wrong_with_a_node_is_told_apart() {
    let dead = failure(json!({"url": nowhere()}));
    assert_eq!(
        (dead.code(), dead.class()),
        ("elasticsearch::unreachable", Class::Transient)
    );
    let other = failure(json!({"url": node("SSH-2.0-OpenSSH_9.2\r\n").0}));
    assert_eq!(
        (other.code(), other.class()),
        ("elasticsearch::connection_lost", Class::Transient)
    );
    let mute = failure(json!({"url": mute()}));
    assert_eq!(mute.code(), "elasticsearch::connection_lost");
    assert!(mute.help_text().unwrap().contains("https"));
    let half = node("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").0;
    let half = failure(json!({"url": half, "request_timeout_ms": 300}));
    assert_eq!(
        (half.code(), half.class()),
        ("elasticsearch::timed_out", Class::Transient)
    );
    let secure = node("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .0
        .replace("http:", "https:");
    let secure = failure(json!({"url": secure}));
    assert_eq!(
        secure.code(),
        "elasticsearch::connection_lost",
        "{}",
        secure.chain()
    );
    assert!(secure.help_text().unwrap().contains("https"));
    let unknown = failure(json!({"url": "http://no-such-host.invalid:9200"}));
    assert_eq!(unknown.code(), "elasticsearch::unreachable");
}

#[test]
fn a_server_of_another_kind_is_not_taken_for_one() {
    for (said, code) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
            "elasticsearch::not_elasticsearch",
        ),
        (
            "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
            "elasticsearch::not_let_in",
        ),
        (
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
            "elasticsearch::unavailable",
        ),
        (
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            "elasticsearch::not_there",
        ),
    ] {
        let error = client(json!({"url": node(said).0})).product().unwrap_err();
        assert_eq!(error.code(), code, "{said}");
        assert!(error.help_text().is_some());
    }
}

/// What a node is told by the second request, the first being for a sign of life.
fn told(mut options: Json, request: &Request) -> String {
    let (url, told) = node(ELASTICSEARCH);
    options["url"] = url.into();
    client(options).send(request).unwrap();
    let mut said = String::new();
    while !said.contains("/asked") {
        said = told.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    while let Ok(more) = told.recv_timeout(Duration::from_millis(50)) {
        said.push_str(&more);
    }
    said
}

#[test]
fn a_node_is_told_who_asks() {
    let ask = Request::get("ask", "asked");
    let user = told(json!({"auth": {"username": "me", "password": "p:w"}}), &ask);
    assert!(user.contains("authorization: Basic bWU6cDp3\r\n"), "{user}");
    let key = told(json!({"api_key": "aWQ6a2V5"}), &ask);
    assert!(key.contains("authorization: ApiKey aWQ6a2V5\r\n"), "{key}");
    let pair = told(json!({"api_key": "id:key"}), &ask);
    assert!(
        pair.contains("authorization: ApiKey aWQ6a2V5\r\n"),
        "{pair}"
    );
    assert!(!told(json!({}), &ask).contains("authorization"));
}

#[test]
fn a_body_is_sent_as_it_is_or_compressed() {
    let lines = Bytes::from_static(b"{\"index\":{}}\n{}\n");
    let plain = told(
        json!({}),
        &Request::post("ask", "asked/_bulk").lines(lines.clone(), false),
    );
    assert!(
        plain.contains("content-type: application/x-ndjson\r\n"),
        "{plain}"
    );
    assert!(plain.ends_with("{\"index\":{}}\n{}\n"), "{plain}");
    let packed = told(
        json!({}),
        &Request::post("ask", "asked/_bulk").lines(lines, true),
    );
    assert!(packed.contains("content-encoding: gzip\r\n"), "{packed}");
    assert!(!packed.contains("{\"index\":{}}"), "{packed}");
}

#[test]
fn an_answer_says_when_to_come_again() {
    let (url, _told) = node("HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
    let client = client(json!({"url": url}));
    let answer = client.send(&Request::get("ask", "x")).unwrap();
    assert_eq!(
        (answer.status, answer.retry_after),
        (429, Some(Duration::from_secs(7)))
    );
    let error = client.ask(&Request::get("ask", "x")).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("elasticsearch::busy", Class::Throttled)
    );
    assert_eq!(
        fault::refusal(&error).unwrap().retry_after,
        Some(Duration::from_secs(7))
    );
}

/// A node that encrypts with a certificate for `name`.
fn secure_node(authority: &Authority, name: &str) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let papers = authority.server(&[name]);
    let chain = vec![CertificateDer::from_pem_slice(papers.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let line = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(line, stream.unwrap());
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(ELASTICSEARCH.as_bytes());
                    let _ = stream.flush();
                }
            });
        }
    });
    format!("https://localhost:{port}")
}

#[test]
fn a_certificate_is_of_an_authority_that_is_named_and_for_the_host() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, other) = (
        write("ca.pem", &authority.pem()),
        write("other.pem", &Authority::new().pem()),
    );
    let url = secure_node(&authority, "localhost");
    let trusted = client(json!({"url": url, "ca": ca}));
    assert_eq!(trusted.product().unwrap().kind, Kind::Elasticsearch);
    for options in [
        json!({"url": url, "ca": other}),
        json!({"url": url}),
        json!({"url": secure_node(&authority, "elsewhere"), "ca": ca}),
    ] {
        let error = failure(options.clone());
        assert_eq!(
            (error.code(), error.class()),
            ("elasticsearch::not_trusted", Class::Config),
            "{options}"
        );
    }
    for (text, code) in [
        ("no.pem", "elasticsearch::certificates"),
        ("absent.pem", "io::not_found"),
    ] {
        let path = match text {
            "no.pem" => write(text, "nothing"),
            absent => folder.path().join(absent).to_str().unwrap().to_owned(),
        };
        let json = json!({"url": "https://localhost", "ca": path});
        let mut options = Options::from_json("[source]", &json).unwrap();
        assert_eq!(
            Client::take(&mut options, Path::new(""))
                .unwrap_err()
                .code(),
            code
        );
    }
}

#[test]
fn a_password_in_clear_is_in_the_plan() {
    let far = client(json!({"url": "http://me:secret@es.example.com"}));
    assert_eq!(far.notes().len(), 1);
    assert!(!format!("{:?} {}", far, far.notes()[0]).contains("secret"));
    for url in [
        "http://me:secret@localhost:9200",
        "https://me:secret@es.example.com",
        "http://es.example.com",
    ] {
        assert!(client(json!({"url": url})).notes().is_empty(), "{url}");
    }
}
