//! What is asked of a server, and what it answers.

use std::time::Duration;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use elasticsearch::http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// One JSON value.
    Json,
    /// A JSON value per line, as `_bulk` takes them.
    Lines,
}

/// A request. It may be sent again to another node when the first cannot be reached.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// For messages: `read index movies`.
    pub doing: String,
    pub method: Method,
    /// Without a slash before it; its parts escaped by [`segment`].
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<(Bytes, Media)>,
    /// The body is sent compressed.
    pub gzip: bool,
    /// How long it may take in all, where it is not what the job says.
    pub timeout: Option<Duration>,
}

impl Request {
    fn new(method: Method, doing: impl Into<String>, path: impl Into<String>) -> Self {
        Request {
            doing: doing.into(),
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            gzip: false,
            timeout: None,
        }
    }

    pub fn get(doing: impl Into<String>, path: impl Into<String>) -> Self {
        Request::new(Method::Get, doing, path)
    }

    pub fn post(doing: impl Into<String>, path: impl Into<String>) -> Self {
        Request::new(Method::Post, doing, path)
    }

    pub fn put(doing: impl Into<String>, path: impl Into<String>) -> Self {
        Request::new(Method::Put, doing, path)
    }

    pub fn delete(doing: impl Into<String>, path: impl Into<String>) -> Self {
        Request::new(Method::Delete, doing, path)
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    #[must_use]
    pub fn json(mut self, body: &Json) -> Self {
        self.body = Some((Bytes::from(body.to_string()), Media::Json));
        self
    }

    /// A body of lines, each with a line end behind it.
    #[must_use]
    pub fn lines(mut self, body: Bytes, gzip: bool) -> Self {
        self.body = Some((body, Media::Lines));
        self.gzip = gzip;
        self
    }

    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What a server answered, whatever the status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Of which node, for messages: `es.example.com:9200`.
    pub node: String,
    pub status: u16,
    /// When to come again, where the server says so.
    pub retry_after: Option<Duration>,
    /// The header `X-elastic-product`, which every answer of Elasticsearch has.
    pub product: Option<String>,
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is one of success.
    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body read as JSON.
    ///
    /// *Errors* – `elasticsearch::bad_answer`, transient: something on the way cut or changed it.
    pub fn parse<T: DeserializeOwned>(&self, doing: &str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|cause| self.bad(doing).caused_by(cause))
    }

    /// The error for an answer that is none of a server of this kind.
    pub fn bad(&self, doing: &str) -> Error {
        let message = format!(
            "cannot {doing}: what {} answered is not understood",
            self.node
        );
        Error::new(dkhost_core::Class::Transient, "elasticsearch::bad_answer", message)
            .help("is something between here and the server that answers in its place? a request to the server itself shows it: curl URL")
    }
}

/// A part of a path: nothing in it ends the part, begins a query or means a folder.
pub(crate) fn segment(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b',' | b'*');
    let mut escaped = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        // A dot at the start could be a folder's; elsewhere it is harmless.
        match plain(byte) || (byte == b'.' && at > 0 && !text.starts_with('.')) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        for (text, escaped) in [
            ("logs-2024.01,other*", "logs-2024.01,other*"),
            ("a/../b?c#d:e", "a%2F..%2Fb%3Fc%23d%3Ae"),
            ("<logs-{now/d}>", "%3Clogs-%7Bnow%2Fd%7D%3E"),
            ("ü %", "%C3%BC%20%25"),
        ] {
            assert_eq!(segment(text), escaped);
        }
    }
}
