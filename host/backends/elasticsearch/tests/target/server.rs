//! Real servers of both products, asked without the product's client.

use dkhost_servers::Indices;
use serde_json::Value as Json;

/// A running server, and names on it that nobody else has.
#[derive(Debug)]
pub struct Server {
    indices: Indices,
    pub url: String,
    pub is_opensearch: bool,
}

impl Server {
    fn of(indices: Indices, is_opensearch: bool) -> Self {
        Server {
            url: indices.access.url.clone(),
            indices,
            is_opensearch,
        }
    }

    pub fn elasticsearch() -> Self {
        Server::of(dkhost_servers::elasticsearch(), false)
    }

    pub fn opensearch() -> Self {
        Server::of(dkhost_servers::opensearch(), true)
    }

    /// The name of an index.
    pub fn name(&self, what: &str) -> String {
        self.indices.name(what)
    }

    /// The status and the body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Json) {
        let answer = self.indices.access.ask(method, &format!("/{path}"), body);
        let answer = answer.unwrap();
        let body = serde_json::from_str(&answer.text());
        (answer.status, body.unwrap_or_default())
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
