//! No answer came: what that means, and what is to be looked at.

use std::error::Error as Cause;
use std::time::Duration;

use dkhost_core::{Class, Error};

use super::AGAIN;

/// What is asked about whoever does not answer in HTTP.
pub(crate) const OTHER_SPEECH: &str =
    "does the server speak https where `url` says http, or the other way round?";

/// No answer came: the connection could not be made, or was lost.
pub(crate) fn lost(doing: &str, place: &str, cause: elasticsearch::Error) -> Error {
    let message = format!("cannot {doing}");
    if let Some(tls) = in_causes::<rustls::Error>(&cause) {
        if matches!(tls, rustls::Error::InvalidMessage(_)) {
            return other_speech(message, place, &tls.to_string());
        }
        return Error::config("elasticsearch::not_trusted", message)
            .help("name the authority that signed the server's certificate: ca = \"ca.pem\"; and is the host in `url` the one it is for?")
            .caused_by(format!("{place}: {tls}"));
    }
    let words = innermost(&cause);
    if is_speech(&words) {
        return other_speech(message, place, &words);
    }
    if cause.is_timeout() {
        return Error::new(Class::Transient, "elasticsearch::timed_out", message)
            .help("allow more time with `request_timeout_ms`, or ask for less at a time")
            .caused_by(format!("{place} did not answer in time"));
    }
    let unreachable = in_causes::<std::io::Error>(&cause).is_none_or(|broken| {
        use std::io::ErrorKind::*;
        !matches!(
            broken.kind(),
            ConnectionReset | BrokenPipe | UnexpectedEof | ConnectionAborted
        )
    }) && is_connecting(&cause);
    match unreachable {
        true => Error::new(Class::Transient, "elasticsearch::unreachable", message)
            .help("is the server running, and are host and port right?"),
        false => {
            Error::new(Class::Transient, "elasticsearch::connection_lost", message).help(AGAIN)
        }
    }
    .caused_by(format!("{place}: {words}"))
}

/// What answers speaks something else.
fn other_speech(message: String, place: &str, words: &str) -> Error {
    Error::new(Class::Transient, "elasticsearch::connection_lost", message)
        .help(OTHER_SPEECH)
        .caused_by(format!("{place}: {words}"))
}

/// A node gave no sign of life.
pub(crate) fn too_late(doing: &str, place: &str, after: Duration) -> Error {
    let message = format!(
        "cannot {doing}: no answer from {place} within {} ms",
        after.as_millis()
    );
    Error::new(Class::Transient, "elasticsearch::unreachable", message)
        .help("check host, port and firewall, or allow more time with `connect_timeout_ms`")
}

/// Whether the other end speaks something else than was expected.
fn is_speech(words: &str) -> bool {
    words.contains("invalid HTTP version") || words.contains("invalid HTTP header parsed")
}

/// Whether the connection was still to be made. The client names that step in its words only.
fn is_connecting(cause: &elasticsearch::Error) -> bool {
    chain(cause).iter().any(|part| {
        let words = part.to_string();
        words.contains("error trying to connect")
            || words.contains("tcp connect error")
            || words.contains("dns error")
            || words == "client error (Connect)"
    })
}

/// All causes, also those an error of the operating system's kind was made of.
fn chain(cause: &elasticsearch::Error) -> Vec<&(dyn Cause + 'static)> {
    let mut found: Vec<&(dyn Cause + 'static)> = Vec::new();
    let mut next = Cause::source(cause);
    while let Some(part) = next {
        found.push(part);
        let inside = part
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside as &(dyn Cause + 'static)),
            None => part.source(),
        };
    }
    found
}

/// The first cause of this type.
fn in_causes<T: Cause + 'static>(cause: &elasticsearch::Error) -> Option<&T> {
    chain(cause)
        .into_iter()
        .find_map(|part| part.downcast_ref::<T>())
}

/// What it all comes from, in words that repeat no address.
fn innermost(cause: &elasticsearch::Error) -> String {
    match chain(cause).last() {
        Some(last) => last.to_string(),
        None => cause.to_string(),
    }
}
