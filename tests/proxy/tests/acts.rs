//! What each act does to a connection, seen from both ends, before a server that answers each line
//! with the same in capitals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use dkhost_proxy::{Act, Proxy, Rule, Way};

/// A server, and the lines that reach it.
fn server() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, lines) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let Ok(line) = line else { break };
                    let answer = format!("{}\n", line.to_uppercase());
                    let _ = sender.send(line);
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
                let _ = sender.send("(end)".to_owned());
            });
        }
    });
    (address, lines)
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// Says a line and waits for the answer.
fn ask(stream: &mut TcpStream, line: &str) -> std::io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.last() != Some(&b'\n') {
        match stream.read(&mut byte)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => answer.push(byte[0]),
        }
    }
    answer.pop();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn heard(lines: &Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn without_a_rule_everything_passes_and_connections_are_counted() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    let (mut first, mut second) = (client(&proxy), client(&proxy));
    assert_eq!(ask(&mut first, "a").unwrap(), "A");
    assert_eq!(
        ask(&mut second, &"b".repeat(1 << 20)).unwrap(),
        "B".repeat(1 << 20)
    );
    assert_eq!((proxy.connections(), proxy.struck()), (2, 0));
    drop(first);
    assert_eq!(heard(&lines), "a");
    heard(&lines);
    assert_eq!(heard(&lines), "(end)");
}

#[test]
fn a_cut_delivers_what_came_before_and_resets_both_ends() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::after(Way::ToServer, 4));
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
    assert_eq!(
        ask(&mut stream, "two").unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(
        (heard(&lines), heard(&lines)),
        ("one".to_owned(), "(end)".to_owned())
    );
    // It struck once: the next connection lives longer.
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, "three").unwrap(), "THREE");
    assert_eq!(proxy.struck(), 1);
}

#[test]
fn a_pattern_is_delivered_before_the_cut() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::when(Way::ToServer, b"COMMIT\n").always());
    for _ in 0..2 {
        let mut stream = client(&proxy);
        assert_eq!(ask(&mut stream, "begin").unwrap(), "BEGIN");
        assert_eq!(heard(&lines), "begin");
        // Split, so that no read sees it whole.
        stream.write_all(b"COM").unwrap();
        thread::sleep(Duration::from_millis(20));
        let outcome = stream
            .write_all(b"MIT\n")
            .and_then(|()| ask(&mut stream, "more"));
        assert!(outcome.is_err());
        assert_eq!(
            (heard(&lines), heard(&lines)),
            ("COMMIT".to_owned(), "(end)".to_owned())
        );
    }
    assert_eq!(proxy.struck(), 2);
}

#[test]
fn what_is_done_can_stay_unsaid() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::when(Way::ToServer, b"commit").then(Act::DropReplies));
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
    assert!(ask(&mut stream, "commit").is_err());
    assert_eq!(
        (heard(&lines), heard(&lines)),
        ("one".to_owned(), "commit".to_owned())
    );
}

#[test]
fn an_answer_can_be_kept_back() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::before(Way::ToClient, b"COMMIT"));
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
    assert!(ask(&mut stream, "commit").is_err());
    assert_eq!(
        (heard(&lines), heard(&lines)),
        ("one".to_owned(), "commit".to_owned())
    );
}

#[test]
fn a_close_is_an_end_and_no_error() {
    let (address, _lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::when(Way::ToClient, b"ONE").then(Act::Close));
    let mut stream = client(&proxy);
    stream.write_all(b"one\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "ONE");
}

#[test]
fn a_black_hole_says_nothing_and_stays_open() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::when(Way::ToServer, b"one").then(Act::BlackHole));
    let mut stream = client(&proxy);
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let silence = ask(&mut stream, "one").unwrap_err().kind();
    assert!(
        matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{silence}"
    );
    assert!(lines.try_recv().is_err());
}

#[test]
fn a_delay_waits_once() {
    let (address, _lines) = server();
    let proxy = Proxy::start(address).unwrap();
    let delay = Duration::from_millis(300);
    proxy.set(Rule::when(Way::ToClient, b"ONE").then(Act::Delay(delay)));
    let mut stream = client(&proxy);
    let began = Instant::now();
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
    assert!(began.elapsed() >= delay);
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
}

#[test]
fn one_byte_is_turned_and_the_rest_passes() {
    let (address, lines) = server();
    let proxy = Proxy::start(address).unwrap();
    proxy.set(Rule::after(Way::ToServer, 1).then(Act::Corrupt));
    let mut stream = client(&proxy);
    stream.write_all(b"a\xbdc\n").unwrap();
    assert_eq!(heard(&lines), "aBc");
}

#[test]
fn open_connections_can_be_cut_and_new_ones_refused() {
    let (address, _lines) = server();
    let proxy = Proxy::start(address).unwrap();
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, "one").unwrap(), "ONE");
    proxy.refuse(true);
    proxy.cut_all();
    assert!(ask(&mut stream, "two").is_err());
    assert!(ask(&mut client(&proxy), "three").is_err());
    proxy.refuse(false);
    assert_eq!(ask(&mut client(&proxy), "four").unwrap(), "FOUR");
    assert_eq!(proxy.connections(), 3);
}
