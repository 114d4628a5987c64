//! Real servers of both products, asked without the product's client.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value as Json;

/// A running server.
#[derive(Debug, Clone)]
pub struct Server {
    pub url: String,
    pub is_opensearch: bool,
}

fn named(variable: &str, is_opensearch: bool) -> Server {
    let url =
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names no running server"));
    Server { url, is_opensearch }
}

pub fn elasticsearch() -> Server {
    named("DKHOST_TEST_ELASTICSEARCH_URL", false)
}

pub fn opensearch() -> Server {
    named("DKHOST_TEST_OPENSEARCH_URL", true)
}

impl Server {
    /// The status and the body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Json) {
        let place = self.url.strip_prefix("http://").unwrap();
        let place = place.trim_end_matches('/');
        let mut stream = TcpStream::connect(place).unwrap();
        let length = body.len();
        let head = format!(
            "{method} /{path} HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Asks for something that must work.
    pub fn must(&self, method: &str, path: &str, body: &str) -> Json {
        let (status, said) = self.ask(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {said}"
        );
        said
    }
}
